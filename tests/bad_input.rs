//! What cannot be read or carried, at the running binary: each refusal has the status that the RFC names, a metric by its cause, and a
//! line in the log that says whose it is and which header it is about. No peer fills the log.

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::server::{Server, Site, configuration};

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(20);

/// What was wrong, the status of the answer, the metric's cause, and the header in the log.
struct Fault {
    text: String,
    status: Option<u16>,
    cause: &'static str,
    header: &'static str,
}

fn options(local: SocketAddr, via: &str) -> String {
    format!(
        "OPTIONS sip:+33612345678@h SIP/2.0\r\nVia: SIP/2.0/{via} {local};branch=z9hG4bKbad;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:a@h>;tag=f\r\nTo: <sip:b@h>\r\nCall-ID: bad\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn fault(text: &str, change: (&str, &str), status: u16, cause: &'static str, header: &'static str) -> Fault {
    assert!(text.contains(change.0), "{} is not in it", change.0);
    Fault {
        text: text.replace(change.0, change.1),
        status: (status > 0).then_some(status),
        cause,
        header,
    }
}

/// Faults of a message, however it comes.
fn of_messages(good: &str) -> Vec<Fault> {
    vec![
        fault(good, ("CSeq: 1 O", "CSeq: x O"), 400, "malformed", "CSeq"),
        fault(good, ("CSeq: 1 OPTIONS", "CSeq: 1 INFO"), 400, "cseq-method", "CSeq"),
        fault(good, ("Call-ID: bad\r\n", ""), 400, "missing", "Call-ID"),
        fault(
            good,
            ("To: <sip:b@h>\r\n", "To: <sip:b@h>\r\nTo: <sip:c@h>\r\n"),
            400,
            "duplicate",
            "To",
        ),
        fault(good, (" SIP/2.0\r\nVia", " SIP/7.0\r\nVia"), 505, "version", ""),
        fault(
            good,
            ("Max-Forwards: 70", "Max-Forwards: 0"),
            483,
            "too-many-hops",
            "Max-Forwards",
        ),
        fault(
            good,
            ("sip:+33612345678@h SIP", "http:nobody SIP"),
            416,
            "uri-scheme",
            "",
        ),
        fault(
            good,
            ("To: ", "Proxy-Require: magic\r\nTo: "),
            420,
            "proxy-require",
            "Proxy-Require",
        ),
    ]
}

fn start() -> (Site, Server) {
    let trunk = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let trunk = trunk.local_addr().expect("bound");
    let text = configuration("127.0.0.1:0", &[trunk], "")
        .replace("\"udp://127.0.0.1:0\"", "\"udp://127.0.0.1:0\", \"tcp://127.0.0.1:0\"")
        .replace("addresses = [\"127.0.0.1\"]", "addresses = [\"127.0.0.0/8\"]");
    let site = Site::new(&text);
    let server = site.start();
    (site, server)
}

fn counted(server: &Server, cause: &str) -> f64 {
    server.metric("clapet_parse_errors_total", &format!("cause=\"{cause}\""))
}

/// Waits until the fault is counted and the log names peer, header and cause.
fn expect_told(server: &Server, peer: SocketAddr, fault: &Fault, before: f64) {
    let deadline = Instant::now() + LONG;
    let is_told = |line: &str| {
        let has = |part: String| line.contains(&part);
        has(format!("peer={peer} "))
            && has(format!("header={} ", fault.header))
            && has(format!("cause={} ", fault.cause))
    };
    loop {
        let messages = server.messages();
        let told = messages.lines().filter(|line| is_told(line)).count();
        if counted(server, fault.cause) > before + 0.5 && told == 1 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {peer} is told {told} times, counted {before} before and {} now:\n{messages}",
            fault.cause,
            counted(server, fault.cause)
        );
    }
}

/// Each has an address of its own, so that none is short of lines.
fn ip(last: u8) -> String {
    format!("127.0.0.{last}")
}

fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let from: IpAddr = from.parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("a port");
    socket.connect(&to.into()).expect("a connection");
    socket.into()
}

#[test]
fn each_fault_over_udp_is_answered_counted_and_told() {
    let (_site, server) = start();
    let proxy = server.listener("udp");
    let count = of_messages(&options(proxy, "UDP")).len();
    for last in 0..=count {
        let socket = UdpSocket::bind((ip(10 + u8::try_from(last).expect("few")), 0)).expect("a socket");
        socket.set_read_timeout(Some(LONG)).expect("a time-out");
        let local = socket.local_addr().expect("bound");
        let good = options(local, "UDP");
        let garbage = Fault {
            text: "hello\r\n\r\n".into(),
            status: None,
            cause: "start-line",
            header: "",
        };
        let fault = of_messages(&good).into_iter().nth(last).unwrap_or(garbage);
        let before = counted(&server, fault.cause);
        socket.send_to(fault.text.as_bytes(), proxy).expect("sent");
        if let Some(status) = fault.status {
            let mut buffer = [0; 4096];
            let (length, _) = socket.recv_from(&mut buffer).expect("an answer");
            let text = String::from_utf8_lossy(&buffer[..length]);
            assert!(
                text.starts_with(&format!("SIP/2.0 {status} ")),
                "{}: {text}",
                fault.cause
            );
        }
        expect_told(&server, local, &fault, before);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn each_fault_over_tcp_is_answered_counted_and_told() {
    let (_site, server) = start();
    let proxy = server.listener("tcp");
    let any = options(proxy, "TCP");
    let of_streams = [
        fault(
            &any,
            ("Content-Length: 0\r\n", ""),
            400,
            "stream-no-content-length",
            "Content-Length",
        ),
        fault(
            &any,
            ("Length: 0", "Length: x"),
            400,
            "stream-content-length",
            "Content-Length",
        ),
        fault(
            &any,
            ("Length: 0", "Length: 99999"),
            513,
            "stream-body-too-large",
            "Content-Length",
        ),
        fault(&any, (any.as_str(), "hello\r\n\r\n"), 0, "stream-garbage", ""),
    ];
    // Those of the framing end the connection, the others do not.
    let faults = of_messages(&any).into_iter().map(|fault| (fault, true));
    let faults = faults.chain(of_streams.into_iter().map(|fault| (fault, false)));
    for (last, (fault, goes_on)) in (10..).zip(faults) {
        let mut stream = connect(&ip(last), proxy);
        stream.set_read_timeout(Some(LONG)).expect("a time-out");
        let local = stream.local_addr().expect("bound");
        let before = counted(&server, fault.cause);
        stream.write_all(fault.text.as_bytes()).expect("sent");
        if let Some(status) = fault.status {
            let mut head = [0; 12];
            stream.read_exact(&mut head).expect("an answer");
            assert_eq!(
                String::from_utf8_lossy(&head),
                format!("SIP/2.0 {status} "),
                "{}",
                fault.cause
            );
        }
        if goes_on {
            stream.write_all(b"\r\n\r\n").expect("it is open");
            let mut rest = Vec::new();
            while !rest.ends_with(b"\r\n\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a pong");
                rest.extend(byte);
            }
        } else {
            stream.read_to_end(&mut Vec::new()).expect("it is closed in order");
        }
        expect_told(&server, local, &fault, before);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_peer_that_sends_nothing_but_faults_fills_no_log() {
    let (_site, server) = start();
    let proxy = server.listener("udp");
    let socket = UdpSocket::bind((ip(9), 0)).expect("a socket");
    socket.set_read_timeout(Some(LONG)).expect("a time-out");
    let good = options(socket.local_addr().expect("bound"), "UDP");
    let bad = good.replace("CSeq: 1 O", "CSeq: x O");
    for _ in 0..500 {
        socket.send_to(bad.as_bytes(), proxy).expect("sent");
        let (length, _) = socket.recv_from(&mut [0; 4096]).expect("an answer");
        assert!(length > 0);
    }
    assert!((counted(&server, "malformed") - 500.0).abs() < 0.5);
    let messages = server.messages();
    let lines = messages.lines().filter(|line| line.contains("bad input")).count();
    // Five at once, and five more for each ten seconds that this took.
    assert!((1..=30).contains(&lines), "{lines} lines");
    assert_eq!(server.stop(), Some(0));
}

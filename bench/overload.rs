//! Whole calls offered at a rate that need not be carried: caller and carrier in one program, over loopback UDP, bounded in count and
//! time. `bench/overload` runs it at rising rates.
//!
//! ```text
//! overload PORT CARRIER RATE SECONDS FIRST
//! ```
//! The caller sends INVITEs to PORT at RATE for SECONDS, to numbers from +33730000000 + FIRST on; nothing is sent again. An answered call
//! is acknowledged and hung up at once, and served when its BYE is answered; 503 is shed. The carrier answers on port CARRIER. Prints one
//! JSON object.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After the last INVITE, what is under way has so long.
const TAIL: Duration = Duration::from_secs(2);

/// Offered at most.
const MOST: u64 = 20_000_000;

fn main() -> std::io::Result<()> {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [port, carrier, rate, seconds, first] = args[..] else {
        eprintln!("overload PORT CARRIER RATE SECONDS FIRST");
        return Ok(());
    };
    let (port, carrier) = (u16::try_from(port).unwrap_or(0), u16::try_from(carrier).unwrap_or(0));
    let ended = Arc::new(AtomicBool::new(false));
    let carrier = {
        let (socket, ended) = (socket(carrier)?, Arc::clone(&ended));
        std::thread::spawn(move || carry(&socket, &ended))
    };
    let mut caller = Caller {
        local: 0,
        socket: socket(0)?,
        port,
        first,
        sent: 0,
        answered: 0,
        served: 0,
        shed: 0,
        other: 0,
    };
    caller.local = caller.socket.local_addr()?.port();
    let began = Instant::now();
    caller.call(rate.max(1), Duration::from_secs(seconds.min(600)))?;
    ended.store(true, Ordering::Relaxed);
    let carried = carrier.join().unwrap_or(0);
    println!(
        "{{\"seconds\": {:.3}, \"offered\": {}, \"carried\": {carried}, \"answered\": {}, \"served\": {}, \"shed\": {}, \"other\": {}}}",
        began.elapsed().saturating_sub(TAIL).as_secs_f64(),
        caller.sent,
        caller.answered,
        caller.served,
        caller.shed,
        caller.other
    );
    Ok(())
}

fn socket(port: u16) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

struct Caller {
    socket: UdpSocket,
    local: u16,
    port: u16,
    first: u64,
    sent: u64,
    answered: u64,
    served: u64,
    shed: u64,
    other: u64,
}

impl Caller {
    fn call(&mut self, rate: u64, period: Duration) -> std::io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let began = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            let passed = began.elapsed();
            if passed >= period + TAIL {
                return Ok(());
            }
            let micros = u64::try_from(passed.min(period).as_micros()).unwrap_or(u64::MAX);
            let due = (micros.saturating_mul(rate) / 1_000_000).min(MOST);
            let mut idle = true;
            // In turns, so that neither sending nor reading starves.
            for _ in 0..(due - self.sent).min(32) {
                self.invite()?;
                idle = false;
            }
            for _ in 0..64 {
                match self.socket.recv(&mut buffer) {
                    Ok(length) => self.answer(&String::from_utf8_lossy(&buffer[..length]))?,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Nobody listens yet, or any more.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                }
                idle = false;
            }
            if idle {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn send(&self, text: &str) -> std::io::Result<()> {
        match self.socket.send_to(text.as_bytes(), (Ipv4Addr::LOCALHOST, self.port)) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => Err(error),
            _ => Ok(()),
        }
    }

    fn invite(&mut self) -> std::io::Result<()> {
        let (local, port, serial) = (self.local, self.port, self.sent);
        let callee = 33_730_000_000 + self.first + serial;
        self.sent += 1;
        self.send(&format!(
            "INVITE sip:+{callee}@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bKi{callee};rport\r\n\
             From: <sip:+33162001234@127.0.0.1>;tag=f{callee}\r\nTo: <sip:+{callee}@127.0.0.1>\r\nCall-ID: {callee}.{local}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:dialer@127.0.0.1:{local}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    fn answer(&mut self, text: &str) -> std::io::Result<()> {
        let status = text.get(8..11).unwrap_or_default();
        let (cseq, to) = (header(text, "CSeq"), header(text, "To"));
        let callee = header(text, "From")
            .split(";tag=f")
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let local = self.local;
        let request = |method: &str, uri: &str, branch: &str, number: u8, route: &str| {
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bK{branch}{callee};rport\r\n{route}\
                 From: <sip:+33162001234@127.0.0.1>;tag=f{callee}\r\nTo: {to}\r\nCall-ID: {callee}.{local}\r\n\
                 CSeq: {number} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
        };
        match (status, cseq) {
            ("200", "1 INVITE") => {
                self.answered += 1;
                let uri = header(text, "Contact").trim_matches(['<', '>']).to_owned();
                let route = format!("Route: {}\r\n", header(text, "Record-Route"));
                self.send(&request("ACK", &uri, "a", 1, &route))?;
                self.send(&request("BYE", &uri, "b", 2, &route))
            }
            ("200", "2 BYE") => {
                self.served += 1;
                Ok(())
            }
            (status, "1 INVITE") if status >= "300" => {
                if status == "503" {
                    self.shed += 1;
                } else {
                    self.other += 1;
                }
                let uri = format!("sip:+{callee}@127.0.0.1:{}", self.port);
                self.send(&request("ACK", &uri, "i", 1, ""))
            }
            _ => Ok(()),
        }
    }
}

/// Answers every INVITE and BYE with 200 until told to end; how many INVITEs came, copies apart.
fn carry(socket: &UdpSocket, ended: &AtomicBool) -> u64 {
    let _ = socket.set_read_timeout(Some(Duration::from_millis(100)));
    let here = socket.local_addr().map_or(0, |address| address.port());
    let mut buffer = [0; 4096];
    let mut invites = 0;
    while !ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        if text.starts_with("ACK") || text.starts_with("SIP/2.0") {
            continue;
        }
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in text.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"];
            if copied.iter().any(|name| line.starts_with(name)) {
                answer += line;
                answer += "\r\n";
            } else if line.starts_with("To:") {
                answer += line;
                answer += if line.contains(";tag=") { "\r\n" } else { ";tag=t\r\n" };
            }
        }
        if text.starts_with("INVITE") {
            invites += 1;
            answer += "Contact: <sip:line@127.0.0.1:";
            answer += &here.to_string();
            answer += ">\r\n";
        }
        answer += "Content-Length: 0\r\n\r\n";
        let _ = socket.send_to(answer.as_bytes(), from);
    }
    invites
}

/// The value of the first header of that name; empty where there is none.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.split("\r\n")
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map_or("", str::trim)
}

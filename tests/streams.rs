//! The server in process over TCP and TLS: calls from end to end, who a client certificate says somebody is, and whom a trunk's
//! certificate must name. Certificates are made as the tests run; every port is one that was free.

#[path = "support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clapet::config::Config;
use clapet::serve::{Server, Setup};
use clapet::sip::message::{Header, Message, Method, Response};
use clapet::sip::transport::{Frame, Framer};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use support::authority::{Authority, Signed};
use tempfile::TempDir;

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(20);

/// One end of a connection, or of datagrams, that reads and writes SIP.
struct Wire {
    stream: Box<dyn Stream>,
    framer: Framer,
    local: SocketAddr,
    remote: SocketAddr,
}

trait Stream: Read + io::Write + Send {}
impl<T: Read + io::Write + Send> Stream for T {}

impl Wire {
    fn tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        Self {
            local: stream.local_addr().expect("bound"),
            remote: stream.peer_addr().expect("connected"),
            stream: Box::new(stream),
            framer: Framer::new(),
        }
    }

    /// A client, with a certificate or without.
    fn tls(proxy: SocketAddr, authority: &Authority, own: Option<&Signed>) -> Self {
        let name = ServerName::try_from("proxy.example").expect("a name");
        let connection = ClientConnection::new(authority.client(own), name).expect("a client");
        let stream = TcpStream::connect(proxy).expect("connected");
        let plain = Self::tcp(stream.try_clone().expect("a second handle"));
        Self {
            stream: Box::new(StreamOwned::new(connection, stream)),
            ..plain
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next message; `None` at the end of the stream, however it ended.
    fn next(&mut self) -> Option<Message> {
        loop {
            match self.framer.next_frame().expect("SIP") {
                Some(Frame::Message(bytes)) => return Some(Message::parse(bytes).expect("SIP")),
                Some(_) => {}
                None => self.read()?,
            }
        }
    }

    fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.framer.buffer().extend_from_slice(&buffer[..read]);
                Some(())
            }
        }
    }

    /// The next final response.
    fn result(&mut self) -> Message {
        loop {
            let message = self.next().expect("a response");
            if message.status() >= 200 {
                return message;
            }
        }
    }

    fn answer(&mut self, request: &Message, status: u16) {
        let contact = format!("<sip:trunk@{}>", self.local);
        let bytes = answer(request, status, &contact, self.remote);
        self.send(&bytes).expect("sent");
    }
}

fn answer(request: &Message, status: u16, contact: &str, remote: SocketAddr) -> Bytes {
    let mut headers = vec![("Contact", contact)];
    headers.extend(request.values(Header::RecordRoute).map(|route| ("Record-Route", route)));
    let response = Response {
        request,
        status,
        phrase: "",
        to_tag: "callee",
        received_from: Some(remote),
        headers: &headers,
    };
    response.write(&mut BytesMut::new())
}

/// Takes every connection, and hands on each message with what answers by its connection.
fn serve_all(listener: TcpListener) -> Receiver<(Wire, Message)> {
    let (tell, arrivals) = channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut wire = Wire::tcp(stream.try_clone().expect("a second handle"));
                while let Some(message) = wire.next() {
                    let back = Wire::tcp(stream.try_clone().expect("a third handle"));
                    // The test is over.
                    if tell.send((back, message)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    arrivals
}

/// A trunk that takes TLS connections with a certificate.
fn accept_tls(listener: &TcpListener, own: &Signed) -> Wire {
    let connection = ServerConnection::new(own.server()).expect("a server");
    let (stream, _) = listener.accept().expect("a connection");
    let plain = Wire::tcp(stream.try_clone().expect("a second handle"));
    Wire {
        stream: Box::new(StreamOwned::new(connection, stream)),
        ..plain
    }
}

fn invite(transport: &str, local: SocketAddr, call: &str, body: &str) -> String {
    let upper = transport.to_uppercase();
    format!(
        "INVITE sip:0612345678@proxy.example SIP/2.0\r\nVia: SIP/2.0/{upper} {local};branch=z9hG4bK{call};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:0162001001@proxy.example>;tag=caller\r\nTo: <sip:0612345678@proxy.example>\r\n\
         Call-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:pbx@{local};transport={transport}>\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct World {
    server: Server,
    folder: TempDir,
}

impl World {
    /// A server with `more` in its configuration, on UDP and TCP, and on TLS where `tls` stands in `[sip]`.
    fn start(folder: TempDir, workers: usize, tls: &str, more: &str) -> Self {
        let listen = if tls.is_empty() { "" } else { ", \"tls://127.0.0.1:0\"" };
        let mut text = format!(
            "[sip]\nlisten = [\"udp://127.0.0.1:0\", \"tcp://127.0.0.1:0\"{listen}]\n{tls}\n[store]\npath = {:?}\n",
            folder.path().join("store").display().to_string()
        );
        // Writing into a String cannot fail.
        let _ = write!(text, "[api]\nlisten = \"127.0.0.1:0\"\n{more}");
        let mut config = Config::parse(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        config.sip.workers = workers;
        let setup = Setup {
            api: false,
            ..Setup::default()
        };
        Self {
            server: Server::start(config, setup).expect("started"),
            folder,
        }
    }

    fn address(&self, scheme: &str) -> SocketAddr {
        let scheme = format!("{scheme}://");
        let addresses = &self.server.addresses().sip;
        let found = addresses.iter().find_map(|address| address.strip_prefix(&scheme));
        found.expect("a listener").parse().expect("an address")
    }

    fn client(&self) -> Wire {
        Wire::tcp(TcpStream::connect(self.address("tcp")).expect("connected"))
    }

    fn end(self) {
        self.server.close().expect("closed");
        drop(self.folder);
    }
}

fn source(more: &str) -> String {
    format!("[[source]]\nid = \"pbx\"\ndialling = \"manual\"\npurpose = \"other\"\n{more}\n")
}

fn trunk(id: &str, target: &str, more: &str) -> String {
    format!("[[trunk]]\nid = \"{id}\"\ntarget = \"{target}\"\n{more}\n")
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn a_dialog_goes_over_tcp_both_ways_whichever_worker_has_it() {
    let (carrier, target) = listener();
    let more = source("addresses = [\"127.0.0.1\"]") + &trunk("carrier", &format!("sip:{target};transport=tcp"), "");
    let world = World::start(folder(), 2, "", &more);
    let mut pbx = world.client();
    let body = "x".repeat(64 * 1024);
    let arrivals = serve_all(carrier);
    let mut ways = HashSet::new();
    for call in 0..8 {
        let call = format!("call-{call}");
        pbx.send(invite("tcp", pbx.local, &call, &body).as_bytes())
            .expect("sent");
        let (mut callee, received) = arrivals.recv_timeout(LONG).expect("an INVITE");
        assert_eq!((received.method(), received.call_id()), (Method::Invite, call.as_str()));
        assert_eq!(received.body(), body.as_bytes());
        assert!(received.via().is_some_and(|via| via.raw.starts_with("SIP/2.0/TCP ")));
        let routes: Vec<&str> = received.values(Header::RecordRoute).collect();
        assert!(routes.len() == 1 && routes[0].contains(";transport=tcp"), "{routes:?}");
        ways.insert(callee.remote);
        callee.answer(&received, 200);
        let answered = pbx.result();
        assert_eq!((answered.status(), answered.call_id()), (200, call.as_str()));
        // The callee hangs up: by the connection the call came by, and on by the one the PBX made.
        let bye = format!(
            "BYE sip:pbx@{};transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP {target};branch=z9hG4bKbye{call}\r\nMax-Forwards: 70\r\n\
             Route: {}\r\nFrom: <sip:0612345678@proxy.example>;tag=callee\r\nTo: <sip:0162001001@proxy.example>;tag=caller\r\n\
             Call-ID: {call}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            pbx.local, routes[0]
        );
        callee.send(bye.as_bytes()).expect("sent");
        let received = pbx.next().expect("a BYE");
        assert_eq!((received.method(), received.call_id()), (Method::Bye, call.as_str()));
        pbx.answer(&received, 200);
        let answered = loop {
            let (_, message) = arrivals.recv_timeout(LONG).expect("an answer");
            if !message.is_request() && message.status() >= 200 {
                break message;
            }
        };
        assert_eq!((answered.status(), answered.call_id()), (200, call.as_str()));
    }
    // One for each worker that had a call: with eight of them, nearly always both.
    assert!((1..=2).contains(&ways.len()), "{ways:?}");
    world.end();
}

#[test]
fn udp_to_tls_records_both_sides_and_the_trunk_is_verified() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "authority");
    let (carrier, target) = listener();
    let ca = format!("ca = {:?}", authority.file().display().to_string());
    let host = format!("sip:localhost:{};transport=tls", target.port());
    let more = source("addresses = [\"127.0.0.1\"]") + &trunk("carrier", &host, &ca);
    let world = World::start(folder, 1, &authority.proxy(), &more);
    let own = authority.sign("localhost");
    let callee = std::thread::spawn(move || {
        let mut wire = accept_tls(&carrier, &own);
        let received = wire.next().expect("an INVITE");
        wire.answer(&received, 486);
        received
    });
    let pbx = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    pbx.set_read_timeout(Some(LONG)).expect("a timeout");
    let local = pbx.local_addr().expect("bound");
    pbx.send_to(invite("udp", local, "over-tls", "").as_bytes(), world.address("udp"))
        .expect("sent");
    let status = loop {
        let mut buffer = [0; 8192];
        let (length, _) = pbx.recv_from(&mut buffer).expect("a response");
        let message = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
        if message.status() >= 200 {
            break message.status();
        }
    };
    assert_eq!(status, 486);
    let received = callee.join().expect("the callee");
    assert!(received.via().is_some_and(|via| via.raw.starts_with("SIP/2.0/TLS ")));
    let routes: Vec<&str> = received.values(Header::RecordRoute).collect();
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(
        routes[0].contains(";transport=tls") && !routes[1].contains("transport"),
        "{routes:?}"
    );
    world.end();
}

#[test]
fn a_trunk_with_the_wrong_name_gets_no_call() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "authority");
    let (carrier, target) = listener();
    let (second, next) = listener();
    let ca = format!("ca = {:?}", authority.file().display().to_string());
    let host = format!("sip:localhost:{};transport=tls", target.port());
    let more = source("addresses = [\"127.0.0.1\"]")
        + &trunk("carrier", &host, &ca)
        + &trunk("next", &format!("sip:{next};transport=tcp"), "priority = 2");
    let world = World::start(folder, 1, &authority.proxy(), &more);
    let own = authority.sign("other.example");
    let refused = std::thread::spawn(move || accept_tls(&carrier, &own).next().is_none());
    let mut pbx = world.client();
    pbx.send(invite("tcp", pbx.local, "wrong-name", "").as_bytes())
        .expect("sent");
    let mut wire = Wire::tcp(second.accept().expect("a connection").0);
    let received = wire.next().expect("an INVITE");
    wire.answer(&received, 486);
    assert_eq!(pbx.result().status(), 486, "the next trunk has it");
    assert!(refused.join().expect("the carrier"), "it saw no message");
    world.end();
}

#[test]
fn a_client_certificate_says_who_a_source_is_and_its_address_does_not() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let (carrier, target) = listener();
    let more = source("certificate = \"pbx.example\"\naddresses = [\"127.0.0.1\"]")
        + &trunk("carrier", &format!("sip:{target};transport=tcp"), "");
    let (own, other, false_one) = (
        authority.sign("pbx.example"),
        authority.sign("other.example"),
        stranger.sign("pbx.example"),
    );
    let world = World::start(folder, 1, &authority.proxy(), &more);
    let proxy = world.address("tls");
    let unknown = |mut wire: Wire, transport, call| {
        let local = wire.local;
        wire.send(invite(transport, local, call, "").as_bytes()).expect("sent");
        let answered = wire.result();
        let reason = answered.first(Header::Reason).unwrap_or_default().to_owned();
        assert!(
            answered.status() == 403 && reason.contains("source.unknown"),
            "{call}: {reason}"
        );
    };
    unknown(Wire::tls(proxy, &authority, None), "tls", "without");
    unknown(Wire::tls(proxy, &authority, Some(&other)), "tls", "another");
    unknown(world.client(), "tcp", "by-address");
    // One that we do not believe does not even get through the handshake.
    let mut believed = Wire::tls(proxy, &authority, Some(&false_one));
    let local = believed.local;
    let _ = believed.send(invite("tls", local, "unbelieved", "").as_bytes());
    assert!(believed.next().is_none());

    let mut pbx = Wire::tls(proxy, &authority, Some(&own));
    let local = pbx.local;
    pbx.send(invite("tls", local, "known", "").as_bytes()).expect("sent");
    let mut wire = Wire::tcp(carrier.accept().expect("a connection").0);
    let received = wire.next().expect("an INVITE");
    assert_eq!(received.call_id(), "known", "nobody else's came through");
    wire.answer(&received, 486);
    assert_eq!(pbx.result().status(), 486);
    world.end();
}

#[test]
fn a_client_whose_certificate_names_its_host_takes_calls_by_the_connection_it_made() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "authority");
    let carrier = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    carrier.set_read_timeout(Some(LONG)).expect("a timeout");
    let trunk_at = carrier.local_addr().expect("bound");
    // Nobody listens there: a call can only come by the connection.
    let port = listener().1.port();
    let more = source(&format!(
        "certificate = \"127.0.0.1\"\ntarget = \"sip:127.0.0.1:{port};transport=tls\"\ninbound = [\"0162001000-0162001999\"]"
    )) + &trunk("carrier", &format!("sip:{trunk_at}"), "");
    let own = authority.sign("127.0.0.1");
    let ca = format!("ca = {:?}\n", authority.file().display().to_string());
    let world = World::start(folder, 1, &(authority.proxy() + &ca), &more);
    let mut pbx = Wire::tls(world.address("tls"), &authority, Some(&own));
    let sent_by = format!("127.0.0.1:{port}");
    let options = format!(
        "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/TLS {sent_by};branch=z9hG4bKo;alias\r\nMax-Forwards: 70\r\n\
         From: <sip:pbx@{sent_by}>;tag=o\r\nTo: <sip:proxy>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        world.address("tls")
    );
    pbx.send(options.as_bytes()).expect("sent");
    assert_eq!(pbx.result().status(), 200);
    let call = invite("udp", trunk_at, "inbound", "").replace("0612345678", "0162001234");
    carrier.send_to(call.as_bytes(), world.address("udp")).expect("sent");
    let received = pbx.next().expect("an INVITE");
    assert_eq!((received.method(), received.call_id()), (Method::Invite, "inbound"));
    world.end();
}

#[test]
fn a_large_request_goes_over_tcp_where_its_trunk_takes_that() {
    // Both of one port: tried until there is one.
    let (carrier, target, datagrams) = (0..100)
        .find_map(|_| {
            let (carrier, target) = listener();
            Some((carrier, target, UdpSocket::bind(target).ok()?))
        })
        .expect("a free port");
    datagrams.set_read_timeout(Some(LONG)).expect("a timeout");
    let more =
        source("addresses = [\"127.0.0.1\"]") + &trunk("carrier", &format!("sip:{target}"), "large_over_tcp = true");
    let world = World::start(folder(), 1, "", &more);
    let mut pbx = world.client();
    pbx.send(invite("tcp", pbx.local, "small", "").as_bytes())
        .expect("sent");
    let mut buffer = [0; 8192];
    let (length, from) = datagrams.recv_from(&mut buffer).expect("a datagram");
    let received = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
    assert!(received.via().is_some_and(|via| via.raw.starts_with("SIP/2.0/UDP ")));
    datagrams
        .send_to(&answer(&received, 486, "<sip:trunk@carrier>", from), from)
        .expect("sent");
    assert_eq!(pbx.result().status(), 486);

    pbx.send(invite("tcp", pbx.local, "large", &"x".repeat(1300)).as_bytes())
        .expect("sent");
    let mut wire = Wire::tcp(carrier.accept().expect("a connection").0);
    let received = wire.next().expect("an INVITE");
    assert!(received.via().is_some_and(|via| via.raw.starts_with("SIP/2.0/TCP ")));
    assert!(
        received
            .values(Header::RecordRoute)
            .next()
            .is_some_and(|route| route.contains(";transport=tcp"))
    );
    wire.answer(&received, 486);
    assert_eq!(pbx.result().call_id(), "large");
    world.end();
}

#[test]
fn calls_go_on_after_the_trunk_was_restarted() {
    let (carrier, target) = listener();
    let more = source("addresses = [\"127.0.0.1\"]") + &trunk("carrier", &format!("sip:{target};transport=tcp"), "");
    let world = World::start(folder(), 1, "", &more);
    let mut pbx = world.client();
    let mut before = {
        let (call, local) = ("before", pbx.local);
        pbx.send(invite("tcp", local, call, "").as_bytes()).expect("sent");
        let mut wire = Wire::tcp(carrier.accept().expect("a connection").0);
        let received = wire.next().expect("an INVITE");
        wire.answer(&received, 486);
        assert_eq!(pbx.result().call_id(), call);
        wire
    };
    // It waits until the proxy has acknowledged, so that the connection ends with nothing under way.
    assert_eq!(before.next().map(|ack| ack.method()), Some(Method::Ack));
    drop((before, carrier));
    let arrivals = serve_all(TcpListener::bind(target).expect("the same port"));
    std::thread::spawn(move || {
        while let Ok((mut wire, message)) = arrivals.recv() {
            if message.method() == Method::Invite {
                wire.answer(&message, 486);
            }
        }
    });
    // Until the proxy has seen the end, a call may still be written to it: that one is answered at once, not left to wait.
    let status = (0..100)
        .map(|attempt| {
            let local = pbx.local;
            pbx.send(invite("tcp", local, &format!("after-{attempt}"), "").as_bytes())
                .expect("sent");
            pbx.result().status()
        })
        .find(|status| *status < 500);
    assert_eq!(status, Some(486));
    world.end();
}

//! Calls from a trunk to a PBX whose `target` is a name (RFC 3263): the server in process, asking a name server of the test's own. A
//! PBX that moves is followed, one with several addresses is tried at each, and one that cannot be found stops nothing.

#[path = "support/mod.rs"]
mod support;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clapet::api::Host as _;
use clapet::config::Config;
use clapet::serve::{Server, Setup};
use clapet::sip::message::{Message, Response};
use hickory_resolver::proto::rr::RecordType;
use support::dns::NameServer;
use tempfile::TempDir;

/// Nothing here takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

/// From one look at what has changed to the next.
const LOOK: Duration = Duration::from_millis(50);

/// An hour, which is longer than any test.
const HOUR: u32 = 3600;

struct World {
    server: Server,
    /// The trunk, known by its address.
    carrier: UdpSocket,
    calls: AtomicUsize,
    text: String,
    _folder: TempDir,
}

impl World {
    /// One trunk, and one source that calls to 01 62 00 10 00 lead to.
    fn start(names: &NameServer, target: &str) -> Self {
        let carrier = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        carrier.set_read_timeout(Some(LONG)).expect("a time-out");
        let folder = TempDir::new().expect("a folder");
        let store = folder.path().join("store").display().to_string();
        let text = format!(
            "[sip]\nlisten = [\"udp://127.0.0.1:0\"]\nnameservers = [\"{}\"]\n[store]\npath = {store:?}\n\
             [api]\nlisten = \"127.0.0.1:0\"\n\
             [[source]]\nid = \"pbx\"\ndialling = \"manual\"\npurpose = \"other\"\naddresses = [\"127.0.0.9\"]\n\
             target = \"{target}\"\ninbound = [\"+33162001000\"]\n\
             [[trunk]]\nid = \"carrier\"\ntarget = \"sip:{}\"\n",
            names.address,
            carrier.local_addr().expect("bound")
        );
        let setup = Setup {
            api: false,
            ..Setup::default()
        };
        let server = Server::start(read(&text), setup).expect("a name that is not found yet stops no start");
        Self {
            server,
            carrier,
            calls: AtomicUsize::new(0),
            text,
            _folder: folder,
        }
    }

    /// The carrier calls the PBX's number; the final status.
    fn call(&self) -> u16 {
        let proxy = self.server.sip()[0];
        let local = self.carrier.local_addr().expect("bound");
        let call = format!("call-{}", self.calls.fetch_add(1, Ordering::Relaxed));
        let invite = format!(
            "INVITE sip:+33162001000@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:0612345678@{local}>;tag=f\r\nTo: <sip:+33162001000@{proxy}>\r\nCall-ID: {call}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:carrier@{local}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.carrier.send_to(invite.as_bytes(), proxy).expect("sent");
        loop {
            let mut buffer = [0; 8192];
            let (length, _) = self.carrier.recv_from(&mut buffer).expect("a response");
            let answer = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
            // Repeated answers to calls before: they are not acknowledged here.
            if answer.call_id() == call && answer.status() >= 200 {
                return answer.status();
            }
        }
    }

    /// Places calls until one ends with that status.
    fn call_until(&self, status: u16) {
        let deadline = Instant::now() + LONG;
        while self.call() != status {
            assert!(Instant::now() < deadline, "no call ended with {status}");
            std::thread::sleep(LOOK);
        }
    }

    fn degraded(&self) -> Vec<String> {
        self.server.control().state().degraded
    }

    fn end(self) {
        self.server.close().expect("closed");
    }
}

fn read(text: &str) -> Config {
    let config = Config::parse(text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.warnings, [""; 0]);
    config
}

/// A PBX that answers each INVITE with one status, until the test ends.
fn pbx(status: u16) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
            if request.method_name() != "INVITE" {
                continue;
            }
            assert!(
                request.request_uri().starts_with("sip:+33162001000@pbx.example"),
                "the URI names the host, wherever it is: {}",
                request.request_uri()
            );
            let response = Response {
                request: &request,
                status,
                phrase: "",
                to_tag: "callee",
                received_from: None,
                headers: &[],
            };
            let sent = socket.send_to(&response.write(&mut BytesMut::new()), from);
            sent.expect("sent");
        }
    });
    address
}

#[test]
fn a_pbx_that_moves_is_followed_and_stays_where_it_was_while_nothing_can_be_found() {
    let names = NameServer::start(HOUR);
    let (before, after) = (pbx(486), pbx(480));
    let service = "_sip._udp.pbx.example";
    names.srv(service, 1, &[(1, before.port(), "host.pbx.example")]);
    names.address("host.pbx.example", HOUR, "127.0.0.1");
    let world = World::start(&names, "sip:pbx.example");
    assert_eq!(world.call(), 486);
    names.srv(service, 1, &[(1, after.port(), "host.pbx.example")]);
    world.call_until(480);
    assert_eq!(
        names.asked("pbx.example", RecordType::NAPTR),
        1,
        "that there is none is believed for as long as the zone says"
    );

    names.fall_silent();
    let asked = names.asked(service, RecordType::SRV);
    let deadline = Instant::now() + LONG;
    while names.asked(service, RecordType::SRV) < asked + 2 {
        assert!(Instant::now() < deadline, "it is not asked again");
        assert_eq!(world.call(), 480);
        std::thread::sleep(LOOK);
    }
    // A reload forgets nothing of what was found.
    world.server.control().replace(read(&world.text)).expect("reloaded");
    assert_eq!(world.call(), 480);
    world.end();
}

#[test]
fn every_address_of_a_pbx_is_tried_before_a_call_to_it_fails() {
    let names = NameServer::start(HOUR);
    let (first, second) = (pbx(503), pbx(486));
    names.naptr("pbx.example", HOUR, &[(10, "SIP+D2U", "_sip._udp.core.pbx.example")]);
    names.srv(
        "_sip._udp.core.pbx.example",
        HOUR,
        &[
            (2, second.port(), "host.pbx.example"),
            (1, first.port(), "host.pbx.example"),
        ],
    );
    names.address("host.pbx.example", HOUR, "127.0.0.1");
    let world = World::start(&names, "sip:pbx.example");
    assert_eq!(world.call(), 486, "a 503 of the first leads to the second");
    world.end();
}

#[test]
fn a_pbx_that_cannot_be_found_stops_no_start_and_is_called_once_it_is_there() {
    let names = NameServer::start(1);
    let port = pbx(486).port();
    let world = World::start(&names, &format!("sip:pbx.example:{port}"));
    assert_eq!(world.call(), 500);
    let said = world.degraded();
    assert_eq!(
        said,
        ["the name of source pbx was not found yet: no call goes there until it is"]
    );
    names.address("pbx.example", HOUR, "127.0.0.1");
    world.call_until(486);
    assert_eq!(world.degraded(), [""; 0]);
    world.end();
}

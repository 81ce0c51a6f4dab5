//! A server in process whose peers are names, one who calls through it, and those who answer.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clapet::config::Config;
use clapet::serve::{Server, Setup};
use clapet::sip::message::{Message, Response};
use hickory_resolver::proto::rr::RecordType;
use tempfile::TempDir;

use super::dns::NameServer;

/// Nothing here takes this long; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// From one look at what has changed to the next.
pub const LOOK: Duration = Duration::from_millis(50);

/// An hour, which is longer than any test.
pub const HOUR: u32 = 3600;

/// The server, and one peer of it who calls.
pub struct Site {
    pub server: Server,
    /// Its configuration.
    pub text: String,
    caller: UdpSocket,
    /// User parts of whom it calls as, and whom.
    from: &'static str,
    to: &'static str,
    calls: AtomicUsize,
    _folder: TempDir,
}

impl Site {
    /// With this configuration from `[sip]` on; the name server and the store are put before it.
    pub fn start(
        folder: TempDir,
        names: &NameServer,
        caller: UdpSocket,
        (from, to): (&'static str, &'static str),
        text: &str,
    ) -> Self {
        caller.set_read_timeout(Some(LONG)).expect("a time-out");
        let setup = Setup {
            api: false,
            ..Setup::default()
        };
        let store = folder.path().join("store").display().to_string();
        let text = format!(
            "[store]\npath = {store:?}\n[api]\nlisten = \"127.0.0.1:0\"\n[sip]\nnameservers = [\"{}\"]\n{text}",
            names.address
        );
        Self {
            server: Server::start(read(&text), setup).expect("a name that is not found yet stops no start"),
            text,
            caller,
            from,
            to,
            calls: AtomicUsize::new(0),
            _folder: folder,
        }
    }

    /// Places a call; its final status.
    pub fn call(&self) -> u16 {
        let (from, to) = (self.from, self.to);
        let proxy = self.server.sip()[0];
        let local = self.caller.local_addr().expect("bound");
        let call = format!("call-{}", self.calls.fetch_add(1, Ordering::Relaxed));
        let invite = format!(
            "INVITE sip:{to}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{from}@{local}>;tag=f\r\nTo: <sip:{to}@{proxy}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:caller@{local}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.caller.send_to(invite.as_bytes(), proxy).expect("sent");
        loop {
            let mut buffer = [0; 8192];
            let (length, _) = self.caller.recv_from(&mut buffer).expect("a response");
            let answer = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
            // Repeated answers to calls before: they are not acknowledged here.
            if answer.call_id() == call && answer.status() >= 200 {
                return answer.status();
            }
        }
    }

    /// Places calls until one ends with that status.
    pub fn call_until(&self, status: u16) {
        let deadline = Instant::now() + LONG;
        while self.call() != status {
            assert!(Instant::now() < deadline, "no call ended with {status}");
            std::thread::sleep(LOOK);
        }
    }

    /// Calls end with that status while the name server, which says nothing any more, is asked for the service twice again.
    pub fn calls_while_nothing_is_found(&self, names: &NameServer, service: &str, status: u16) {
        names.fall_silent();
        let asked = names.asked(service, RecordType::SRV);
        let deadline = Instant::now() + LONG;
        while names.asked(service, RecordType::SRV) < asked + 2 {
            assert!(Instant::now() < deadline, "it is not asked again");
            assert_eq!(self.call(), status);
            std::thread::sleep(LOOK);
        }
        assert_eq!(self.call(), status);
    }

    pub fn end(self) {
        self.server.close().expect("closed");
    }
}

pub fn read(text: &str) -> Config {
    let config = Config::parse(text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.warnings, [""; 0]);
    config
}

/// Somebody who answers each INVITE over UDP with one status, until the test ends; each is shown to `look`.
pub fn answering(ip: &str, status: u16, look: fn(&Message)) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = Message::parse(Bytes::copy_from_slice(&buffer[..length])).expect("SIP");
            if request.method_name() == "INVITE" {
                look(&request);
                let sent = socket.send_to(&answer(&request, status), from);
                sent.expect("sent");
            }
        }
    });
    address
}

pub fn answer(request: &Message, status: u16) -> Bytes {
    let response = Response {
        request,
        status,
        phrase: "",
        to_tag: "callee",
        received_from: None,
        headers: &[],
    };
    response.write(&mut BytesMut::new())
}

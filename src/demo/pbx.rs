//! The contact centre's end: a socket that places calls as a PBX does, and hangs up.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::sip::message::{Header, Message, Method, NameAddr};

/// T1: an INVITE is sent again while nothing comes (RFC 3261 §17.1.1.2).
const T1: Duration = Duration::from_millis(500);

/// Longest wait for a final answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// One line of the PBX: the proxy knows it by its address.
pub(super) struct Pbx {
    socket: UdpSocket,
    local: SocketAddr,
    proxy: SocketAddr,
    calls: u32,
}

/// The final answer to a call.
pub(super) struct Answered {
    pub status: u16,
    pub reason: Option<String>,
    pub warning: Option<String>,
}

impl Pbx {
    /// A line on a free port; told the proxy's address later, by [`Pbx::connect`].
    pub(super) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            proxy: local,
            calls: 0,
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn connect(&mut self, proxy: SocketAddr) {
        self.proxy = proxy;
    }

    /// Places a call and, where it is answered, hangs up. `from` is a name-addr or URI. `None`: no final answer came.
    pub(super) fn call(&mut self, from: &str, to: &str) -> io::Result<Option<Answered>> {
        self.calls += 1;
        let dialog = Dialog {
            uri: format!("sip:{to}@{}", self.proxy),
            from: format!("{from};tag=pbx{}", self.calls),
            id: format!("{}-{}@{}", self.local.port(), self.calls, self.local),
            local: self.local,
        };
        let to = format!("<{}>", dialog.uri);
        let invite = dialog.request("INVITE", &dialog.uri, &to, "1", "i", "");
        let Some(answer) = self.transact(&invite, Method::Invite, &dialog.id)? else {
            return Ok(None);
        };
        let to = answer.first(Header::To).unwrap_or(&to).to_owned();
        if (200..300).contains(&answer.status()) {
            let mut recorded: Vec<&str> = answer.values(Header::RecordRoute).collect();
            recorded.reverse();
            let routes = recorded
                .iter()
                .fold(String::new(), |routes, route| routes + "Route: " + route + "\r\n");
            let contact = answer.first(Header::Contact).and_then(NameAddr::parse);
            let target = contact.map_or(dialog.uri.clone(), |contact| contact.uri.raw.to_owned());
            let ack = dialog.request("ACK", &target, &to, "1", "a", &routes);
            self.socket.send_to(ack.as_bytes(), self.proxy)?;
            let bye = dialog.request("BYE", &target, &to, "2", "b", &routes);
            self.transact(&bye, Method::Bye, &dialog.id)?;
        } else {
            // The ACK of a refusal belongs to the INVITE's transaction: same branch (RFC 3261 §17.1.1.3).
            let ack = dialog.request("ACK", &dialog.uri, &to, "1", "i", "");
            self.socket.send_to(ack.as_bytes(), self.proxy)?;
        }
        Ok(Some(Answered {
            status: answer.status(),
            reason: answer.first(Header::Reason).map(str::to_owned),
            warning: answer.first(Header::Warning).map(str::to_owned),
        }))
    }

    /// Sends a request, again after T1, until its final answer comes.
    fn transact(&self, request: &str, method: Method, call: &str) -> io::Result<Option<Message>> {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(T1))?;
        while began.elapsed() < PATIENCE {
            self.socket.send_to(request.as_bytes(), self.proxy)?;
            loop {
                let length = match self.socket.recv_from(&mut buffer) {
                    Ok((length, _)) => length,
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
                    Err(error) => return Err(error),
                };
                let Ok(message) = Message::parse(Bytes::copy_from_slice(&buffer[..length])) else {
                    continue;
                };
                if message.status() >= 200 && message.method() == method && message.call_id() == call {
                    return Ok(Some(message));
                }
            }
        }
        Ok(None)
    }
}

/// What the requests of one call have in common.
struct Dialog {
    uri: String,
    from: String,
    id: String,
    local: SocketAddr,
}

impl Dialog {
    fn request(&self, method: &str, uri: &str, to: &str, cseq: &str, branch: &str, routes: &str) -> String {
        let Self { from, id, local, .. } = self;
        // ACK of a 2xx and INVITE share the CSeq number, not the branch.
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch}{};rport\r\nMax-Forwards: 70\r\n{routes}\
             From: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:pbx@{local}>\r\n\
             Content-Length: 0\r\n\r\n",
            id.split('@').next().unwrap_or_default()
        )
    }
}

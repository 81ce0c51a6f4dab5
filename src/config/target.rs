//! Where the URI of a `target` leads: read and checked for [`super::parties`]. A name is looked up once here, by the system's resolver
//! and for a bounded time, so that a slip shows as a warning; the running server follows it (RFC 3263).

use std::cell::Cell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use toml::Spanned;

use super::Listen;
use super::section::Faults;
use super::server::SipRead;
use super::values::{SIP_PORT, SIPS_PORT};
use crate::sip::Transport;
use crate::sip::message::Uri;
use crate::sip::peer::Target;

/// Reads the targets of one configuration.
pub(super) struct Targets<'c> {
    /// `None`: `[sip]` is at fault, and nothing is compared with it.
    sip: Option<&'c SipRead>,
    /// What all look-ups together may still take.
    left: Cell<Duration>,
}

/// A target, and whether TLS may be the way to it.
pub(super) struct Read {
    pub target: Target,
    pub tls: UsesTls,
}

/// May a target be reached by TLS?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsesTls {
    /// The URI says so.
    Always,
    /// Its name decides (RFC 3263 §4.1), and there is a socket for it.
    Perhaps,
    Never,
}

impl<'c> Targets<'c> {
    pub(super) fn new(sip: Option<&'c SipRead>) -> Self {
        Self {
            sip,
            left: Cell::new(LOOK_UPS),
        }
    }

    /// Where a target's URI leads. A name that cannot be found yet is a warning.
    pub(super) fn read(&self, written: &Spanned<String>, faults: &Faults) -> Option<Read> {
        let text = written.get_ref();
        let fail = |message: String| {
            faults.push(written.span(), message);
            None
        };
        let uri = Uri::parse(text).filter(|uri| uri.user.is_none() && uri.headers.is_empty());
        let Some((uri, host)) = uri.and_then(|uri| Some((uri, uri.host_port?))) else {
            return fail(format!(
                "{text:?}: expected a URI such as \"sip:192.0.2.1:5060;transport=udp\""
            ));
        };
        let transport = match (uri.transport(), uri.param("transport")) {
            (None, Some(other)) => return fail(format!("transport {other:?}: expected udp, tcp or tls")),
            (said, _) => said,
        };
        // RFC 3263 §4.1: an address or a port leaves the choice of the transport to nobody.
        let chosen = transport.or((host.ip().is_some() || host.port.is_some()).then_some(Transport::Udp));
        let tls = match chosen {
            Some(Transport::Tls) => UsesTls::Always,
            None if self.listens(|socket| socket.transport == Transport::Tls) => UsesTls::Perhaps,
            _ => UsesTls::Never,
        };
        let unreachable = || {
            format!("{text:?}: no [sip] listen socket has the transport and address family (IPv4, IPv6) to reach it")
        };
        let transport = chosen.unwrap_or(Transport::Udp);
        let port = match host.port {
            Some(0) => return fail(unreachable()),
            Some(port) => port,
            None if transport == Transport::Tls => SIPS_PORT,
            None => SIP_PORT,
        };
        let reachable = |address: &SocketAddr| {
            self.listens(|socket| socket.transport == transport && socket.address.is_ipv4() == address.is_ipv4())
        };
        let at = |address| Target {
            uri: Arc::from(text.as_str()),
            address,
            transport,
        };
        if let Some(ip) = host.ip() {
            let target = at(SocketAddr::new(ip, port));
            if !reachable(&target.address) {
                return fail(unreachable());
            }
            return Some(Read { target, tls });
        }
        if chosen.is_some() && !self.listens(|socket| socket.transport == transport) {
            return fail(unreachable());
        }
        let target = match self.look_up(host.host, port) {
            Ok(found) => found.into_iter().find(reachable).map(at).ok_or_else(unreachable),
            Err(why) => Err(why),
        };
        let target = target.unwrap_or_else(|why| {
            if !self.asks_others() {
                let why = format!(
                    "the host {:?} cannot be found ({why}): no call goes there until it is",
                    host.host
                );
                faults.warn(written.span(), why);
            }
            Target::lost(text, transport)
        });
        Some(Read { target, tls })
    }

    fn listens(&self, such: impl Fn(&Listen) -> bool) -> bool {
        self.sip.is_none_or(|sip| sip.listen.iter().any(such))
    }

    /// Name servers are configured: only those are asked, once the server runs.
    fn asks_others(&self) -> bool {
        self.sip.is_some_and(|sip| !sip.nameservers.is_empty())
    }

    /// By the host table and DNS, within the time that is left.
    fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if self.asks_others() {
            return Err(String::new());
        }
        let (started, left) = (Instant::now(), self.left.get());
        let host = host.to_owned();
        let found = within(left, move || {
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        self.left.set(left.saturating_sub(started.elapsed()));
        match found {
            Some(found) => found.map_err(|error: std::io::Error| error.to_string()),
            None => Err("no answer in time".to_owned()),
        }
    }
}

/// What a thread of its own gives within that time. One that takes longer ends when it ends: nothing stops the system's resolver.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if limit.is_zero() {
        return None;
    }
    let (give, given) = mpsc::sync_channel(1);
    // Nobody waits for it any more where sending fails.
    let thread = std::thread::Builder::new().spawn(move || drop(give.send(work())));
    thread.ok().and_then(|_| given.recv_timeout(limit).ok())
}

/// How long the look-ups of one configuration may take in all: a start with a dead name server is late by so much.
const LOOK_UPS: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;

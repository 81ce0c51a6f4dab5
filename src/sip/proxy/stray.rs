//! Responses that no transaction of ours waits for. They are dropped (RFC 6026 §8.7), except those to a request of another process
//! with our secret, a neighbour or a predecessor: they are passed on if they go to somebody we know.

use std::net::SocketAddr;

use super::Proxy;
use super::counters::Kind;
use super::keys::Stamp;
use crate::sip::message::{Header, Message, Via};
use crate::sip::peer::Peer;
use crate::sip::{Flow, Transport};

impl Proxy {
    pub(super) fn stray(&mut self, flow: Flow, stamp: &Stamp, response: &Message) {
        let keys = &self.core.keys;
        if stamp.instance == keys.instance() || !keys.is_ours(stamp, response) {
            return;
        }
        let Some(via) = response.values(Header::Via).nth(1).and_then(Via::parse) else {
            return;
        };
        let Some(remote) = destination(&via) else { return };
        if self.routed.directory.identify(remote) == Peer::Unknown {
            return;
        }
        let Some(flow) = self
            .core
            .flow(flow.listener, remote, via.transport.unwrap_or(Transport::Udp))
        else {
            return;
        };
        let bytes = self.core.upstream(response);
        self.core.send(flow, bytes, Kind::Response(response.status()));
    }
}

/// RFC 3261 §18.2.2 and RFC 3581 §4.
fn destination(via: &Via<'_>) -> Option<SocketAddr> {
    let ip = match via.param("received") {
        Some(received) => received.trim_matches(['[', ']']).parse().ok()?,
        None => via.sent_by.ip()?,
    };
    let rport = via.param("rport").and_then(|port| port.parse().ok());
    let port = rport.or(via.sent_by.port).unwrap_or(5060);
    Some(SocketAddr::new(ip, port))
}

//! Requests within a dialog: proven by our own Route, routed by the Routes that follow it or by the Request-URI (RFC 3261 §16.4 to
//! §16.6), from either side. The ACK of a 2xx is routed without a transaction.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use super::Proxy;
use super::context::{ContextId, Server};
use super::core::{Core, Routed};
use super::counters::Kind;
use super::forward::{Onward, Routes, trusted};
use super::keys::Use;
use super::record_route::{self, Proof, Side};
use super::refuse::Arrival;
use crate::sip::message::{Header, Message, Method, NameAddr, Uri};
use crate::sip::peer::{Peer, Target};
use crate::sip::transaction::server::ServerAction;
use crate::sip::{Flow, ListenerId, Now, Transport};

/// Where an in-dialog request goes, and with which Request-URI and Routes.
struct Way {
    flow: Flow,
    uri: Option<String>,
    routes: Option<String>,
    pops: usize,
}

impl Proxy {
    /// A request with a To-tag that no transaction knows.
    pub(super) fn within_dialog(&mut self, now: Now, arrival: Arrival) {
        let Some(proof) = self.prove(&arrival) else {
            return match arrival.peer {
                Peer::Unknown => self.refuse_stranger(&arrival),
                _ => self.core.reply(&arrival, 481, &[]),
            };
        };
        if let Err(fault) = self.check(&arrival.message, arrival.peer, false) {
            return self.reject(now, &arrival, &fault);
        }
        if self.is_full(false, false) {
            return self.core.refuse_overloaded(&arrival);
        }
        let routed = self.routed.clone();
        let Some(way) = self.core.way(&routed, &arrival.message, arrival.flow.listener, &proof) else {
            return self.core.reply(&arrival, 500, &[]);
        };
        self.core.note_in_dialog(&arrival.message, now.mono);
        let peer = arrival.peer;
        let id = self.open(arrival, SmallVec::new(), false);
        self.trying(now, id);
        if let Some(context) = self.contexts.get_mut(id) {
            self.core.send_branch(context, now, &way.onward(&routed, peer));
        }
        self.finish(id, now);
    }

    /// An ACK: absorbed by the INVITE transaction whose final response it acknowledges, else routed if it is in a dialog, else dropped.
    pub(super) fn ack(&mut self, now: Now, arrival: &Arrival) {
        if self.recent.acknowledge(arrival.key) {
            return;
        }
        if let Some(&id) = self.servers.get(&arrival.key) {
            let action = self.acknowledged(id, now);
            if action != ServerAction::PassAck {
                return;
            }
        }
        let message = &arrival.message;
        let Some(proof) = self.prove(arrival).filter(|_| message.max_forwards() != Some(0)) else {
            return;
        };
        let routed = self.routed.clone();
        let Some(way) = self.core.way(&routed, message, arrival.flow.listener, &proof) else {
            return;
        };
        // A retransmitted ACK goes on with the same branch (RFC 3261 §16.11).
        let via = message.via().map_or("", |via| via.raw);
        let unique = self.core.keys.fields(Use::Branch).add(via.as_bytes()).short();
        let onward = way.onward(&routed, arrival.peer);
        let bytes = self.core.forwarded(message, arrival.flow, &onward, unique, 0);
        self.core.send(way.flow, bytes, Kind::Request(Method::Ack));
    }

    /// The ACK of a request that there is a transaction of.
    fn acknowledged(&mut self, id: ContextId, now: Now) -> ServerAction {
        let server = match self.contexts.get_mut(id) {
            Some(context) => Some(&mut context.server),
            None => self.contexts.spent_mut(id).map(|spent| &mut spent.server),
        };
        let action = match server {
            Some(Server::Invite(server)) => server.ack(now.mono, &self.core.durations),
            Some(Server::NonInvite(_)) | None => ServerAction::None,
        };
        self.finish(id, now);
        action
    }

    fn prove(&self, arrival: &Arrival) -> Option<Proof> {
        // Trunks are not judged, and may rename a party during a call.
        let checked = !matches!(arrival.peer, Peer::Trunk(_));
        let proof = record_route::prove(&self.core.keys, &self.routed.routing.plan, &arrival.message, checked)?;
        // The side it speaks for is the side it is on: who swaps From and To does not become the other party.
        let from_caller = match arrival.peer {
            Peer::Source(_) => proof.dialog.outbound,
            Peer::Trunk(_) => !proof.dialog.outbound,
            Peer::Unknown => proof.from_caller,
        };
        (proof.from_caller == from_caller).then_some(proof)
    }
}

impl Way {
    fn onward<'a>(&'a self, routed: &'a Routed, peer: Peer) -> Onward<'a> {
        Onward {
            flow: self.flow,
            trunk: None,
            uri: self.uri.as_deref(),
            routes: match &self.routes {
                Some(routes) if routes.is_empty() => Routes::Clear,
                Some(routes) => Routes::Set(routes),
                None => Routes::Pop(self.pops),
            },
            dialog: None,
            trusted: trusted(routed, peer),
            realms: &routed.accounts.realms,
        }
    }
}

impl Core {
    fn way(&self, routed: &Routed, message: &Message, came_by: ListenerId, proof: &Proof) -> Option<Way> {
        let side = if proof.from_caller {
            proof.dialog.callee_side
        } else {
            proof.dialog.caller_side
        };
        let mut routes: SmallVec<[&str; 4]> = message
            .values(Header::Route)
            .skip(proof.routes)
            .take(MAX_ROUTES)
            .collect();
        let mut uri = None;
        if proof.strict {
            // §16.4: a strict router put our Route in the Request-URI and the real one last.
            let last = NameAddr::parse(routes.pop()?)?;
            uri = Some(last.uri.raw.to_owned());
        }
        let next = match routes.first() {
            Some(route) => NameAddr::parse(route)?.uri,
            None => Uri::parse(uri.as_deref().unwrap_or_else(|| message.request_uri()))?,
        };
        let flow = self.next_hop(routed, came_by, &next, side)?;
        let loose = routes.is_empty() || next.param("lr").is_some();
        if loose && !proof.strict {
            return Some(Way {
                flow,
                uri: None,
                routes: None,
                pops: proof.routes,
            });
        }
        if loose {
            return Some(Way {
                flow,
                uri,
                routes: Some(routes.join(", ")),
                pops: 0,
            });
        }
        // §16.6 step 6: the next hop is a strict router.
        let strict = next.raw.to_owned();
        let mut kept = routes[1..].join(", ");
        if !kept.is_empty() {
            kept.push_str(", ");
        }
        kept.push('<');
        kept.push_str(uri.as_deref().unwrap_or_else(|| message.request_uri()));
        kept.push('>');
        Some(Way {
            flow,
            uri: Some(strict),
            routes: Some(kept),
            pops: 0,
        })
    }

    /// The flow to a URI: its address, or that of the configured target of its name, else where that side of the call is, which is
    /// also where a side is found whose address is one of a network that we are not in.
    fn next_hop(&self, routed: &Routed, came_by: ListenerId, uri: &Uri<'_>, side: Side) -> Option<Flow> {
        let host = uri.host_port;
        let transport = uri.transport().unwrap_or(Transport::Udp);
        let address = host.and_then(|host| {
            let maddr = uri.param("maddr").and_then(|maddr| maddr.parse().ok());
            let ip = maddr.or_else(|| host.ip())?;
            let port = host
                .port
                .unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
            Some(SocketAddr::new(ip, port))
        });
        let (address, transport) = match (address, host) {
            (Some(address), _) if hides(address.ip(), side.address.ip()) => (side.address, side.transport),
            (Some(address), _) => (address, transport),
            (None, Some(host)) => named(routed, host.host).unwrap_or((side.address, side.transport)),
            (None, None) => (side.address, side.transport),
        };
        self.flow(came_by, address, transport)
    }
}

/// Does a side that names this address, and is seen at that one, sit behind an address translation? It does where it names a private
/// network that it is not seen in. Within one such network the name is believed: a PBX may well have its signalling apart. Nothing is
/// translated on the loopback.
fn hides(named: IpAddr, seen: IpAddr) -> bool {
    let (named, seen) = (private_network(named), seen.to_canonical());
    named.is_some() && !seen.is_loopback() && named != private_network(seen)
}

/// Which of the networks that no route leads to from outside.
fn private_network(address: IpAddr) -> Option<IpNet> {
    let address = address.to_canonical();
    PRIVATE.into_iter().find(|net| net.contains(&address))
}

/// The configured target with that host name.
fn named(routed: &Routed, host: &str) -> Option<(SocketAddr, Transport)> {
    let peers = &routed.routing.peers;
    let trunks = peers.trunks.iter().map(|trunk| &trunk.target);
    let sources = peers.sources.iter().filter_map(|source| source.target.as_ref());
    let is_named = |target: &&Target| {
        let known = Uri::parse(&target.uri).and_then(|uri| uri.host_port);
        !target.is_lost() && known.is_some_and(|known| known.host.eq_ignore_ascii_case(host))
    };
    trunks
        .chain(sources)
        .find(is_named)
        .map(|target| (target.address, target.transport))
}

/// Routes of one request that are looked at.
const MAX_ROUTES: usize = 16;

/// RFC 1918, RFC 6598, RFC 3927, RFC 4193, link-local and loopback addresses, and those that name no host.
const PRIVATE: [IpNet; 10] = [
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v4([169, 254, 0, 0], 16),
    v4([127, 0, 0, 0], 8),
    v4([0, 0, 0, 0], 8),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 10),
    v6(0, 1, 128),
];

const fn v4(address: [u8; 4], length: u8) -> IpNet {
    let [a, b, c, d] = address;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(first: u16, last: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last),
        length,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_address_is_believed_of_who_is_seen_in_its_network_only() {
        for (named, seen, expected) in [
            ("192.168.1.10", "198.51.100.7", true),
            ("10.0.0.5", "198.51.100.7", true),
            ("100.64.3.2", "198.51.100.7", true),
            ("192.168.1.10", "10.8.0.1", true),
            ("127.0.0.1", "10.8.0.1", true),
            ("0.0.0.0", "198.51.100.7", true),
            ("fd00::5", "2001:db8::7", true),
            ("::ffff:192.168.1.10", "::ffff:198.51.100.7", true),
            ("10.0.0.5", "10.8.0.1", false),
            ("172.17.0.2", "172.31.255.1", false),
            ("203.0.113.5", "198.51.100.7", false),
            ("203.0.113.5", "10.8.0.1", false),
            ("2001:db8::5", "fd00::7", false),
            ("192.168.1.10", "127.0.0.1", false),
        ] {
            let (named_at, seen_at) = (named.parse().unwrap(), seen.parse().unwrap());
            assert_eq!(hides(named_at, seen_at), expected, "{named} seen at {seen}");
        }
    }
}

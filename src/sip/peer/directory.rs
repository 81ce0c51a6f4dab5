//! Who a remote address is, and which source a called number belongs to: [`Peers`] turned into lookups whose cost does not grow with
//! their number. Built by the proxy whenever peers change.

use std::net::{IpAddr, SocketAddr};

use chrono::NaiveDate;
use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::{Peer, Peers, Source, TrunkIndex};
use crate::gate::SourceIndex;
use crate::numbering::E164;
use crate::sip::Flow;

/// The lookups.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// By kind of match, the most binding first.
    shapes: Vec<Shape>,
    by_address: FxHashMap<(IpNet, Option<u16>), Peer>,
    /// Ranges of called numbers, sorted by their first number.
    inbound: Vec<Inbound>,
}

/// Matches of one precision: with a port or without, prefix length, address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    without_port: bool,
    /// Longest first.
    host_bits: u8,
    v6: bool,
}

/// One range of called numbers.
#[derive(Clone, Copy, Debug)]
struct Inbound {
    first: E164,
    last: E164,
    /// The largest `last` of this range and all before it: where a search backwards may stop.
    reach: E164,
    from: Option<NaiveDate>,
    until: Option<NaiveDate>,
    source: SourceIndex,
}

impl Directory {
    /// Builds the lookups.
    pub fn build(peers: &Peers) -> Self {
        let mut directory = Self::default();
        for (net, port, peer) in peers.matchers() {
            let net = net.trunc();
            directory.shapes.push(Shape {
                without_port: port.is_none(),
                host_bits: net.max_prefix_len() - net.prefix_len(),
                v6: matches!(net, IpNet::V6(_)),
            });
            // The first one stays: sources come before trunks.
            directory.by_address.entry((net, port)).or_insert(peer);
        }
        directory.shapes.sort_unstable();
        directory.shapes.dedup();
        directory.build_inbound(peers);
        directory
    }

    fn build_inbound(&mut self, peers: &Peers) {
        for (source, index) in peers.sources.iter().zip(0_u16..) {
            if source.target.is_none() {
                continue;
            }
            self.inbound.extend(source.inbound.iter().map(|range| Inbound {
                first: range.first,
                last: range.last,
                reach: range.last,
                from: range.from,
                until: range.until,
                source: SourceIndex(index),
            }));
        }
        self.inbound.sort_by_key(|range| range.first);
        let mut reach = None;
        for range in &mut self.inbound {
            reach = reach.max(Some(range.last));
            range.reach = reach.unwrap_or(range.last);
        }
    }

    /// Who sent what came by a flow: whose certificate it showed, else whose address it is.
    pub fn peer(&self, flow: &Flow) -> Peer {
        match flow.connection.and_then(|connection| connection.source) {
            Some(source) => Peer::Source(source),
            None => self.identify(flow.remote),
        }
    }

    /// As [`Peers::identify`].
    pub fn identify(&self, remote: SocketAddr) -> Peer {
        let address = remote.ip().to_canonical();
        let ports = [Some(remote.port()), None];
        self.shapes
            .iter()
            .filter(|shape| shape.v6 == address.is_ipv6())
            .find_map(|shape| {
                let bits = if shape.v6 { 128 } else { 32 };
                let net = IpNet::new(address, bits - shape.host_bits).ok()?.trunc();
                let port = ports[usize::from(shape.without_port)];
                self.by_address.get(&(net, port)).copied()
            })
            .unwrap_or(Peer::Unknown)
    }

    /// The source to which calls from a trunk to this number go on that day; of several ranges, the one that begins last.
    pub fn inbound(&self, callee: E164, on: NaiveDate) -> Option<SourceIndex> {
        let after = self.inbound.partition_point(|range| range.first <= callee);
        self.inbound[..after]
            .iter()
            .rev()
            .take_while(|range| range.reach >= callee)
            .find(|range| {
                range.last >= callee
                    && range.from.is_none_or(|from| from <= on)
                    && range.until.is_none_or(|until| on <= until)
            })
            .map(|range| range.source)
    }
}

impl Peers {
    /// Every address and whose it is, sources first. A trunk's target is always one of its addresses; those of a source that must
    /// show a certificate say nothing by themselves.
    fn matchers(&self) -> impl Iterator<Item = (IpNet, Option<u16>, Peer)> {
        let by_address = |(source, _): &(&Source, u16)| source.certificate.is_none();
        let sources = self
            .sources
            .iter()
            .zip(0_u16..)
            .filter(by_address)
            .flat_map(|(source, index)| {
                let peer = Peer::Source(SourceIndex(index));
                source
                    .addresses
                    .iter()
                    .map(move |matcher| (matcher.net, matcher.port, peer))
            });
        let trunks = self.trunks.iter().zip(0_u16..).flat_map(|(trunk, index)| {
            let peer = Peer::Trunk(TrunkIndex(index));
            let target = trunk.target.address;
            trunk
                .addresses
                .iter()
                .map(move |matcher| (matcher.net, matcher.port, peer))
                .chain([(host(target.ip()), Some(target.port()), peer)])
                .chain(
                    trunk
                        .places
                        .iter()
                        .map(move |place| (host(place.address.ip()), Some(place.address.port()), peer)),
                )
        });
        sources.chain(trunks)
    }

    /// Who a remote address is: the one given with its port wins for that port; then the longest prefix; a source before a trunk.
    pub fn identify(&self, remote: SocketAddr) -> Peer {
        let address = remote.ip().to_canonical();
        self.matchers()
            .filter(|(net, port, _)| net.contains(&address) && port.is_none_or(|port| port == remote.port()))
            // `min_by_key` keeps the first of equals: sources come before trunks.
            .min_by_key(|(net, port, _)| (port.is_none(), net.max_prefix_len() - net.prefix_len()))
            .map_or(Peer::Unknown, |(_, _, peer)| peer)
    }
}

/// The network of one address.
fn host(address: IpAddr) -> IpNet {
    IpNet::from(address.to_canonical())
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

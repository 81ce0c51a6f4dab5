//! What the workers' streams share: how many connections there are and from where, whose they are, and what is in force for them.
//! Asked when a connection opens or closes or must be found, never for each message.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use super::settings::StreamSettings;
use super::tls::Tls;
use crate::sip::peer::{Directory, Peer, Peers};
use crate::sip::{ConnectionId, ListenerId};
use crate::telemetry::{Metrics, PeerLog};

/// Workers that connections tell apart.
const WORKERS: u64 = 64;

/// One for the process.
#[derive(Debug)]
pub struct Connections {
    pub(super) settings: StreamSettings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: PeerLog,
    in_force: ArcSwap<InForce>,
    next: AtomicU64,
    counts: Mutex<Counts>,
}

/// What may change on reload.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) peers: Arc<Peers>,
    pub(super) directory: Directory,
    pub(super) tls: Arc<Tls>,
}

#[derive(Debug, Default)]
struct Counts {
    inbound: usize,
    outbound: usize,
    strangers: usize,
    by_address: FxHashMap<(IpAddr, Way), usize>,
    /// Inbound connections by the address that requests may be sent to over them.
    inbound_at: FxHashMap<(ListenerId, SocketAddr), ConnectionId>,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Inbound,
    Outbound,
}

/// Why there may be no further connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Overall,
    Strangers,
    Address,
}

impl Full {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Overall => "overall",
            Self::Strangers => "strangers",
            Self::Address => "address",
        }
    }
}

impl Connections {
    /// For a process with these settings.
    pub fn new(settings: StreamSettings, peers: Arc<Peers>, tls: Arc<Tls>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            metrics,
            log: PeerLog::default(),
            in_force: ArcSwap::from_pointee(InForce::new(peers, tls)),
            next: AtomicU64::new(1),
            counts: Mutex::default(),
        })
    }

    /// Puts peers and certificates in force for new connections; each worker then looks at the ones it has
    /// ([`super::super::Sockets::renew`]).
    pub fn replace(&self, peers: Arc<Peers>, tls: Arc<Tls>) {
        self.in_force.store(Arc::new(InForce::new(peers, tls)));
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// An id for a connection of a worker, used by no other.
    pub(super) fn id(&self, worker: usize) -> ConnectionId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = number * WORKERS + worker as u64 % WORKERS;
        // The counter begins at one.
        ConnectionId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    }

    /// Whose connection it is.
    pub(super) fn worker(id: ConnectionId) -> usize {
        usize::try_from(id.0.get() % WORKERS).unwrap_or_default()
    }

    /// May there be another connection with that address? It is there as long as the permit is.
    pub(super) fn admit(self: &Arc<Self>, remote: SocketAddr, way: Way) -> Result<Permit, Full> {
        let address = network(remote.ip());
        let known = way == Way::Outbound || self.in_force.load().directory.identify(remote) != Peer::Unknown;
        let mut counts = self.counts();
        let overall = match way {
            Way::Inbound => counts.inbound,
            Way::Outbound => counts.outbound,
        };
        let here = counts.by_address.get(&(address, way)).copied().unwrap_or_default();
        if overall >= self.settings.max_connections {
            return Err(Full::Overall);
        }
        if !known && counts.strangers >= self.settings.max_connections.div_ceil(4) {
            return Err(Full::Strangers);
        }
        if here >= self.settings.max_per_address {
            return Err(Full::Address);
        }
        match way {
            Way::Inbound => counts.inbound += 1,
            Way::Outbound => counts.outbound += 1,
        }
        counts.strangers += usize::from(!known);
        counts.by_address.insert((address, way), here + 1);
        Ok(Permit {
            connections: Arc::clone(self),
            address,
            way,
            known,
        })
    }

    /// The inbound connection over which an address can be reached.
    pub(super) fn find(&self, listener: ListenerId, remote: SocketAddr) -> Option<ConnectionId> {
        self.counts().inbound_at.get(&(listener, remote)).copied()
    }

    pub(super) fn found_at(&self, listener: ListenerId, remote: SocketAddr, id: ConnectionId) {
        self.counts().inbound_at.insert((listener, remote), id);
    }

    /// Forgets it, unless a newer connection stands there.
    pub(super) fn gone_from(&self, listener: ListenerId, remote: SocketAddr, id: ConnectionId) {
        let mut counts = self.counts();
        if counts.inbound_at.get(&(listener, remote)) == Some(&id) {
            counts.inbound_at.remove(&(listener, remote));
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InForce {
    fn new(peers: Arc<Peers>, tls: Arc<Tls>) -> Self {
        Self {
            directory: Directory::build(&peers),
            peers,
            tls,
        }
    }
}

/// One connection that is counted.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Arc<Connections>,
    address: IpAddr,
    way: Way,
    known: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        match self.way {
            Way::Inbound => counts.inbound -= 1,
            Way::Outbound => counts.outbound -= 1,
        }
        counts.strangers -= usize::from(!self.known);
        let key = (self.address, self.way);
        if let Some(here) = counts.by_address.get_mut(&key) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&key);
            }
        }
    }
}

/// What one subscriber has: an IPv4 address, or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::peer::Matcher;

    fn connections(max_connections: usize, max_per_address: usize) -> Arc<Connections> {
        let settings = StreamSettings {
            max_connections,
            max_per_address,
            ..StreamSettings::default()
        };
        let trunk = crate::sip::peer::Trunk {
            id: Arc::from("t"),
            target: crate::sip::peer::Target {
                uri: Arc::from("sip:192.0.2.1"),
                address: at("192.0.2.1:5060"),
                transport: crate::sip::Transport::Tcp,
            },
            addresses: vec![Matcher {
                net: "192.0.2.0/24".parse().unwrap(),
                port: None,
            }],
            priority: 1,
            weight: 1,
            number_format: crate::sip::peer::NumberFormat::AsDialled,
            large_over_tcp: false,
            places: Vec::new(),
            watch: crate::sip::peer::Watch::default(),
        };
        let peers = Peers {
            trunks: vec![trunk],
            ..Peers::default()
        };
        Connections::new(
            settings,
            Arc::new(peers),
            Arc::default(),
            Arc::new(Metrics::new().unwrap()),
        )
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_no_more_than_its_share_and_gets_it_back() {
        let connections = connections(8, 2);
        let mut held: Vec<Permit> = (1..=2)
            .map(|port| {
                connections
                    .admit(SocketAddr::new(at("192.0.2.7:1").ip(), port), Way::Inbound)
                    .unwrap()
            })
            .collect();
        assert_eq!(
            connections.admit(at("192.0.2.7:3"), Way::Inbound).unwrap_err(),
            Full::Address
        );
        assert!(
            connections.admit(at("192.0.2.7:3"), Way::Outbound).is_ok(),
            "ours are counted apart"
        );
        let other = connections.admit(at("192.0.2.8:3"), Way::Inbound).unwrap();
        held.pop();
        let again = connections.admit(at("192.0.2.7:4"), Way::Inbound).unwrap();
        drop((held, other, again));
        let counts = connections.counts();
        assert_eq!((counts.inbound, counts.by_address.len()), (0, 0));
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_known() {
        let connections = connections(8, 8);
        let one = connections.admit(at("198.51.100.1:1"), Way::Inbound).unwrap();
        let two = connections.admit(at("198.51.100.2:1"), Way::Inbound).unwrap();
        assert_eq!(
            connections.admit(at("198.51.100.3:1"), Way::Inbound).unwrap_err(),
            Full::Strangers
        );
        let known: Vec<Permit> = (1..=6)
            .map(|last| {
                connections
                    .admit(SocketAddr::from(([192, 0, 2, last], 1)), Way::Inbound)
                    .unwrap()
            })
            .collect();
        assert_eq!(
            connections.admit(at("192.0.2.9:1"), Way::Inbound).unwrap_err(),
            Full::Overall
        );
        drop((one, two, known));
        assert_eq!(connections.counts().strangers, 0);
    }

    #[test]
    fn one_ipv6_subscriber_is_one_address() {
        let connections = connections(8, 1);
        let _one = connections.admit(at("[2001:db8::1]:1"), Way::Outbound).unwrap();
        assert!(connections.admit(at("[2001:db8::2]:1"), Way::Outbound).is_err());
        assert!(connections.admit(at("[2001:db8:0:1::1]:1"), Way::Outbound).is_ok());
    }

    #[test]
    fn a_connection_tells_whose_it_is() {
        let connections = connections(1, 1);
        let ids: Vec<ConnectionId> = (0..64).map(|worker| connections.id(worker)).collect();
        for (worker, id) in ids.iter().enumerate() {
            assert_eq!(Connections::worker(*id), worker);
        }
        assert_ne!(connections.id(3), ids[3]);
    }
}

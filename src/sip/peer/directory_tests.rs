//! Who an address is, and where a called number belongs.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::gate::NumberRange;
use crate::sip::Transport;
use crate::sip::peer::{Access, Matcher, NumberFormat, Source, Target, Trunk, TrustedHeaders, Watch};

fn matcher(text: &str) -> Matcher {
    let (net, port) = match text.split_once(' ') {
        Some((net, port)) => (net, port.parse().ok()),
        None => (text, None),
    };
    Matcher {
        net: net.parse().unwrap_or_else(|_| host(net.parse().unwrap())),
        port,
    }
}

fn target(address: &str) -> Target {
    Target {
        uri: Arc::from(format!("sip:{address}")),
        address: address.parse().unwrap(),
        transport: Transport::Udp,
    }
}

fn source(addresses: &[&str]) -> Source {
    Source {
        id: Arc::from("s"),
        addresses: addresses.iter().map(|text| matcher(text)).collect(),
        certificate: None,
        trusted: TrustedHeaders::default(),
        trunks: Vec::new(),
        target: Some(target("192.0.2.99:5060")),
        places: Vec::new(),
        inbound: Vec::new(),
        refuse_with: 403,
        redress: None,
        canvasses: true,
        access: Access::default(),
    }
}

fn trunk(at: &str, addresses: &[&str]) -> Trunk {
    Trunk {
        id: Arc::from("t"),
        target: target(at),
        addresses: addresses.iter().map(|text| matcher(text)).collect(),
        places: Vec::new(),
        watch: Watch::default(),
        priority: 1,
        weight: 1,
        number_format: NumberFormat::AsDialled,
        large_over_tcp: false,
    }
}

fn peers() -> Peers {
    Peers {
        sources: vec![
            source(&["127.0.0.1", "10.0.0.0/8"]),
            source(&["10.1.0.0/16", "2001:db8::/32"]),
        ],
        trunks: vec![
            trunk("127.0.0.1:5090", &["10.0.0.0/8", "10.2.0.0/16"]),
            trunk("192.0.2.1:5060", &["10.1.0.0/16 5060"]),
        ],
        ..Peers::default()
    }
}

const SOURCE_0: Peer = Peer::Source(SourceIndex(0));
const SOURCE_1: Peer = Peer::Source(SourceIndex(1));
const TRUNK_0: Peer = Peer::Trunk(TrunkIndex(0));
const TRUNK_1: Peer = Peer::Trunk(TrunkIndex(1));

#[test]
fn a_port_wins_then_the_longest_prefix_then_the_source() {
    let peers = peers();
    let directory = Directory::build(&peers);
    for (remote, expected) in [
        ("127.0.0.1:5060", SOURCE_0),
        ("127.0.0.1:5090", TRUNK_0),
        ("[::ffff:127.0.0.1]:5090", TRUNK_0),
        ("10.9.0.1:5060", SOURCE_0),
        ("10.1.0.1:5061", SOURCE_1),
        ("10.1.0.1:5060", TRUNK_1),
        ("10.2.0.1:5060", TRUNK_0),
        ("192.0.2.1:5060", TRUNK_1),
        ("192.0.2.1:5061", Peer::Unknown),
        ("[2001:db8::7]:5060", SOURCE_1),
        ("[2001:db9::7]:5060", Peer::Unknown),
        ("203.0.113.9:5060", Peer::Unknown),
    ] {
        assert_eq!(peers.identify(remote.parse().unwrap()), expected, "{remote}");
        assert_eq!(directory.identify(remote.parse().unwrap()), expected, "{remote}");
    }
}

#[test]
fn a_source_with_a_certificate_is_known_by_it_and_not_by_its_address() {
    let mut peers = peers();
    peers.sources[0].certificate = Some(Arc::from("pbx.example"));
    let directory = Directory::build(&peers);
    let remote = "127.0.0.1:5060".parse().unwrap();
    assert_eq!(directory.identify(remote), Peer::Unknown);
    assert_eq!(peers.identify(remote), Peer::Unknown);
    let mut flow = Flow::new(crate::sip::ListenerId(0), Transport::Tls, remote);
    assert_eq!(directory.peer(&flow), Peer::Unknown);
    for (source, expected) in [(None, Peer::Unknown), (Some(SourceIndex(0)), SOURCE_0)] {
        let id = crate::sip::ConnectionId(std::num::NonZeroU64::MIN);
        flow.connection = Some(crate::sip::Connection { id, source });
        assert_eq!(directory.peer(&flow), expected);
    }
}

#[test]
fn nobody_is_known_where_nobody_is_configured() {
    let remote = "127.0.0.1:5060".parse().unwrap();
    assert_eq!(Directory::build(&Peers::default()).identify(remote), Peer::Unknown);
    assert_eq!(Peers::default().identify(remote), Peer::Unknown);
}

#[test]
fn called_numbers_belong_to_the_source_that_has_them_on_that_day() {
    let range = |first, last, until: Option<&str>| NumberRange {
        first: E164::new(first).unwrap(),
        last: E164::new(last).unwrap(),
        from: None,
        until: until.map(|day| day.parse().unwrap()),
    };
    let mut peers = peers();
    peers.sources[0].inbound = vec![range(33_162_001_000, 33_162_001_999, None)];
    peers.sources[1].inbound = vec![range(33_162_001_500, 33_162_001_509, Some("2025-06-30"))];
    let directory = Directory::build(&peers);
    let lookup = |number, day: &str| directory.inbound(E164::new(number).unwrap(), day.parse().unwrap());
    assert_eq!(lookup(33_162_000_999, "2025-01-01"), None);
    assert_eq!(lookup(33_162_001_000, "2025-01-01"), Some(SourceIndex(0)));
    assert_eq!(lookup(33_162_001_505, "2025-06-30"), Some(SourceIndex(1)));
    assert_eq!(lookup(33_162_001_505, "2025-07-01"), Some(SourceIndex(0)));
    assert_eq!(lookup(33_162_001_999, "2025-01-01"), Some(SourceIndex(0)));
    assert_eq!(lookup(33_162_002_000, "2025-01-01"), None);
    peers.sources[0].target = None;
    peers.sources[1].target = None;
    assert_eq!(
        Directory::build(&peers).inbound(E164::new(33_162_001_000).unwrap(), "2025-01-01".parse().unwrap()),
        None,
        "a source without a target takes no calls"
    );
}

proptest! {
    #[test]
    fn the_lookups_agree_with_the_scan(
        nets in proptest::collection::vec((any::<bool>(), 0_u8..4, 24_u8..=32, proptest::option::of(5060_u16..5063)), 0..8),
        last in 0_u8..4, port in 5060_u16..5063,
    ) {
        let mut peers = Peers::default();
        for (is_source, last, prefix, port) in nets {
            let net = IpNet::new(IpAddr::from([192, 0, 2, last]), prefix).unwrap();
            let matcher = Matcher { net, port };
            if is_source {
                peers.sources.push(Source { addresses: vec![matcher], ..source(&[]) });
            } else {
                peers.trunks.push(Trunk { addresses: vec![matcher], ..trunk("192.0.2.1:5061", &[]) });
            }
        }
        let remote = SocketAddr::from(([192, 0, 2, last], port));
        prop_assert_eq!(Directory::build(&peers).identify(remote), peers.identify(remote));
    }
}

//! RFC 3263 §4.1 and §4.2 over a scripted zone.

use std::collections::HashMap;

use super::*;

#[derive(Default)]
struct Zone {
    naptr: HashMap<&'static str, Vec<Naptr>>,
    srv: HashMap<&'static str, Vec<Srv>>,
    addresses: HashMap<&'static str, Vec<&'static str>>,
    broken: bool,
}

const TTL: Duration = Duration::from_secs(60);

impl Zone {
    fn answer<T: Clone>(&self, found: Option<&Vec<T>>) -> Answer<T> {
        if self.broken {
            return Err("no answer".into());
        }
        Ok((found.cloned().unwrap_or_default(), TTL))
    }
}

impl Names for Zone {
    async fn naptr(&self, name: &str) -> Answer<Naptr> {
        self.answer(self.naptr.get(name))
    }

    async fn srv(&self, name: &str) -> Answer<Srv> {
        self.answer(self.srv.get(name))
    }

    async fn addresses(&self, name: &str) -> Answer<IpAddr> {
        let (found, ttl) = self.answer(self.addresses.get(name))?;
        Ok((found.iter().map(|text| text.parse().unwrap()).collect(), ttl))
    }
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
    Naptr {
        order,
        preference,
        service: service.into(),
        replacement: replacement.into(),
    }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv {
        priority,
        weight,
        port,
        target: target.into(),
    }
}

fn zone() -> Zone {
    Zone {
        naptr: HashMap::from([(
            "full.example",
            vec![
                naptr(90, 50, "SIP+D2U", "_sip._udp.full.example"),
                naptr(50, 50, "SIP+D2T", "_sip._tcp.full.example"),
                naptr(10, 50, "SIPS+D2T", "_sips._tcp.full.example"),
                naptr(1, 1, "E2U+sip", "elsewhere.example"),
            ],
        )]),
        srv: HashMap::from([
            (
                "_sip._udp.full.example",
                vec![srv(2, 0, 5070, "b.example"), srv(1, 30, 5060, "a.example")],
            ),
            ("_sip._tcp.full.example", vec![srv(1, 10, 5080, "a.example")]),
            ("_sip._udp.plain.example", vec![srv(1, 10, 5062, "a.example")]),
            ("_sip._udp.none.example", vec![srv(0, 0, 0, ".")]),
        ]),
        addresses: HashMap::from([
            ("a.example", vec!["192.0.2.1", "2001:db8::1"]),
            ("b.example", vec!["192.0.2.2"]),
            ("plain.example", vec!["192.0.2.9"]),
            ("none.example", vec!["192.0.2.8"]),
            ("bare.example", vec!["192.0.2.3", "192.0.2.4"]),
        ]),
        broken: false,
    }
}

const UDP4: &[(Transport, bool)] = &[(Transport::Udp, true)];
const ALL4: &[(Transport, bool)] = &[(Transport::Udp, true), (Transport::Tcp, true)];

/// The addresses in the order of trying, with their transports.
fn found(zone: &Zone, uri: &str, sockets: &[(Transport, bool)]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (places, life) = runtime
        .block_on(find(zone, &Wanted::of(uri).unwrap(), sockets))
        .unwrap();
    assert_eq!(life, TTL);
    assert!(places.is_sorted_by_key(|place| place.priority));
    places
        .iter()
        .map(|place| format!("{:?} {}", place.transport, place.address).to_lowercase())
        .collect()
}

#[test]
fn naptr_chooses_the_transport_among_those_we_speak_and_srv_the_hosts_in_order() {
    let zone = zone();
    assert_eq!(
        found(&zone, "sip:full.example", UDP4),
        ["udp 192.0.2.1:5060", "udp 192.0.2.2:5070"]
    );
    assert_eq!(
        found(&zone, "sip:FULL.example", ALL4),
        ["tcp 192.0.2.1:5080", "udp 192.0.2.1:5060", "udp 192.0.2.2:5070"],
        "the service of the lowest order first"
    );
    let both = [(Transport::Udp, true), (Transport::Udp, false)];
    assert_eq!(
        found(&zone, "sip:full.example", &both),
        ["udp 192.0.2.1:5060", "udp [2001:db8::1]:5060", "udp 192.0.2.2:5070"]
    );
}

#[test]
fn without_naptr_srv_is_asked_and_without_srv_the_addresses() {
    let zone = zone();
    assert_eq!(found(&zone, "sip:plain.example", UDP4), ["udp 192.0.2.1:5062"]);
    assert_eq!(
        found(&zone, "sip:bare.example", UDP4),
        ["udp 192.0.2.3:5060", "udp 192.0.2.4:5060"]
    );
    assert_eq!(
        found(&zone, "sip:none.example", UDP4),
        ["udp 192.0.2.8:5060"],
        "a target of `.` offers nothing"
    );
}

#[test]
fn a_port_leaves_only_addresses_and_a_transport_only_its_srv() {
    let zone = zone();
    assert_eq!(found(&zone, "sip:plain.example:5099", UDP4), ["udp 192.0.2.9:5099"]);
    assert_eq!(
        found(&zone, "sip:full.example;transport=tcp", ALL4),
        ["tcp 192.0.2.1:5080"]
    );
    assert_eq!(
        found(&zone, "sip:full.example;transport=udp", ALL4),
        ["udp 192.0.2.1:5060", "udp 192.0.2.2:5070"]
    );
}

#[test]
fn an_address_is_not_looked_up_and_a_failure_is_none_of_nothing() {
    for uri in ["sip:192.0.2.1", "sip:[2001:db8::1]:5060", "tel:+33", "no uri"] {
        assert_eq!(Wanted::of(uri), None, "{uri}");
    }
    let broken = Zone { broken: true, ..zone() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let wanted = Wanted::of("sip:full.example").unwrap();
    assert!(runtime.block_on(find(&broken, &wanted, UDP4)).is_err());
    let nobody = runtime.block_on(find(&zone(), &Wanted::of("sip:nobody.example").unwrap(), UDP4));
    assert_eq!(nobody, Ok((Vec::new(), TTL)));
}

#[test]
fn what_a_zone_may_make_us_try_is_bounded() {
    let many: Vec<Srv> = (0..1_000).map(|port| srv(1, 1, port + 1, "a.example")).collect();
    let zone = Zone {
        srv: HashMap::from([("_sip._udp.flood.example", many)]),
        ..zone()
    };
    assert_eq!(found(&zone, "sip:flood.example", UDP4).len(), MAX_RECORDS);
}

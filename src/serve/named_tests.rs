//! What was found of names, put into the peers in force, and kept over a reload.

use std::net::SocketAddr;

use super::*;
use crate::config::Config;

const NAMES: &str = "[sip]\nnameservers = [\"192.0.2.53\"]\n\
    [[source]]\nid = \"one\"\npurpose = \"other\"\naddresses = [\"192.0.2.1\"]\ntarget = \"sip:pbx.example\"\ninbound = [\"+33162001000\"]\n\
    [[source]]\nid = \"two\"\npurpose = \"other\"\naddresses = [\"192.0.2.2\"]\n\
    [[trunk]]\nid = \"one\"\ntarget = \"sip:pbx.example\"\n\
    [[trunk]]\nid = \"two\"\ntarget = \"sip:127.0.0.1:5090\"\n";

fn peers(text: &str) -> Arc<Peers> {
    let config = Config::parse(text, std::path::Path::new("test.toml"));
    config.unwrap_or_else(|error| panic!("{error}")).peers
}

fn source(uri: &str) -> Named {
    Named {
        whose: Whose::Source("one".into()),
        uri: uri.into(),
    }
}

fn at(address: &str) -> Vec<Place> {
    vec![Place {
        address: address.parse().unwrap(),
        transport: Transport::Udp,
        priority: 0,
        weight: 0,
    }]
}

/// The addresses of source one and trunk one; `None`: not found yet.
fn known(peers: &Peers) -> [Option<SocketAddr>; 2] {
    let source = peers.sources[0].target.as_ref().unwrap();
    [source, &peers.trunks[0].target].map(|target| (!target.is_lost()).then_some(target.address))
}

#[test]
fn what_was_found_is_put_where_it_was_asked_for_and_told_once() {
    let mut peers = peers(NAMES);
    let before = Arc::clone(&peers);
    let found = HashMap::from([(source("sip:pbx.example"), at("192.0.2.10:5060"))]);
    assert_eq!(lead(&mut peers, &found), [source("sip:pbx.example")]);
    assert_eq!(
        known(&peers),
        [Some("192.0.2.10:5060".parse().unwrap()), None],
        "a trunk of the same id and name apart"
    );
    assert_eq!(peers.sources[0].places, at("192.0.2.10:5060"));
    assert_eq!(known(&before), [None, None]);

    let same = Arc::clone(&peers);
    assert!(lead(&mut peers, &found).is_empty());
    let stale = HashMap::from([(source("sip:old.example"), at("192.0.2.11:5060"))]);
    assert!(lead(&mut peers, &stale).is_empty(), "its target is another by now");
    let nowhere = HashMap::from([(source("sip:pbx.example"), Vec::new())]);
    assert!(lead(&mut peers, &nowhere).is_empty(), "what was found last stays");
    assert!(Arc::ptr_eq(&same, &peers), "nothing was copied");
}

#[test]
fn a_reload_keeps_what_was_found_of_names_that_stay() {
    let mut old = peers(NAMES);
    let trunk = Named {
        whose: Whose::Trunk("one".into()),
        uri: "sip:pbx.example".into(),
    };
    let found = [source("sip:pbx.example"), trunk].map(|named| (named, at("192.0.2.10:5060")));
    assert_eq!(lead(&mut old, &found.into()).len(), 2);
    let moved = NAMES.replacen("sip:pbx.example", "sip:new.example", 1);
    for (text, expected) in [(NAMES, [true, true]), (&moved, [false, true])] {
        let mut new = (*peers(text)).clone();
        keep(&old, &mut new);
        assert_eq!(known(&new).map(|address| address.is_some()), expected);
    }
}

#[test]
fn those_not_found_are_told_by_id_up_to_a_bound() {
    let told = tell_lost(&peers(NAMES));
    assert_eq!(told.len(), 2);
    assert!(
        told[0].contains("trunk one") && told[1].contains("source one"),
        "{told:?}"
    );
    let mut many = (*peers(NAMES)).clone();
    many.trunks = vec![many.trunks[0].clone(); 1000];
    let told = tell_lost(&many);
    assert_eq!(told.len(), MOST_TOLD + 1);
    assert_eq!(told[MOST_TOLD], "nor were those of 985 others");
}

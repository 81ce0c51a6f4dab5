//! What proves a dialog, and every way of tampering with it.

use bytes::Bytes;

use super::*;
use crate::sip::proxy::tests::plan;

const SECRET: [u8; 32] = [5; 32];

fn side(address: &str) -> Side {
    Side {
        address: address.parse().unwrap(),
        transport: Transport::Udp,
    }
}

fn message(method: &str, uri: &str, routes: &str, from: &str, to: &str, call: &str) -> Message {
    Message::parse(Bytes::from(format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\n\
         CSeq: 1 {method}\r\n\r\n"
    )))
    .unwrap()
}

const CALLER: &str = "<sip:+33162001000@pbx>;tag=caller";
const CALLEE: &str = "<sip:0612345678@clapet>";

fn token(outbound: bool) -> String {
    let keys = Keys::new(&SECRET, 1);
    let invite = message("INVITE", "sip:0612345678@clapet", "", CALLER, CALLEE, "c1");
    let sides = (side("192.0.2.1:5060"), side("[2001:db8::1]:5090"));
    let mut text = String::new();
    Dialog::opening(&keys, &plan(), &invite, outbound, sides.0, sides.1).push(&mut text, &keys, "c1", "caller");
    text
}

fn route(token: &str) -> String {
    format!("Route: <sip:{token}@clapet;lr>\r\n")
}

fn proven(request: &Message, checked: bool) -> Option<Proof> {
    prove(&Keys::new(&SECRET, 2), &plan(), request, checked)
}

#[test]
fn both_sides_prove_the_dialog_and_where_the_other_is() {
    let route = route(&token(true));
    let to = "<sip:+33612345678@other>;tag=callee";
    let proof = proven(&message("BYE", "sip:c@x", &route, CALLER, to, "c1"), true).unwrap();
    assert!(proof.from_caller && proof.dialog.outbound && !proof.strict);
    assert_eq!(proof.routes, 1);
    assert_eq!(proof.dialog.caller_side, side("192.0.2.1:5060"));
    assert_eq!(proof.dialog.callee_side, side("[2001:db8::1]:5090"));
    let proof = proven(&message("BYE", "sip:c@x", &route, to, CALLER, "c1"), true).unwrap();
    assert!(!proof.from_caller);
}

#[test]
fn whatever_is_tampered_with_proves_nothing() {
    let good = token(true);
    let to = "<sip:0612345678@clapet>;tag=callee";
    let other_direction = good.replacen('o', "i", 1);
    let other_side = good.replacen("uc0000201", "uc0000202", 1);
    assert_ne!(good, other_side);
    let mut cut = good.clone();
    cut.pop();
    for (what, token, from, to, call) in [
        ("Call-ID", &good, CALLER, to, "c2"),
        ("caller's tag", &good, "<sip:+33162001000@pbx>;tag=other", to, "c1"),
        ("callee", &good, CALLER, "<sip:0699999999@clapet>;tag=callee", "c1"),
        (
            "callee is no number",
            &good,
            CALLER,
            "<sip:alice@clapet>;tag=callee",
            "c1",
        ),
        ("direction", &other_direction, CALLER, to, "c1"),
        ("address", &other_side, CALLER, to, "c1"),
        ("MAC", &cut, CALLER, to, "c1"),
        ("no To-tag", &good, CALLER, CALLEE, "c1"),
    ] {
        let request = message("INVITE", "sip:c@x", &route(token), from, to, call);
        assert_eq!(proven(&request, true), None, "{what}");
    }
    let good_request = message("INVITE", "sip:c@x", &route(&good), CALLER, to, "c1");
    assert!(proven(&good_request, true).is_some());
    assert_eq!(
        prove(&Keys::new(&[6; 32], 1), &plan(), &good_request, true),
        None,
        "another secret"
    );
}

#[test]
fn the_hash_of_the_callee_cannot_be_exchanged() {
    let good = token(true);
    let mut exchanged = good.clone();
    exchanged.replace_range(17..33, "0123456789abcdef");
    let to = "<sip:0612345678@clapet>;tag=callee";
    assert_eq!(
        proven(&message("BYE", "sip:c@x", &route(&exchanged), CALLER, to, "c1"), false),
        None
    );
}

#[test]
fn only_our_topmost_route_counts() {
    let good = token(true);
    let to = "<sip:0612345678@clapet>;tag=callee";
    let ours = format!("<sip:{good}@clapet;lr>");
    for (routes, expected) in [
        (format!("Route: {ours}, <sip:next;lr>\r\n"), Some(1)),
        (format!("Route: {ours}\r\nRoute: {ours}, <sip:next;lr>\r\n"), Some(2)),
        (format!("Route: <sip:next;lr>, {ours}\r\n"), None),
        (String::new(), None),
    ] {
        let request = message("BYE", "sip:c@x", &routes, CALLER, to, "c1");
        assert_eq!(proven(&request, true).map(|proof| proof.routes), expected, "{routes}");
    }
    let strict = message(
        "BYE",
        &format!("sip:{good}@clapet;lr"),
        "Route: <sip:c@x>\r\n",
        CALLER,
        to,
        "c1",
    );
    assert!(proven(&strict, true).unwrap().strict);
}

#[test]
fn a_trunk_may_rename_a_party_and_a_source_may_not() {
    let route = route(&token(true));
    let renamed = message(
        "BYE",
        "sip:c@x",
        &route,
        "<sip:0612345678@clapet>;tag=callee",
        "<sip:+33162001999@pbx>;tag=caller",
        "c1",
    );
    assert_eq!(proven(&renamed, true), None);
    assert!(proven(&renamed, false).is_some());
}

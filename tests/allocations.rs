//! The message layer allocates per message, never per header, and a call through the proxy no more than it did: counted, so that it stays
//! so.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use clapet::sip::message::{Edit, Header, Message, Response};

#[path = "../bench/common/mod.rs"]
mod common;

use common::stage::{Meter, Stage};

/// INVITE, 403, ACK: parsed, judged, written.
const REFUSED_INVITE: u64 = 8;
/// INVITE, 100, 180, 200, ACK, BYE, 200; the attempt reserved and settled.
const FORWARDED_CALL: u64 = 52;

/// An INVITE with that many headers.
fn invite(headers: usize) -> Bytes {
    let needed = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKabc;rport\r\nMax-Forwards: 70\r\n\
        From: \"Acme\" <sip:+33162001000@192.0.2.9>;tag=f1\r\nTo: <sip:+33612345678@192.0.2.1>\r\nCall-ID: c1@192.0.2.9\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:acme@192.0.2.9:5070>\r\nContent-Length: 0\r\n";
    let more = (8..headers).fold(String::new(), |more, number| {
        more + "X-Header-" + &number.to_string() + ": a, \"b, c\";d=e\r\n"
    });
    Bytes::from(format!(
        "INVITE sip:+33612345678@192.0.2.1 SIP/2.0\r\n{needed}{more}\r\n"
    ))
}

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn parsing_allocates_the_spans_and_nothing_else_however_many_headers() {
    for headers in [8, 12, 60, 200] {
        let raw = invite(headers);
        let mut parsed = None;
        let count = allocations(|| parsed = Some(Message::parse(raw)));
        let message = parsed.expect("ran").expect("an INVITE");
        assert_eq!(message.spans().len(), headers);
        assert_eq!(count, 1, "{headers} headers");
    }
}

#[test]
fn reading_values_allocates_nothing() {
    let message = Message::parse(invite(60)).expect("an INVITE");
    let count = allocations(|| {
        assert_eq!(message.from().and_then(|from| from.uri.user), Some("+33162001000"));
        assert_eq!(message.to().map(|to| to.tag()), Some(None));
        assert_eq!(message.via().and_then(|via| via.branch()), Some("z9hG4bKabc"));
        assert_eq!(message.named("x-header-59"), Some("a, \"b, c\";d=e"));
        assert_eq!(message.values(Header::Other).count(), 52 * 2);
        assert_eq!(message.max_forwards(), Some(70));
    });
    assert_eq!(count, 0);
}

#[test]
fn writing_allocates_the_same_however_many_headers() {
    let counts = [12, 60].map(|headers| {
        let message = Message::parse(invite(headers)).expect("an INVITE");
        let source = "198.51.100.7:40000".parse().expect("an address");
        let mut out = BytesMut::with_capacity(64 * 1024);
        let forwarded = allocations(|| {
            Edit::new(&message)
                .request_uri("sip:+33612345678@192.0.2.77:5090")
                .prepend(Header::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKproxy")
                .prepend(Header::RecordRoute, "<sip:192.0.2.1;lr>")
                .received_from(source)
                .set(Header::MaxForwards, "69")
                .write(&mut out);
        });
        let refused = allocations(|| {
            Response {
                request: &message,
                status: 403,
                phrase: "",
                to_tag: "t1",
                received_from: Some(source),
                headers: &[("Reason", "SIP;cause=403;text=\"frequency.exhausted\"")],
            }
            .write(&mut out);
        });
        (forwarded, refused)
    });
    assert_eq!(counts[0], counts[1]);
    // One for the shared count of the buffer, when it is first split.
    assert!(counts[0].0 <= 1 && counts[0].1 <= 1, "{counts:?}");
}

/// What the proxy's own work allocates in a call, once its tables have grown: the mean of many calls, rounded up.
fn allocations_of_a_call(call: impl Fn(&mut Stage, Meter)) -> u64 {
    const CALLS: u64 = 400;
    let mut stage = Stage::new();
    for _ in 0..CALLS {
        call(&mut stage, &mut |work| work());
    }
    let count = Cell::new(0);
    for _ in 0..CALLS {
        call(&mut stage, &mut |work| count.set(count.get() + allocations(work)));
    }
    count.get().div_ceil(CALLS)
}

#[test]
fn a_refused_invite_allocates_no_more_than_it_did() {
    let count = allocations_of_a_call(Stage::refused_invite);
    assert!(count <= REFUSED_INVITE, "{count}");
}

#[test]
fn a_forwarded_call_allocates_no_more_than_it_did() {
    let count = allocations_of_a_call(Stage::forwarded_call);
    assert!(count <= FORWARDED_CALL, "{count}");
}

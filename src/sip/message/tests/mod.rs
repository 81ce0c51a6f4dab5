//! Whole messages: each fault by a message of our own, edits, responses.

use super::*;
use bytes::Bytes;

mod edits;
mod faults;
mod properties;
mod responses;

/// An INVITE as a PBX sends it, its headers given one by one.
fn invite(headers: &[&str]) -> Bytes {
    Bytes::from(format!(
        "INVITE sip:+33612345678@192.0.2.1 SIP/2.0\r\n{}\r\n\r\n",
        headers.join("\r\n")
    ))
}

const VIA: &str = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKabc;rport";
const FROM: &str = "From: \"Acme\" <sip:+33162001000@192.0.2.9>;tag=f1";
const TO: &str = "To: <sip:+33612345678@192.0.2.1>";
const CALL_ID: &str = "Call-ID: c1@192.0.2.9";
const CSEQ: &str = "CSeq: 1 INVITE";
const HOPS: &str = "Max-Forwards: 70";
const NEEDED: [&str; 5] = [VIA, FROM, TO, CALL_ID, CSEQ];

fn with(extra: &[&str]) -> Bytes {
    invite(&[&NEEDED, extra].concat())
}

/// The five, one of them replaced.
fn instead(of: &str, by: &str) -> Bytes {
    invite(&NEEDED.map(|header| if header == of { by } else { header }))
}

fn cause(raw: impl Into<Bytes>) -> (ParseCause, bool) {
    let error = Message::parse(raw.into()).expect_err("a fault");
    (error.cause, error.answerable.is_some())
}

fn message(raw: impl Into<Bytes>) -> Message {
    Message::parse(raw.into()).expect("a message")
}

#[test]
fn folding_compact_forms_and_white_space_are_seen_through() {
    let raw = "\r\n\n\
        INVITE sip:+33612345678@192.0.2.1 sip/2.0\n\
        v:SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1 ,\r\n\tSIP/2.0/TCP h2;branch=z9hG4bK2\r\n\
        VIA  : SIP/2.0/UDP h3\n\
        f\t:\r\n  <sip:+33162001000@192.0.2.9>\n ; tag = f1\r\n\
        t: tel:+33612345678\r\n\
        i: c1\r\n\
        cseq: 0001\r\n INVITE\r\n\
        Subject:\r\n\
        l: 4\r\n\
        \r\n\
        bodyand what follows";
    let read = message(raw.to_owned());
    assert_eq!(read.method(), Method::Invite);
    assert_eq!(read.values(Header::Via).count(), 3);
    assert_eq!(read.values(Header::Via).nth(1), Some("SIP/2.0/TCP h2;branch=z9hG4bK2"));
    assert_eq!(read.via().and_then(|via| via.branch()), Some("z9hG4bK1"));
    assert_eq!(read.from().and_then(|from| from.tag()), Some("f1"));
    assert_eq!(read.to().map(|to| to.uri.raw), Some("tel:+33612345678"));
    assert_eq!(read.call_id(), "c1");
    assert_eq!(read.cseq().map(|cseq| cseq.number), Some(1));
    assert_eq!(read.named("S"), Some(""));
    assert_eq!(read.named("X-None"), None);
    assert_eq!(read.max_forwards(), None);
    assert_eq!(read.body(), b"body");
    assert!(read.raw().starts_with(b"INVITE") && read.raw().ends_with(b"body"));
}

#[test]
fn a_response_has_the_method_of_its_cseq() {
    let read = message(format!("SIP/2.0 180 Ringing\r\n{}\r\n\r\n", NEEDED.join("\r\n")));
    assert_eq!(
        (read.method(), read.status(), read.is_request(), read.request_uri()),
        (Method::Invite, 180, false, "")
    );
    assert_eq!(
        read.start_line(),
        StartLine::Response {
            status: 180,
            phrase: "Ringing"
        }
    );
}

#[test]
fn numbers_do_not_show_in_debug_output() {
    let read = message(with(&[]));
    let error = Message::parse(with(&[CSEQ])).unwrap_err();
    for shown in [format!("{read:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!shown.contains("612345678") && !shown.contains("162001000"), "{shown}");
    }
}

//! Edits: what changes and what stays.

use bytes::{Bytes, BytesMut};

use super::*;

fn edited(raw: &Bytes, change: impl for<'a> Fn(&mut Edit<'a>)) -> String {
    let message = message(raw.clone());
    let mut edit = Edit::new(&message);
    change(&mut edit);
    let mut out = BytesMut::from(&b"before"[..]);
    let bytes = edit.write(&mut out);
    assert_eq!(&out[..], b"before", "what was in the buffer stays");
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_forwarded_invite_differs_only_where_it_was_edited() {
    let raw = Bytes::from(
        "INVITE sip:a@proxy SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport\r\nFrom:<sip:f@x>;tag=1\r\nTO:  <sip:t@x>\r\n\
         Call-ID: c\r\nCSeq: 1 INVITE\r\nmax-forwards :  70 \r\nRoute: <sip:proxy;lr>\r\nRoute: <sip:next;lr>\r\nX-Professional: acme\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let text = edited(&raw, |edit| {
        edit.request_uri("sip:+33612345678@trunk")
            .received_from("198.51.100.7:40000".parse().unwrap())
            .prepend(Header::Via, "SIP/2.0/UDP proxy;branch=z9hG4bKp")
            .prepend(Header::RecordRoute, "<sip:proxy;lr>")
            .set(Header::MaxForwards, "69")
            .pop_value(Header::Route)
            .remove_named("x-professional")
            .append("X-Added", "1");
    });
    assert_eq!(
        text,
        "INVITE sip:+33612345678@trunk SIP/2.0\r\nVia: SIP/2.0/UDP proxy;branch=z9hG4bKp\r\n\
         v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport=40000;received=198.51.100.7\r\nRecord-Route: <sip:proxy;lr>\r\nFrom:<sip:f@x>;tag=1\r\n\
         TO:  <sip:t@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nmax-forwards :  69 \r\nRoute: <sip:next;lr>\r\nContent-Length: 5\r\nX-Added: 1\r\n\
         \r\nhello"
    );
}

#[test]
fn values_are_popped_and_replaced_within_a_line_and_across_lines() {
    let raw = with(&["Route: <sip:a;x=\",\">,\r\n <sip:b>", "Subject: s", "Route: <sip:c>"]);
    let routes = |pops: usize, replacement: Option<&'static str>| {
        let text = edited(&raw, |edit| {
            (0..pops).for_each(|_| {
                edit.pop_value(Header::Route);
            });
            if let Some(value) = replacement {
                edit.replace_value(Header::Route, value);
            }
        });
        let read = message(text);
        assert_eq!(read.named("Subject"), Some("s"));
        read.values(Header::Route).map(str::to_owned).collect::<Vec<_>>()
    };
    // The quote inside the angle brackets is no URI, but edits do not look that deep.
    assert_eq!(routes(0, None), ["<sip:a;x=\",\">", "<sip:b>", "<sip:c>"]);
    assert_eq!(routes(1, None), ["<sip:b>", "<sip:c>"]);
    assert_eq!(routes(2, None), ["<sip:c>"]);
    assert_eq!(routes(3, None), [""; 0]);
    assert_eq!(routes(4, Some("<sip:z>")), [""; 0]);
    assert_eq!(routes(0, Some("<sip:z>")), ["<sip:z>", "<sip:b>", "<sip:c>"]);
    assert_eq!(routes(1, Some("<sip:z>")), ["<sip:z>", "<sip:c>"]);
    assert_eq!(routes(2, Some("<sip:z>")), ["<sip:z>"]);
}

#[test]
fn headers_are_removed_set_and_prepended() {
    let raw = with(&[
        "Route: <sip:a>",
        "Route: <sip:b>",
        "s: hidden",
        "Subject: shown",
        "Max-Forwards:",
    ]);
    // An empty Max-Forwards is malformed; the edit test needs one that is there with any value.
    let raw = Bytes::from(
        String::from_utf8(raw.to_vec())
            .unwrap()
            .replace("Max-Forwards:", "Max-Forwards:1"),
    );
    let text = edited(&raw, |edit| {
        edit.remove(Header::Route)
            .remove_named("SUBJECT")
            .set(Header::MaxForwards, "0")
            .set(Header::Reason, "SIP;cause=403")
            .set(Header::Other, "nameless")
            .prepend(Header::Other, "nameless");
    });
    let read = message(text.clone());
    assert_eq!(read.first(Header::Route), None);
    assert_eq!(read.named("Subject"), None);
    assert_eq!(read.max_forwards(), Some(0));
    assert_eq!(read.first(Header::Reason), Some("SIP;cause=403"));
    assert!(!text.contains("nameless"));

    let text = edited(&raw, |edit| {
        edit.remove(Header::Route)
            .prepend(Header::Route, "<sip:second>")
            .prepend(Header::Route, "<sip:first>");
        edit.prepend(Header::RecordRoute, "<sip:rr2>")
            .prepend(Header::RecordRoute, "<sip:rr1>");
    });
    let read = message(text);
    assert_eq!(
        read.values(Header::Route).collect::<Vec<_>>(),
        ["<sip:first>", "<sip:second>"]
    );
    assert_eq!(
        read.values(Header::RecordRoute).collect::<Vec<_>>(),
        ["<sip:rr1>", "<sip:rr2>"]
    );
    assert_eq!(
        read.spans()[1].header,
        Header::RecordRoute,
        "new headers stand after the Vias"
    );
}

#[test]
fn a_value_cannot_bring_a_line_of_its_own() {
    let text = edited(&with(&[HOPS]), |edit| {
        edit.set(Header::MaxForwards, "1\r\nPrivacy: id")
            .append("X", "a\nb")
            .request_uri("sip:a@b SIP/2.0\r\nX: y");
    });
    assert_eq!(text.matches("\r\n").count(), 1 + NEEDED.len() + 1 + 1 + 1);
    assert!(text.contains("X: a b\r\n"));
}

#[test]
fn the_source_is_noted_where_the_rfcs_ask_for_it() {
    for (via, source, expected) in [
        (
            "SIP/2.0/UDP 192.0.2.9;branch=a",
            "192.0.2.9:5060",
            "SIP/2.0/UDP 192.0.2.9;branch=a",
        ),
        (
            "SIP/2.0/UDP 192.0.2.9;branch=a",
            "192.0.2.8:5060",
            "SIP/2.0/UDP 192.0.2.9;branch=a;received=192.0.2.8",
        ),
        (
            "SIP/2.0/UDP host",
            "192.0.2.8:5060",
            "SIP/2.0/UDP host;received=192.0.2.8",
        ),
        (
            "SIP/2.0/UDP 192.0.2.9;rport",
            "192.0.2.9:7000",
            "SIP/2.0/UDP 192.0.2.9;rport=7000;received=192.0.2.9",
        ),
        (
            "SIP/2.0/UDP host;received=203.0.113.1;branch=a",
            "192.0.2.8:1",
            "SIP/2.0/UDP host;branch=a;received=192.0.2.8",
        ),
        (
            "SIP/2.0/UDP 192.0.2.9;received=203.0.113.1",
            "192.0.2.9:1",
            "SIP/2.0/UDP 192.0.2.9",
        ),
        (
            "SIP/2.0/UDP [2001:db8::1];rport",
            "[2001:db8::2]:9",
            "SIP/2.0/UDP [2001:db8::1];rport=9;received=2001:db8::2",
        ),
    ] {
        let header = format!("Via: {via}");
        let text = edited(&instead(VIA, &header), |edit| {
            edit.received_from(source.parse().unwrap());
        });
        assert_eq!(message(text).first(Header::Via), Some(expected), "{via} from {source}");
    }
}

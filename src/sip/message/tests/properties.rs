//! What holds for every message.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

/// Header lines that a message may hold besides the needed ones.
fn any_header() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z][a-z-]{0,10}: [ -~]{0,30}",
        "[A-Z][a-z-]{0,10} *:\r\n [ -~]{0,30}",
        Just("Route: <sip:a;lr>, <sip:b;lr>".to_owned()),
        Just("v: SIP/2.0/UDP h9;branch=z9hG4bKx".to_owned()),
        Just("Supported: 100rel, timer".to_owned()),
        Just("Subject: naïve".to_owned()),
    ]
}

fn any_message() -> impl Strategy<Value = Bytes> {
    let end = prop_oneof![Just("\r\n"), Just("\n")];
    let shuffled = proptest::collection::vec(any_header(), 0..12)
        .prop_map(|extra| {
            NEEDED
                .iter()
                .map(|&header| header.to_owned())
                .chain(extra)
                .collect::<Vec<_>>()
        })
        .prop_shuffle();
    (shuffled, end, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(headers, end, body)| {
        let head = headers.join(end) + end;
        let mut raw = format!("INVITE sip:+33612345678@192.0.2.1 SIP/2.0{end}{head}{end}").into_bytes();
        raw.extend(body);
        Bytes::from(raw)
    })
}

/// Random headers may repeat or spoil a needed one: such messages are left out, and proptest fails where they are many.
fn parsed(raw: Bytes) -> Result<Message, TestCaseError> {
    Message::parse(raw).map_err(|error| TestCaseError::reject(error.to_string()))
}

proptest! {
    #[test]
    fn an_edit_without_change_gives_the_same_bytes(raw in any_message()) {
        let message = parsed(raw.clone())?;
        prop_assert_eq!(Edit::new(&message).write(&mut BytesMut::new()), raw);
    }

    #[test]
    fn a_via_prepended_and_popped_leaves_the_same_bytes(raw in any_message()) {
        let message = parsed(raw.clone())?;
        let via = "SIP/2.0/UDP proxy;branch=z9hG4bKp";
        let forwarded = Edit::new(&message).prepend(Header::Via, via).write(&mut BytesMut::new());
        let forwarded = Message::parse(forwarded).unwrap();
        prop_assert_eq!(forwarded.via().map(|via| via.raw), Some(via));
        prop_assert_eq!(forwarded.values(Header::Via).count(), message.values(Header::Via).count() + 1);
        prop_assert_eq!(Edit::new(&forwarded).pop_value(Header::Via).write(&mut BytesMut::new()), raw);
    }

    #[test]
    fn spans_cover_the_headers_without_gap(raw in any_message()) {
        let message = parsed(raw)?;
        let spans = message.spans();
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
        for span in spans {
            prop_assert!(span.start < span.value_start && span.value_start <= span.value_end && span.value_end < span.end);
        }
        let last = spans.last().unwrap();
        prop_assert!(matches!(&message.raw()[last.end as usize..message.body_start as usize], b"\r\n" | b"\n"));
    }

    #[test]
    fn damaged_messages_never_panic(raw in any_message(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut in any::<prop::sample::Index>()) {
        let mut raw = raw.to_vec();
        for (at, byte) in damage {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        raw.truncate(cut.index(raw.len()) + 1);
        let (message, answerable) = match Message::parse(Bytes::from(raw)) {
            Ok(message) => (Some(message), None),
            Err(error) => (None, error.answerable),
        };
        if let Some(message) = &message {
            let text = "SIP/2.0/UDP p;branch=z9hG4bKp";
            let edited = Edit::new(message)
                .prepend(Header::Via, text)
                .received_from("192.0.2.1:5060".parse().unwrap())
                .set(Header::MaxForwards, "1")
                .pop_value(Header::Route)
                .remove_named("subject")
                .append("X", "y")
                .write(&mut BytesMut::new());
            prop_assert!(Message::parse(edited).is_ok());
        }
        if let Some(request) = message.as_ref().or(answerable.as_deref()).filter(|message| message.is_request()) {
            let response = Response { request, status: 400, phrase: "", to_tag: "t", received_from: Some("192.0.2.1:5060".parse().unwrap()), headers: &[] };
            let bytes = response.write(&mut BytesMut::new());
            prop_assert!(bytes.starts_with(b"SIP/2.0 400 Bad Request\r\n"));
            if message.is_some() {
                prop_assert!(Message::parse(bytes).is_ok());
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(Bytes::from(raw));
    }
}

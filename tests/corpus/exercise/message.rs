//! The message parser, its edits and our responses.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use clapet::sip::message::{Edit, Header, Message, ParseCause, ParseError, Response};

/// One datagram. What follows a NUL, if there is one, is also a value that an edit puts in.
pub fn message(input: &[u8]) {
    let value = input
        .iter()
        .position(|byte| *byte == 0)
        .map_or(&b""[..], |at| &input[at + 1..]);
    let value = String::from_utf8_lossy(&value[..value.len().min(512)]).into_owned();
    match Message::parse(Bytes::copy_from_slice(input)) {
        Ok(message) => good(&message, &value),
        Err(error) => refused(&error, &value),
    }
}

fn good(message: &Message, value: &str) {
    views(message);
    spans_touch(message);
    let mut out = BytesMut::new();
    assert_eq!(
        &Edit::new(message).write(&mut out),
        message.raw(),
        "an empty edit changes nothing"
    );
    let again = Message::parse(message.raw().clone()).expect("what was read is read again");
    assert_eq!(again.raw(), message.raw());
    assert_eq!(again.spans(), message.spans());
    assert_eq!(again.start_line(), message.start_line());
    a_via_on_top(message, &mut out);
    every_edit(message, value, &mut out);
    smuggles_nothing(message, value, &mut out);
    if message.is_request() {
        let answer = answer(message, 403, value, &mut out);
        let answer = Message::parse(answer).unwrap_or_else(|error| within(&error));
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.method(), message.method());
        assert_eq!(answer.values(Header::Via).count(), message.values(Header::Via).count());
        assert_eq!(answer.call_id(), message.call_id());
        assert_eq!(answer.cseq(), message.cseq());
        assert_eq!(answer.named("Warning").is_some(), message.is_request());
    }
}

fn refused(error: &ParseError, value: &str) {
    assert!(matches!(error.status, 400 | 505 | 513), "{}", error.status);
    assert!(!error.cause.as_str().is_empty() && !error.to_string().is_empty());
    if let Some(request) = &error.answerable {
        assert!(request.is_request() && request.via().is_some());
        views(request);
        let answer = answer(request, error.status, value, &mut BytesMut::new());
        assert!(answer.starts_with(format!("SIP/2.0 {} ", error.status).as_bytes()));
        assert!(answer.ends_with(b"\r\nContent-Length: 0\r\n\r\n"));
    }
}

/// Looks at everything a proxy may look at.
fn views(message: &Message) {
    let _ = (
        message.start_line(),
        message.method_name(),
        message.request_uri(),
        message.max_forwards(),
    );
    let _ = (
        message.via(),
        message.from(),
        message.to(),
        message.call_id(),
        message.cseq(),
    );
    assert!(message.body().len() <= message.raw().len());
    for span in message.spans() {
        let _ = (message.value(span), message.name_bytes(span), message.value_bytes(span));
        assert_eq!(
            message.values(span.header).next().is_some(),
            message.values(span.header).count() > 0
        );
    }
}

/// The headers follow each other without gap, up to the blank line before the body.
fn spans_touch(message: &Message) {
    for pair in message.spans().windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    for span in message.spans() {
        assert!(span.start < span.value_start, "{span:?}");
        assert!(
            span.value_start <= span.value_end && span.value_end < span.end,
            "{span:?}"
        );
    }
    let last = message.spans().last().expect("a message has headers").end as usize;
    let body = message.raw().len() - message.body().len();
    assert!(matches!(&message.raw()[last..body], b"\r\n" | b"\n"));
}

/// A Via put on top and taken off leaves the same bytes.
fn a_via_on_top(message: &Message, out: &mut BytesMut) {
    let via = "SIP/2.0/UDP proxy.example.net;branch=z9hG4bKfuzz";
    let forwarded = Edit::new(message).prepend(Header::Via, via).write(out);
    let forwarded = match Message::parse(forwarded) {
        Ok(forwarded) => forwarded,
        Err(error) => return within_bounds(&error),
    };
    assert_eq!(forwarded.via().map(|via| via.raw), Some(via));
    assert_eq!(
        forwarded.values(Header::Via).count(),
        message.values(Header::Via).count() + 1
    );
    assert_eq!(forwarded.spans().len(), message.spans().len() + 1);
    assert_eq!(&Edit::new(&forwarded).pop_value(Header::Via).write(out), message.raw());
}

/// All that the proxy does to a request, at once.
fn every_edit(message: &Message, value: &str, out: &mut BytesMut) {
    let mut edit = Edit::new(message);
    edit.received_from(source())
        .prepend(Header::Via, "SIP/2.0/UDP proxy.example.net;branch=z9hG4bKfuzz")
        .set(Header::MaxForwards, "69")
        .prepend(Header::RecordRoute, "<sip:proxy.example.net;lr>")
        .request_uri("sip:+33612345678@trunk.example.net")
        .pop_value(Header::Route)
        .remove_named("Subject")
        .remove_named(value);
    let edited = match Message::parse(edit.write(out)) {
        Ok(edited) => edited,
        Err(error) => {
            // The name to remove may be that of a header that every message needs.
            let removed = matches!(error.cause, ParseCause::Missing(_) | ParseCause::ContentLength);
            if !removed {
                within_bounds(&error);
            }
            return;
        }
    };
    if edited.body().len() == message.body().len() {
        assert_eq!(edited.body(), message.body());
    }
    assert!(edited.named("Subject").is_none());
    if message.is_request() {
        assert_eq!(edited.request_uri(), "sip:+33612345678@trunk.example.net");
    }
}

/// Whatever is put in as a value stays one value of one header.
fn smuggles_nothing(message: &Message, value: &str, out: &mut BytesMut) {
    let edited = Edit::new(message).append("X-Fuzz", value).write(out);
    let edited = match Message::parse(edited) {
        Ok(edited) => edited,
        Err(error) => return within_bounds(&error),
    };
    assert_eq!(edited.spans().len(), message.spans().len() + 1);
    assert_eq!(edited.body(), message.body());
    let added = edited.spans().last().expect("the header put in");
    assert_eq!(edited.name_bytes(added), b"X-Fuzz");
    let flat = value.replace(['\r', '\n'], " ");
    assert_eq!(edited.value(added), flat.trim_matches([' ', '\t']));
}

fn answer(request: &Message, status: u16, value: &str, out: &mut BytesMut) -> Bytes {
    Response {
        request,
        status,
        phrase: "",
        to_tag: "fuzz",
        received_from: Some(source()),
        headers: &[("Warning", value)],
    }
    .write(out)
}

/// A message that was within its bounds may be beyond them with what was added.
fn within_bounds(error: &ParseError) {
    assert!(
        matches!(error.cause, ParseCause::TooLarge | ParseCause::TooManyHeaders),
        "{error}"
    );
}

fn within(error: &ParseError) -> Message {
    panic!("our own answer cannot be read: {error}")
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 5062))
}

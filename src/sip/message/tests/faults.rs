//! Each fault, by a message of our own.

use bytes::{Bytes, BytesMut};

use super::*;

#[test]
fn each_fault_of_a_request_has_its_cause_and_is_answered_where_it_can_be() {
    use ParseCause as Cause;
    let raw = |text: &str| Bytes::from(text.to_owned());
    let start = |line: &str| raw(&format!("{line}\r\n{}\r\n\r\n", NEEDED.join("\r\n")));
    let table = [
        (raw(""), Cause::Empty, false),
        (raw("\r\n\r\n\n"), Cause::Empty, false),
        (raw("INVITE"), Cause::StartLine, false),
        (raw("\u{0}\u{1}\u{2}\r\n\r\n"), Cause::StartLine, false),
        (start("INVITE sip:a@b"), Cause::StartLine, true),
        (start("INVITE  sip:a@b SIP/2.0"), Cause::StartLine, true),
        (start("INVITE sip:a@b SIP/2.0 "), Cause::StartLine, true),
        (start("INVITE sip:a@b sip SIP/2.0"), Cause::StartLine, true),
        (start("INVITE sip:a@b HTTP/1.1"), Cause::StartLine, true),
        (start("INVITE sip:a@b SIP/2"), Cause::StartLine, true),
        (start("INVITE sip:a@b SIP/3.0"), Cause::Version, true),
        (
            start("INVITE sip:a@b?Route=%3Csip:c%3E SIP/2.0"),
            Cause::StartLine,
            true,
        ),
        (start("INVITE sip:a@b@c SIP/2.0"), Cause::StartLine, true),
        (start("INVITE sip:a\r@b SIP/2.0"), Cause::StartLine, true),
        (start("INVITE a@b SIP/2.0"), Cause::StartLine, true),
        (start("INV@ITE sip:a@b SIP/2.0"), Cause::StartLine, false),
        (start("ACK sip:a@b SIP/3.0"), Cause::Version, false),
        (start("BYE sip:a@b SIP/2.0"), Cause::CSeqMethod, true),
        (start("Invite sip:a@b SIP/2.0"), Cause::CSeqMethod, true),
        (instead(VIA, HOPS), Cause::Missing(Header::Via), false),
        (instead(FROM, HOPS), Cause::Missing(Header::From), true),
        (instead(TO, HOPS), Cause::Missing(Header::To), true),
        (instead(CALL_ID, HOPS), Cause::Missing(Header::CallId), true),
        (instead(CSEQ, HOPS), Cause::Missing(Header::CSeq), true),
        (instead(VIA, "Via:"), Cause::Missing(Header::Via), false),
        (instead(VIA, "Via: nonsense"), Cause::Malformed(Header::Via), false),
        (
            instead(VIA, "Via: SIP/2.0/UDP h;branch=z9hG4bK"),
            Cause::Malformed(Header::Via),
            true,
        ),
        (
            instead(VIA, "Via: SIP/2.0/UDP h;branch=a;branch=b"),
            Cause::Malformed(Header::Via),
            true,
        ),
        (
            instead(VIA, "Via: SIP/2.0/UDP h;branch=a, , SIP/2.0/UDP i"),
            Cause::Malformed(Header::Via),
            true,
        ),
        (
            instead(FROM, "From: <sip:a@b>;tag=1;tag=2"),
            Cause::Malformed(Header::From),
            true,
        ),
        (
            instead(FROM, "From: <sip:a@b>, <sip:c@d>"),
            Cause::Malformed(Header::From),
            true,
        ),
        (
            instead(FROM, "From: \"a <sip:a@b>;tag=1"),
            Cause::Malformed(Header::From),
            true,
        ),
        (instead(TO, "To: sip:a@b x"), Cause::Malformed(Header::To), true),
        (instead(TO, "To:"), Cause::Malformed(Header::To), true),
        (instead(TO, "To: <sip:a@b>;tag="), Cause::Malformed(Header::To), true),
        (instead(TO, "To: <sip:a@b>;tag"), Cause::Malformed(Header::To), true),
        (
            instead(FROM, "From: <sip:a@b>;tag=\"\""),
            Cause::Malformed(Header::From),
            true,
        ),
        (instead(CALL_ID, "Call-ID:"), Cause::Malformed(Header::CallId), true),
        (instead(CALL_ID, "Call-ID: a b"), Cause::Malformed(Header::CallId), true),
        (
            instead(CSEQ, "CSeq: 2147483648 INVITE"),
            Cause::Malformed(Header::CSeq),
            true,
        ),
        (with(&[CSEQ]), Cause::Duplicate(Header::CSeq), true),
        (with(&["f: sip:c@d"]), Cause::Duplicate(Header::From), true),
        (with(&["t: sip:c@d"]), Cause::Duplicate(Header::To), true),
        (with(&["i: x"]), Cause::Duplicate(Header::CallId), true),
        (
            with(&[HOPS, "max-forwards: 70"]),
            Cause::Duplicate(Header::MaxForwards),
            true,
        ),
        (
            with(&["l: 0", "Content-Length: 0"]),
            Cause::Duplicate(Header::ContentLength),
            true,
        ),
        (
            with(&["Max-Forwards: 256"]),
            Cause::Malformed(Header::MaxForwards),
            true,
        ),
        (with(&["Max-Forwards: +1"]), Cause::Malformed(Header::MaxForwards), true),
        (with(&["Content-Length: 1"]), Cause::ContentLength, true),
        (with(&["Content-Length: -1"]), Cause::ContentLength, true),
        (
            with(&["Content-Length: 99999999999999999999"]),
            Cause::ContentLength,
            true,
        ),
        (with(&["Content-Length: 0, 0"]), Cause::ContentLength, true),
        (with(&["Foobar roobar"]), Cause::HeaderLine, true),
        (with(&[": nameless"]), Cause::HeaderLine, true),
        (with(&["Two words: x"]), Cause::HeaderLine, true),
        (with(&["Subject: a\rPrivacy: id"]), Cause::HeaderLine, true),
        (
            raw(&format!(
                "INVITE sip:a@b SIP/2.0\r\n folded: x\r\n{}\r\n\r\n",
                NEEDED.join("\r\n")
            )),
            Cause::HeaderLine,
            true,
        ),
        (
            raw(&format!("INVITE sip:a@b SIP/2.0\r\n{}\r\n", NEEDED.join("\r\n"))),
            Cause::HeaderLine,
            true,
        ),
        (
            raw(&format!("INVITE sip:a@b SIP/2.0\r\n{}", NEEDED.join("\r\n"))),
            Cause::HeaderLine,
            true,
        ),
    ];
    for (raw, expected, answerable) in table {
        let text = String::from_utf8_lossy(&raw).into_owned();
        assert_eq!(cause(raw), (expected, answerable), "{text}");
    }
}

#[test]
fn malformed_responses_are_never_answered() {
    for line in [
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 4294967301 x",
        "SIP/2.0 +20 x",
        "SIP/3.0 200 OK",
        "SIP/2.0",
        "SIP/x",
    ] {
        let raw = format!("{line}\r\n{}\r\n\r\n", NEEDED.join("\r\n"));
        assert!(!cause(raw).1, "{line}");
    }
    assert_eq!(
        cause(format!("SIP/2.0 200 OK\r\n{VIA}\r\n\r\n")),
        (ParseCause::Missing(Header::From), false)
    );
}

#[test]
fn bytes_that_are_no_text_matter_only_where_they_are_needed() {
    let put = |header: &str, value: &[u8]| {
        let mut raw = with(&[&format!("{header}: ")]).to_vec();
        let end = raw.len() - 4;
        raw.splice(end..end, value.iter().copied());
        Bytes::from(raw)
    };
    let raw = put("Subject", b"\xff\xfe");
    let read = message(raw.clone());
    assert_eq!(read.named("subject"), Some(""));
    assert_eq!(Edit::new(&read).write(&mut BytesMut::new()), raw, "forwarded untouched");
    for needed in ["Privacy", "P-Asserted-Identity", "Route", "Max-Forwards", "v"] {
        assert_eq!(cause(put(needed, b"\xff")), (ParseCause::Encoding, true), "{needed}");
    }
    let mut raw = invite(&NEEDED).to_vec();
    raw[11] = 0xff;
    assert_eq!(cause(raw), (ParseCause::Encoding, true));
    let mut raw = format!("SIP/2.0 200 ?\r\n{}\r\n\r\n", NEEDED.join("\r\n")).into_bytes();
    raw[12] = 0xff;
    assert_eq!(
        message(raw).start_line(),
        StartLine::Response {
            status: 200,
            phrase: ""
        }
    );
}

#[test]
fn limits_bound_what_is_stored() {
    let limits = Limits {
        message_bytes: 2_000,
        headers: 8,
        header_bytes: 300,
        vias: 3,
    };
    let within = |raw: Bytes| Message::parse_within(raw, &limits).map_err(|error| (error.cause, error.status));
    assert!(within(with(&[])).is_ok());
    let long = format!("Subject: {}", "x".repeat(300));
    assert_eq!(within(with(&[&long])).unwrap_err(), (ParseCause::TooLarge, 513));
    let folded = format!("Subject: {}", "x\r\n ".repeat(100));
    assert_eq!(within(with(&[&folded])).unwrap_err(), (ParseCause::TooLarge, 513));
    assert_eq!(
        within(with(&["A: b"; 4])).unwrap_err(),
        (ParseCause::TooManyHeaders, 400)
    );
    let vias = format!("v: {}", ["SIP/2.0/UDP h"; 3].join(","));
    assert_eq!(within(with(&[&vias])).unwrap_err(), (ParseCause::TooManyHeaders, 400));
    let uri = format!(
        "INVITE sip:{}@b SIP/2.0\r\n{}\r\n\r\n",
        "a".repeat(300),
        NEEDED.join("\r\n")
    );
    assert_eq!(within(Bytes::from(uri)).unwrap_err(), (ParseCause::TooLarge, 513));
    let body = [&with(&[])[..], &[b'x'; 2_000]].concat();
    let error = Message::parse_within(Bytes::from(body), &limits).unwrap_err();
    assert_eq!(
        (error.cause, error.status, error.answerable.is_some()),
        (ParseCause::TooLarge, 513, false)
    );
}

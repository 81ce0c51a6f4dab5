//! Who is shown and who is called, in every form that the contract names.

use bytes::Bytes;

use super::*;
use crate::gate::SourceIndex;
use crate::numbering::{E164, ShortCode};
use crate::sip::proxy::tests::plan;

fn invite(uri: &str, from: &str, more: &str) -> Message {
    Message::parse(Bytes::from(format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: {from};tag=f\r\nTo: <sip:c@d>\r\nCall-ID: c\r\n\
         CSeq: 1 INVITE\r\n{more}\r\n"
    )))
    .unwrap()
}

fn e164(digits: u64) -> Number {
    Number::E164(E164::new(digits).unwrap())
}

#[test]
fn the_caller_is_from_then_an_asserted_identity() {
    let plan = plan();
    let shown = CallerId::Shown(e164(33_162_001_000));
    let pai = "P-Asserted-Identity: <sip:+33162001000@pbx>\r\n";
    for (from, more, expected) in [
        ("<sip:+33162001000@pbx>", "", shown),
        ("\"Acme\" <sip:0162001000@pbx;user=phone>", "", shown),
        ("<sip:0162001000;phone-context=+33@pbx>", "", shown),
        ("<tel:+33-1-62-00-10-00>", "", shown),
        ("<sips:%2B33162001000@pbx>", "", shown),
        (
            "<sip:+33162001000@pbx>",
            "P-Asserted-Identity: <sip:+33612345678@pbx>\r\n",
            shown,
        ),
        ("<sip:agent@pbx>", pai, shown),
        ("<sip:pbx>", pai, shown),
        (
            "<sip:agent@pbx>",
            "P-Asserted-Identity: <sip:a@pbx>, <tel:+33162001000>\r\n",
            shown,
        ),
        ("<sip:agent@pbx>", "", CallerId::Unparseable),
        (
            "<sip:agent@pbx>",
            "P-Asserted-Identity: <sip:b@pbx>\r\n",
            CallerId::Unparseable,
        ),
        (
            "<sip:pbx>",
            "P-Asserted-Identity: <sip:b@pbx>\r\n",
            CallerId::Unparseable,
        ),
        ("<sip:pbx>", "", CallerId::Missing),
        ("<sip:pbx>", "P-Asserted-Identity: <sip:pbx>\r\n", CallerId::Missing),
        ("<sip:192.0.2.1>", "", CallerId::Missing),
        ("<sip:anonymous@pbx>", pai, CallerId::Masked),
        ("\"Anonymous\" <sip:Anonymous@anonymous.invalid>", "", CallerId::Masked),
        ("<sip:+33162001000@anonymous.invalid>", "", CallerId::Masked),
        ("<sip:+33162001000@pbx>", "Privacy: id\r\n", CallerId::Masked),
        (
            "<sip:+33162001000@pbx>",
            "Privacy: critical; user\r\n",
            CallerId::Masked,
        ),
        ("<sip:+33162001000@pbx>", "Privacy: Header\r\n", CallerId::Masked),
        ("<sip:+33162001000@pbx>", "Privacy: none\r\n", shown),
        ("<sip:+33162001000@pbx>", "Privacy: session\r\n", shown),
    ] {
        let message = invite("sip:0612345678@h", from, more);
        assert_eq!(caller(&plan, &message), expected, "{from} {more}");
    }
}

#[test]
fn the_callee_is_the_request_uri() {
    let plan = plan();
    let mobile = Callee::Number(e164(33_612_345_678));
    for (uri, expected) in [
        ("sip:+33612345678@h", mobile),
        ("sip:0612345678@h;user=phone", mobile),
        ("sip:0033612345678@h", mobile),
        ("sip:33612345678@h", mobile),
        ("sip:%2B33612345678@h", mobile),
        ("sips:0612345678;npdi@h", mobile),
        ("sip:612345678;phone-context=+33@h", mobile),
        ("tel:+33-6-12-34-56-78", mobile),
        ("tel:0612345678;phone-context=+33", mobile),
        ("sip:112@h", Callee::Number(Number::Short(ShortCode::new(112).unwrap()))),
        ("urn:service:sos.ambulance", Callee::EmergencyService),
        ("sip:alice@h", Callee::Unparseable),
        ("sip:0612345678", Callee::Unparseable),
        ("sip:h", Callee::Unparseable),
        ("urn:service:counseling", Callee::Unparseable),
        ("http:0612345678", Callee::Unparseable),
    ] {
        assert_eq!(callee(&plan, uri), expected, "{uri}");
    }
}

#[test]
fn emergency_numbers_are_known_in_any_form() {
    let plan = plan();
    let day = "2025-06-02".parse().unwrap();
    for (uri, expected) in [
        ("sip:15@h", true),
        ("sip:112@h", true),
        ("sip:+112@h", true),
        ("tel:18", true),
        ("urn:service:sos", true),
        ("sip:3949@h", false),
        ("sip:0612345678@h", false),
        ("sip:alice@h", false),
    ] {
        assert_eq!(is_emergency(&plan, callee(&plan, uri), day), expected, "{uri}");
    }
}

#[test]
fn a_source_names_professional_and_purpose_only_in_the_headers_trusted_from_it() {
    let plan = plan();
    let message = invite(
        "sip:0612345678@h",
        "<sip:0162001000@pbx>",
        "X-Professional: acme \r\nX-Purpose: Press\r\nX-Odd: nonsense\r\n",
    );
    let ask = |professional: Option<&str>, purpose: Option<&str>| {
        let trusted = TrustedHeaders {
            professional: professional.map(std::sync::Arc::from),
            purpose: purpose.map(std::sync::Arc::from),
        };
        let callee = callee(&plan, message.request_uri());
        let question = question(&plan, &message, callee, SourceIndex(3), &trusted, 9);
        assert_eq!((question.source, question.call), (Some(SourceIndex(3)), 9));
        (question.professional.as_deref().map(str::to_owned), question.purpose)
    };
    assert_eq!(ask(None, None), (None, None));
    assert_eq!(
        ask(Some("x-professional"), Some("X-Purpose")),
        (Some("acme".to_owned()), Some(Purpose::Press))
    );
    assert_eq!(ask(Some("X-Absent"), Some("X-Odd")), (None, None));
}

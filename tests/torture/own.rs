//! Messages of our own for every fault that RFC 4475 and RFC 5118 publish a message for, so that a plain clone is as well tested.

use std::collections::BTreeSet;
use std::path::Path;

use crate::bench::Link::{Six, Tcp, Tls, Udp};
use crate::cases::Outcome::{Answered, Dropped, Forwarded, OnlyInDialog, Relayed, Waiting};
use crate::cases::{Case, case, own};
use crate::published::{RFC_4475, RFC_5118};

/// Each with the published message that tries the same.
const TABLE: [(&str, Case); 62] = [
    (
        "wsinv",
        case(
            "white-space-and-folding",
            Udp,
            OnlyInDialog,
            "white space, tabs and folding wherever the grammar has them; empty and unknown headers",
        ),
    ),
    (
        "intmeth",
        case(
            "unusual-characters",
            Tcp,
            Forwarded,
            "every sort of character that a method, a URI, a token or a quoted string may hold; unknown methods pass",
        ),
    ),
    (
        "esc01",
        case(
            "escapes-in-uris",
            Udp,
            Forwarded,
            "escapes in URIs are no delimiters, and stay as written",
        ),
    ),
    (
        "escnull",
        case("escaped-nul", Udp, Forwarded, "an escaped NUL ends no string"),
    ),
    (
        "esc02",
        case(
            "percent-that-escapes-nothing",
            Tcp,
            Forwarded,
            "% in a method or a header name escapes nothing: this is no INVITE and has one Contact",
        ),
    ),
    (
        "lwsdisp",
        case(
            "no-space-before-the-bracket",
            Udp,
            Forwarded,
            "white space before < is optional",
        ),
    ),
    (
        "longreq",
        case(
            "long-values",
            Tcp,
            Forwarded,
            "long values within the bounds, and forty Vias in every spelling",
        ),
    ),
    (
        "dblreq",
        case(
            "a-second-message-behind-the-first",
            Udp,
            Forwarded,
            "what stands behind the body in a datagram is dropped, an INVITE that nobody judged above all",
        ),
    ),
    (
        "semiuri",
        case(
            "parameters-in-the-user-part",
            Udp,
            Forwarded,
            "parameters within the user part belong to it",
        ),
    ),
    (
        "transports",
        case(
            "transports-known-and-unknown",
            Udp,
            Forwarded,
            "Vias below the topmost may name transports that nobody knows",
        ),
    ),
    (
        "mpart01",
        case(
            "multipart-with-binary",
            Udp,
            Forwarded,
            "a body holds any byte, a start line too, and passes as it is",
        ),
    ),
    (
        "unreason",
        case(
            "phrase-unusual",
            Udp,
            Relayed(183),
            "any UTF-8 in a reason phrase, which passes as it is",
        ),
    ),
    (
        "noreason",
        case(
            "phrase-empty",
            Udp,
            Waiting,
            "an empty phrase is one; a 100 is not passed on",
        ),
    ),
    (
        "badinv01",
        case(
            "separators-without-values",
            Udp,
            Answered(400),
            "separators without values in Via and Contact",
        ),
    ),
    (
        "clerr",
        case(
            "length-beyond-the-end",
            Udp,
            Answered(400),
            "Content-Length beyond the end of the datagram",
        ),
    ),
    (
        "ncl",
        case("length-negative", Udp, Answered(400), "a negative Content-Length"),
    ),
    (
        "scalar02",
        case(
            "numbers-too-large-in-a-request",
            Tcp,
            Answered(400),
            "CSeq beyond 2^31 and Max-Forwards beyond 255",
        ),
    ),
    (
        "scalarlg",
        case(
            "numbers-too-large-in-a-response",
            Udp,
            Waiting,
            "a response whose CSeq is beyond its bound is discarded",
        ),
    ),
    (
        "quotbal",
        case(
            "quotes-left-open",
            Udp,
            Answered(400),
            "a quoted string is never closed",
        ),
    ),
    (
        "ltgtruri",
        case("uri-in-brackets", Udp, Answered(400), "brackets around the Request-URI"),
    ),
    (
        "lwsruri",
        case(
            "uri-with-a-space",
            Udp,
            Answered(400),
            "white space within the Request-URI",
        ),
    ),
    (
        "lwsstart",
        case(
            "start-line-with-two-spaces",
            Udp,
            Answered(400),
            "two spaces between the parts of the start line",
        ),
    ),
    (
        "trws",
        case(
            "start-line-with-spaces-at-its-end",
            Tcp,
            Answered(400),
            "spaces at the end of the start line",
        ),
    ),
    (
        "escruri",
        case(
            "uri-with-headers",
            Udp,
            Answered(400),
            "headers within the Request-URI, a Route among them, which nobody is to obey",
        ),
    ),
    (
        "baddate",
        case("date-in-another-zone", Udp, Forwarded, "a proxy has no use for Date"),
    ),
    (
        "regbadct",
        case(
            "contact-without-brackets",
            Udp,
            Forwarded,
            "nor for the Contact of a REGISTER",
        ),
    ),
    (
        "badaspec",
        case(
            "address-with-spaces",
            Udp,
            Answered(400),
            "spaces between < and the URI in To",
        ),
    ),
    (
        "baddn",
        case(
            "display-name-with-a-comma",
            Udp,
            Answered(400),
            "a comma in a display name without quotes could end the value",
        ),
    ),
    (
        "badvers",
        case("version-unknown", Udp, Answered(505), "a version that is not ours"),
    ),
    (
        "mismatch01",
        case(
            "cseq-of-another-method",
            Udp,
            Answered(400),
            "CSeq names another method",
        ),
    ),
    (
        "mismatch02",
        case(
            "cseq-of-another-method-than-an-unknown-one",
            Udp,
            Answered(400),
            "CSeq names another method than one that nobody knows",
        ),
    ),
    (
        "bigcode",
        case(
            "status-too-large",
            Udp,
            Waiting,
            "a status of more than three digits is no 200, whatever it wraps to",
        ),
    ),
    (
        "badbranch",
        case(
            "branch-that-is-the-cookie-alone",
            Udp,
            Answered(400),
            "a branch that is the magic cookie and nothing else",
        ),
    ),
    (
        "insuf",
        case(
            "from-to-and-call-id-missing",
            Udp,
            Answered(400),
            "no From, To and Call-ID",
        ),
    ),
    (
        "unkscm",
        case(
            "scheme-unknown",
            Tcp,
            Answered(416),
            "a Request-URI of a scheme that nobody knows",
        ),
    ),
    (
        "novelsc",
        case(
            "scheme-of-another-protocol",
            Tcp,
            Answered(416),
            "a Request-URI of a scheme for other things",
        ),
    ),
    (
        "unksm2",
        case(
            "schemes-unknown-in-headers",
            Udp,
            Forwarded,
            "schemes in To, From and Contact are the registrar's business",
        ),
    ),
    (
        "bext01",
        case(
            "extensions-required-of-proxies",
            Tls,
            Answered(420),
            "Proxy-Require names what we do not know; Require is for the callee",
        ),
    ),
    (
        "invut",
        case(
            "body-of-an-unknown-type",
            Udp,
            Forwarded,
            "a proxy does not look into bodies",
        ),
    ),
    (
        "regaut01",
        case(
            "authorization-of-an-unknown-scheme",
            Tcp,
            Forwarded,
            "Authorization is for the registrar",
        ),
    ),
    (
        "multi01",
        case(
            "single-headers-twice",
            Udp,
            Answered(400),
            "headers that stand once stand twice",
        ),
    ),
    (
        "mcl01",
        case(
            "length-twice",
            Udp,
            Answered(400),
            "two lengths that differ, one in compact form",
        ),
    ),
    (
        "bcast",
        case(
            "via-of-everybody",
            Udp,
            Relayed(200),
            "a Via of 255.255.255.255 below ours directs nothing: who sent the request gets the answer",
        ),
    ),
    (
        "zeromf",
        case("no-hops-left", Udp, Answered(483), "no hops left, and not for us: 483"),
    ),
    (
        "cparam01",
        case(
            "contact-with-a-header-parameter",
            Udp,
            Forwarded,
            "an unknown Contact parameter is the registrar's",
        ),
    ),
    (
        "cparam02",
        case(
            "contact-with-a-uri-parameter",
            Udp,
            Forwarded,
            "an unknown URI parameter in Contact is the registrar's",
        ),
    ),
    (
        "regescrt",
        case(
            "contact-with-escaped-headers",
            Udp,
            Forwarded,
            "headers in a Contact URI are the registrar's",
        ),
    ),
    (
        "sdp01",
        case(
            "answer-wanted-in-an-unknown-type",
            Udp,
            Forwarded,
            "Accept is for the callee",
        ),
    ),
    (
        "inv2543",
        case(
            "as-rfc-2543-wrote-it",
            Udp,
            Forwarded,
            "no branch, no From-tag, no Max-Forwards, no Content-Length: still a request",
        ),
    ),
    (
        "test",
        case(
            "neither-version-nor-via",
            Udp,
            Dropped,
            "no version and no Via, so nothing to answer to",
        ),
    ),
    (
        "ipv6-good",
        case("v6-in-brackets", Six, Forwarded, "an IPv6 reference in brackets"),
    ),
    (
        "ipv6-bad",
        case(
            "v6-without-brackets",
            Six,
            Answered(400),
            "an IPv6 address without brackets",
        ),
    ),
    (
        "port-ambiguous",
        case(
            "v6-port-inside-the-brackets",
            Six,
            Forwarded,
            "what looks like a port within the brackets is part of the address",
        ),
    ),
    (
        "port-unambiguous",
        case(
            "v6-port-behind-the-brackets",
            Six,
            Forwarded,
            "a port behind the brackets",
        ),
    ),
    (
        "via-received-param-with-delim",
        case(
            "v6-received-in-brackets",
            Six,
            OnlyInDialog,
            "received in brackets is read; the answer goes where the request came from",
        ),
    ),
    (
        "via-received-param-no-delim",
        case(
            "v6-received-bare",
            Six,
            Forwarded,
            "received without brackets, as the grammar has it",
        ),
    ),
    (
        "ipv6-in-sdp",
        case(
            "v6-in-the-body",
            Six,
            Forwarded,
            "addresses in a body are not looked at",
        ),
    ),
    (
        "mult-ip-in-header",
        case(
            "v6-and-v4-in-vias",
            Six,
            OnlyInDialog,
            "Vias of both families in one message",
        ),
    ),
    (
        "mult-ip-in-sdp",
        case("v6-and-v4-in-the-body", Six, Forwarded, "media of both families"),
    ),
    (
        "ipv4-mapped-ipv6",
        case(
            "v6-that-holds-a-v4-address",
            Udp,
            Forwarded,
            "an IPv4 address written as an IPv6 one",
        ),
    ),
    (
        "ipv6-correct-abnf-2-colons",
        case(
            "v6-with-two-colons",
            Udp,
            Forwarded,
            "two colons before an embedded IPv4 address",
        ),
    ),
    (
        "ipv6-bug-abnf-3-colons",
        case(
            "v6-with-three-colons",
            Udp,
            Forwarded,
            "three, as RFC 3261's grammar made senders write",
        ),
    ),
];

#[test]
fn every_fault_tried_by_a_message_of_our_own_gets_the_outcome_that_a_proxy_must_give() {
    for (_, case) in &TABLE {
        case.check(&own(case.name));
    }
}

#[test]
fn there_is_a_message_of_our_own_for_every_published_one_and_it_gets_the_same_outcome() {
    let published = || RFC_4475.iter().chain(&RFC_5118);
    let covered: BTreeSet<&str> = TABLE.iter().map(|(of, _)| *of).collect();
    assert_eq!(covered, published().map(|case| case.name).collect());
    assert_eq!(covered.len(), TABLE.len(), "one each");
    for (of, case) in &TABLE {
        let theirs = published().find(|theirs| theirs.name == *of).expect(of);
        let same = std::mem::discriminant(&case.outcome) == std::mem::discriminant(&theirs.outcome);
        assert!(same && case.link == theirs.link, "{} and {of}", case.name);
    }
}

#[test]
fn every_file_beside_this_one_is_tried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sip" || extension == "dat")
        })
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("odd-"))
        .collect();
    assert_eq!(files, TABLE.iter().map(|(_, case)| case.name.to_owned()).collect());
}

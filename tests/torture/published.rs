//! Every message of RFC 4475 and RFC 5118, as published. Some need care before a proxy can be judged on them: RFC 5118's have bare
//! line feeds, wrong lengths and partly no blank line, and so has one of RFC 4475's; each is tried on a proxy of its own, since several
//! share branch and Call-ID.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clapet::sip::message::{Header, Message, Method, Uri, Via};

use crate::bench::Link::{Six, Tcp, Tls, Udp};
use crate::cases::Outcome::{Answered, Dropped, Forwarded, OnlyInDialog, Relayed, Waiting};
use crate::cases::{Case, case, read};

/// RFC 4475, in its order.
pub const RFC_4475: [Case; 50] = [
    case(
        "wsinv",
        Udp,
        OnlyInDialog,
        "§3.1.1.1: white space and folding wherever the grammar has it, empty and unknown headers",
    ),
    case(
        "intmeth",
        Tcp,
        Forwarded,
        "§3.1.1.2: every character that a method, a URI, a token or a quoted string may hold; a proxy passes unknown methods",
    ),
    case(
        "esc01",
        Udp,
        Forwarded,
        "§3.1.1.3: escapes in URIs are no delimiters, and stay as written",
    ),
    case("escnull", Udp, Forwarded, "§3.1.1.4: an escaped NUL ends no string"),
    case(
        "esc02",
        Tcp,
        Forwarded,
        "§3.1.1.5: % in a method, a header name or a display name escapes nothing: this is no REGISTER",
    ),
    case(
        "lwsdisp",
        Udp,
        Forwarded,
        "§3.1.1.6: no white space between display name and <",
    ),
    case(
        "longreq",
        Tcp,
        Forwarded,
        "§3.1.1.7: long values and thirty-four Vias in every spelling",
    ),
    case(
        "dblreq",
        Udp,
        Forwarded,
        "§3.1.1.8: what stands behind the body in a datagram is dropped (RFC 3261 §18.3)",
    ),
    case(
        "semiuri",
        Udp,
        Forwarded,
        "§3.1.1.9: parameters within the user part belong to it",
    ),
    case(
        "transports",
        Udp,
        Forwarded,
        "§3.1.1.10: Vias below the topmost may name transports that nobody knows",
    ),
    case(
        "mpart01",
        Udp,
        Forwarded,
        "§3.1.1.11: a body holds any byte, and passes as it is",
    ),
    case(
        "unreason",
        Udp,
        Relayed(200),
        "§3.1.1.12: any UTF-8 in a reason phrase, which passes as it is",
    ),
    case(
        "noreason",
        Udp,
        Waiting,
        "§3.1.1.13: an empty phrase is one; a 100 is not passed on (RFC 3261 §16.7 step 5)",
    ),
    case(
        "badinv01",
        Udp,
        Answered(400),
        "§3.1.2.1: separators without values in Via and Contact",
    ),
    case(
        "clerr",
        Udp,
        Answered(400),
        "§3.1.2.2: Content-Length beyond the end of the datagram (RFC 3261 §18.3)",
    ),
    case("ncl", Udp, Answered(400), "§3.1.2.3: a negative Content-Length"),
    case(
        "scalar02",
        Tcp,
        Answered(400),
        "§3.1.2.4: CSeq and Max-Forwards beyond their bounds",
    ),
    case(
        "scalarlg",
        Udp,
        Waiting,
        "§3.1.2.5: a response whose CSeq is beyond its bound is discarded",
    ),
    case(
        "quotbal",
        Udp,
        Answered(400),
        "§3.1.2.6: a quoted string is never closed",
    ),
    case(
        "ltgtruri",
        Udp,
        Answered(400),
        "§3.1.2.7: brackets around the Request-URI",
    ),
    case(
        "lwsruri",
        Udp,
        Answered(400),
        "§3.1.2.8: white space within the Request-URI",
    ),
    case(
        "lwsstart",
        Udp,
        Answered(400),
        "§3.1.2.9: two spaces between the parts of the start line",
    ),
    case(
        "trws",
        Tcp,
        Answered(400),
        "§3.1.2.10: spaces at the end of the start line",
    ),
    case(
        "escruri",
        Udp,
        Answered(400),
        "§3.1.2.11: headers within the Request-URI, which nobody is to obey",
    ),
    case(
        "baddate",
        Udp,
        Forwarded,
        "§3.1.2.12: a proxy has no use for Date, so a bad zone in it is none of its business",
    ),
    case(
        "regbadct",
        Udp,
        Forwarded,
        "§3.1.2.13: nor for the Contact of a REGISTER, which the registrar refuses",
    ),
    case(
        "badaspec",
        Udp,
        Answered(400),
        "§3.1.2.14: spaces between < and the URI in To",
    ),
    case(
        "baddn",
        Udp,
        Answered(400),
        "§3.1.2.15: a comma in a display name without quotes",
    ),
    case("badvers", Udp, Answered(505), "§3.1.2.16: a version that is not ours"),
    case("mismatch01", Udp, Answered(400), "§3.1.2.17: CSeq names another method"),
    case(
        "mismatch02",
        Udp,
        Answered(400),
        "§3.1.2.18: CSeq names another method than one that nobody knows",
    ),
    case(
        "bigcode",
        Udp,
        Waiting,
        "§3.1.2.19: a status of more than three digits; the response is discarded, whatever it wraps to",
    ),
    case(
        "badbranch",
        Udp,
        Answered(400),
        "§3.2.1: a branch that is the magic cookie and nothing else",
    ),
    case("insuf", Udp, Answered(400), "§3.3.1: no From, To and Call-ID"),
    case(
        "unkscm",
        Tcp,
        Answered(416),
        "§3.3.2: a Request-URI of a scheme that nobody knows",
    ),
    case(
        "novelsc",
        Tcp,
        Answered(416),
        "§3.3.3: a Request-URI of a scheme for other things",
    ),
    case(
        "unksm2",
        Udp,
        Forwarded,
        "§3.3.4: schemes in To, From and Contact are the registrar's business",
    ),
    case(
        "bext01",
        Tls,
        Answered(420),
        "§3.3.5: Proxy-Require names what we do not know; Require is for the callee",
    ),
    case("invut", Udp, Forwarded, "§3.3.6: a proxy does not look into bodies"),
    case("regaut01", Tcp, Forwarded, "§3.3.7: Authorization is for the registrar"),
    case(
        "multi01",
        Udp,
        Answered(400),
        "§3.3.8: headers that stand once stand twice",
    ),
    case("mcl01", Udp, Answered(400), "§3.3.9: two lengths that differ"),
    case(
        "bcast",
        Udp,
        Relayed(200),
        "§3.3.10: a Via of 255.255.255.255 below ours directs nothing: who sent the request gets the answer",
    ),
    case(
        "zeromf",
        Udp,
        Answered(483),
        "§3.3.11: no hops left, and not for us: 483",
    ),
    case(
        "cparam01",
        Udp,
        Forwarded,
        "§3.3.12: an unknown Contact parameter is the registrar's",
    ),
    case(
        "cparam02",
        Udp,
        Forwarded,
        "§3.3.13: an unknown URI parameter in Contact is the registrar's",
    ),
    case(
        "regescrt",
        Udp,
        Forwarded,
        "§3.3.14: headers in a Contact URI are the registrar's",
    ),
    case("sdp01", Udp, Forwarded, "§3.3.15: Accept is for the callee"),
    case(
        "inv2543",
        Udp,
        Forwarded,
        "§3.4.1: no branch, no From-tag, no Max-Forwards: still a request",
    ),
    case(
        "test",
        Udp,
        Dropped,
        "in the archive, not in the text: no version and no Via, so nothing to answer to",
    ),
];

/// RFC 5118, in its order.
pub const RFC_5118: [Case; 12] = [
    case("ipv6-good", Six, Forwarded, "§4.1: an IPv6 reference in brackets"),
    case("ipv6-bad", Six, Answered(400), "§4.2: an IPv6 address without brackets"),
    case(
        "port-ambiguous",
        Six,
        Forwarded,
        "§4.3: what looks like a port within the brackets is part of the address",
    ),
    case("port-unambiguous", Six, Forwarded, "§4.4: a port behind the brackets"),
    case(
        "via-received-param-with-delim",
        Six,
        OnlyInDialog,
        "§4.5: received in brackets is read; the answer goes where the request came from",
    ),
    case(
        "via-received-param-no-delim",
        Six,
        Forwarded,
        "§4.5: received without brackets, as the grammar has it",
    ),
    case(
        "ipv6-in-sdp",
        Six,
        Forwarded,
        "§4.6: addresses in a body are not looked at",
    ),
    case(
        "mult-ip-in-header",
        Six,
        OnlyInDialog,
        "§4.7: Vias of both families in one message",
    ),
    case("mult-ip-in-sdp", Six, Forwarded, "§4.8: media of both families"),
    case(
        "ipv4-mapped-ipv6",
        Udp,
        Forwarded,
        "§4.9: an IPv4 address written as an IPv6 one",
    ),
    case(
        "ipv6-correct-abnf-2-colons",
        Udp,
        Forwarded,
        "§4.10: two colons before an embedded IPv4 address",
    ),
    case(
        "ipv6-bug-abnf-3-colons",
        Udp,
        Forwarded,
        "§4.10: three, as RFC 3261's grammar made senders write",
    ),
];

#[test]
fn every_message_of_rfc_4475_gets_the_outcome_that_a_proxy_must_give() {
    let Some(folder) = folder("rfc4475") else { return };
    let tried = all(&folder, &RFC_4475, |name, raw| {
        // One lacks its blank line.
        if name == "baddn" {
            Bytes::from([&raw[..], b"\r\n"].concat())
        } else {
            raw
        }
    });
    assert_eq!(tried, 50);
}

#[test]
fn every_message_of_rfc_5118_gets_the_outcome_that_a_proxy_must_give() {
    let Some(folder) = folder("rfc5118") else { return };
    let tried = all(&folder, &RFC_5118, |_, raw| mended(&raw));
    assert_eq!(tried, 12);
}

/// Tries a folder's messages, all of them and no other; how many there were.
fn all(folder: &Path, table: &[Case], mend: impl Fn(&str, Bytes) -> Bytes) -> usize {
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let named: BTreeSet<String> = table.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(files, named, "the table has every message of {}", folder.display());
    for case in table {
        case.check(&mend(case.name, read(&folder.join(case.name).with_extension("dat"))));
    }
    table.len()
}

#[test]
fn values_are_read_as_rfc_4475_means_them() {
    let Some(folder) = folder("rfc4475") else { return };
    let message = |name: &str| Message::parse(read(&folder.join(name).with_extension("dat"))).expect(name);

    let wsinv = message("wsinv");
    assert_eq!(wsinv.to().and_then(|to| to.tag()), Some("1918181833n"));
    assert_eq!(wsinv.from().and_then(|from| from.tag()), Some("98asjd8"));
    assert_eq!(wsinv.from().and_then(|from| from.display), Some(r#"J Rosenberg \\\""#));
    assert_eq!(wsinv.max_forwards(), Some(68));
    assert_eq!(
        wsinv.cseq().map(|cseq| (cseq.number, cseq.method)),
        Some((9, Method::Invite))
    );
    assert_eq!(wsinv.values(Header::Via).count(), 3);
    assert_eq!(wsinv.via().and_then(|via| via.branch()), Some("390skdjuw"));
    assert_eq!(wsinv.body().len(), 150);

    let intmeth = message("intmeth");
    assert_eq!(intmeth.method(), Method::Other);
    assert_eq!(intmeth.method_name(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(intmeth.from().and_then(|from| from.tag()), Some("_token~1'+`*%!-."));
    assert_eq!(intmeth.max_forwards(), Some(255));

    assert_eq!(
        message("esc02").method(),
        Method::Other,
        "escapes in a method are not undone"
    );
    assert_eq!(message("longreq").values(Header::Via).count(), 34);
    let double = message("dblreq");
    assert_eq!((double.method(), double.body().len()), (Method::Register, 0));
    assert!(
        double.raw().ends_with(b"Content-Length: 0\r\n\r\n"),
        "what follows is left out"
    );
    let known = |via| Via::parse(via).is_some_and(|via| via.transport.is_some());
    let transports: Vec<bool> = message("transports").values(Header::Via).map(known).collect();
    assert_eq!(transports, [true, false, true, false, true]);
    assert_eq!((message("unreason").status(), message("noreason").status()), (200, 100));
    assert_eq!(message("mpart01").body().len(), 553);
    assert_eq!(message("inv2543").via().map(|via| via.branch()), Some(None));
}

#[test]
fn values_are_read_as_rfc_5118_means_them() {
    let Some(folder) = folder("rfc5118") else { return };
    let message = |name: &str| Message::parse(mended(&read(&folder.join(name).with_extension("dat")))).expect(name);
    let host = |name: &str| {
        let message = message(name);
        let host = Uri::parse(message.request_uri())
            .and_then(|uri| uri.host_port)
            .expect(name);
        (host.ip().map(|ip| ip.to_string()), host.port)
    };
    assert_eq!(host("port-ambiguous"), (Some("2001:db8::10:5070".into()), None));
    assert_eq!(host("port-unambiguous"), (Some("2001:db8::10".into()), Some(5070)));
    let two_colons = host("ipv6-correct-abnf-2-colons");
    assert_eq!(two_colons.0.as_deref(), Some("2001:db8::c000:201"));
    assert_eq!(host("ipv6-bug-abnf-3-colons"), two_colons);
    let received = |name: &str| {
        message(name)
            .via()
            .and_then(|via| via.param("received").map(str::to_owned))
    };
    assert_eq!(
        received("via-received-param-with-delim").as_deref(),
        Some("[2001:db8::9:255]")
    );
    assert_eq!(
        received("via-received-param-no-delim").as_deref(),
        Some("2001:db8::9:255")
    );
}

/// A message of RFC 5118 as it was meant: CRLF, a blank line, the body's true length.
fn mended(raw: &[u8]) -> Bytes {
    let text = std::str::from_utf8(raw).expect("RFC 5118 messages are text");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.replace('\n', "\r\n");
    let mut mended = String::new();
    for line in head.lines() {
        if line.starts_with("Content-Length:") {
            mended.push_str("Content-Length: ");
            mended.push_str(&body.len().to_string());
        } else {
            mended.push_str(line);
        }
        mended.push_str("\r\n");
    }
    Bytes::from(mended + "\r\n" + &body)
}

fn folder(name: &str) -> Option<PathBuf> {
    let beside = || {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map(|parent| parent.join("shared/testdata"))
    };
    let folder = std::env::var_os("CLAPET_TESTDATA")
        .map(PathBuf::from)
        .or_else(beside)?
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no torture messages in {} (set CLAPET_TESTDATA)",
        folder.display()
    );
    None
}

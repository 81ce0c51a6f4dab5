//! The torture messages of RFC 4475 and RFC 5118 at the parser: what a proxy must be able to pass on, what it answers, what it drops.
//!
//! The messages themselves are no part of the project. They are read from `<testdata>/rfc4475` and `<testdata>/rfc5118`, where
//! `<testdata>` is `CLAPET_TESTDATA` or `../shared/testdata` beside the sources; without them the test says so and is skipped.
//! Messages of our own for each fault stand in the unit tests of `sip::message`.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use clapet::sip::message::{Edit, Header, Message, Method, ParseCause as Cause, Response};

/// What a proxy does with a message, as far as the parser decides it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Read; the proxy's own checks (Max-Forwards 0, unknown scheme, Proxy-Require, whose Via it is) come after.
    Read,
    /// Answered with this status.
    Answered(u16, Cause),
    /// Nothing to answer to.
    Dropped(Cause),
}

#[test]
fn rfc_4475_messages_get_the_outcome_a_proxy_must_give() {
    use Outcome::{Answered, Dropped, Read};
    let Some(folder) = folder("rfc4475") else { return };
    let table = [
        // §3.1.1, valid messages.
        ("wsinv", Read),
        ("intmeth", Read),
        ("esc01", Read),
        ("escnull", Read),
        ("esc02", Read),
        ("lwsdisp", Read),
        ("longreq", Read),
        ("dblreq", Read),
        ("semiuri", Read),
        ("transports", Read),
        ("mpart01", Read),
        ("unreason", Read),
        ("noreason", Read),
        // §3.1.2, invalid messages.
        ("badinv01", Answered(400, Cause::Malformed(Header::Via))),
        ("clerr", Answered(400, Cause::ContentLength)),
        ("ncl", Answered(400, Cause::ContentLength)),
        ("scalar02", Answered(400, Cause::Malformed(Header::CSeq))),
        ("scalarlg", Dropped(Cause::Malformed(Header::CSeq))),
        ("quotbal", Answered(400, Cause::Malformed(Header::To))),
        ("ltgtruri", Answered(400, Cause::StartLine)),
        ("lwsruri", Answered(400, Cause::StartLine)),
        ("lwsstart", Answered(400, Cause::StartLine)),
        ("trws", Answered(400, Cause::StartLine)),
        ("escruri", Answered(400, Cause::StartLine)),
        // A proxy has no use for Date, nor for the Contact of a REGISTER.
        ("baddate", Read),
        ("regbadct", Read),
        ("badaspec", Answered(400, Cause::Malformed(Header::To))),
        ("baddn", Answered(400, Cause::HeaderLine)),
        ("badvers", Answered(505, Cause::Version)),
        ("mismatch01", Answered(400, Cause::CSeqMethod)),
        ("mismatch02", Answered(400, Cause::CSeqMethod)),
        ("bigcode", Dropped(Cause::StartLine)),
        // §3.2, transaction layer.
        ("badbranch", Answered(400, Cause::Malformed(Header::Via))),
        // §3.3, application layer.
        ("insuf", Answered(400, Cause::Missing(Header::From))),
        ("unkscm", Read),
        ("novelsc", Read),
        ("unksm2", Read),
        ("bext01", Read),
        ("invut", Read),
        ("regaut01", Read),
        ("multi01", Answered(400, Cause::Duplicate(Header::CSeq))),
        ("mcl01", Answered(400, Cause::Duplicate(Header::ContentLength))),
        ("bcast", Read),
        ("zeromf", Read),
        ("cparam01", Read),
        ("cparam02", Read),
        ("regescrt", Read),
        ("sdp01", Read),
        // §3.4, backward compatibility.
        ("inv2543", Read),
        // In the archive, not in the text: no version, no Via.
        ("test", Dropped(Cause::StartLine)),
    ];
    for (name, expected) in &table {
        let raw = read(&folder.join(name).with_extension("dat"));
        assert_eq!(outcome(&raw), *expected, "{name}");
    }
    assert_eq!(
        files(&folder),
        table.len(),
        "a message of {} is missing in the table",
        folder.display()
    );
}

#[test]
fn rfc_4475_values_are_read_as_meant() {
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
        "escapes in a method name are not undone"
    );
    assert_eq!(message("longreq").values(Header::Via).count(), 34);
    let double = message("dblreq");
    assert_eq!((double.method(), double.body().len()), (Method::Register, 0));
    assert!(
        double.raw().ends_with(b"Content-Length: 0\r\n\r\n"),
        "what follows the message is left out"
    );
    let transports: Vec<bool> = message("transports")
        .values(Header::Via)
        .map(|via| clapet::sip::message::Via::parse(via).is_some_and(|via| via.transport.is_some()))
        .collect();
    assert_eq!(transports, [true, false, true, false, true]);
    assert_eq!((message("unreason").status(), message("noreason").status()), (200, 100));
    assert_eq!(message("mpart01").body().len(), 553);
    assert_eq!(message("zeromf").max_forwards(), Some(0));
    assert_eq!(message("inv2543").via().map(|via| via.branch()), Some(None));
}

#[test]
fn rfc_4475_messages_that_are_read_are_forwarded_byte_for_byte() {
    for name in ["rfc4475", "rfc5118"] {
        let Some(folder) = folder(name) else { return };
        for path in paths(&folder) {
            let raw = read(&path);
            let raw = if name == "rfc5118" { mended(&raw) } else { raw };
            let Ok(message) = Message::parse(raw.clone()) else {
                continue;
            };
            let mut out = BytesMut::new();
            let same = Edit::new(&message).write(&mut out);
            assert_eq!(&same, message.raw(), "{}", path.display());
            assert!(raw.starts_with(&same), "{}", path.display());

            let via = "SIP/2.0/UDP proxy.example.net;branch=z9hG4bKtorture";
            let forwarded = Edit::new(&message).prepend(Header::Via, via).write(&mut out);
            let forwarded = Message::parse(forwarded).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let back = Edit::new(&forwarded).pop_value(Header::Via).write(&mut out);
            assert_eq!(&back, message.raw(), "{}", path.display());
        }
    }
}

#[test]
fn rfc_5118_messages_get_the_outcome_a_proxy_must_give() {
    let Some(folder) = folder("rfc5118") else { return };
    let table = [
        ("ipv6-good", Outcome::Read),
        ("ipv6-bad", Outcome::Answered(400, Cause::StartLine)),
        ("port-ambiguous", Outcome::Read),
        ("port-unambiguous", Outcome::Read),
        ("via-received-param-with-delim", Outcome::Read),
        ("via-received-param-no-delim", Outcome::Read),
        ("mult-ip-in-header", Outcome::Read),
        ("mult-ip-in-sdp", Outcome::Read),
        ("ipv6-in-sdp", Outcome::Read),
        ("ipv4-mapped-ipv6", Outcome::Read),
        ("ipv6-correct-abnf-2-colons", Outcome::Read),
        ("ipv6-bug-abnf-3-colons", Outcome::Read),
    ];
    for (name, expected) in &table {
        let raw = read(&folder.join(name).with_extension("dat"));
        assert_eq!(outcome(&mended(&raw)), *expected, "{name}");
    }
    assert_eq!(files(&folder), table.len());

    let message = |name: &str| Message::parse(mended(&read(&folder.join(name).with_extension("dat")))).expect(name);
    let host = |name: &str| {
        let message = message(name);
        let uri = clapet::sip::message::Uri::parse(message.request_uri()).expect(name);
        let host_port = uri.host_port.expect(name);
        (host_port.ip().map(|ip| ip.to_string()), host_port.port)
    };
    assert_eq!(host("port-ambiguous"), (Some("2001:db8::10:5070".into()), None));
    assert_eq!(host("port-unambiguous"), (Some("2001:db8::10".into()), Some(5070)));
    let two_colons = host("ipv6-correct-abnf-2-colons");
    assert!(two_colons.0.is_some());
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

#[test]
fn what_is_answered_carries_what_could_be_read() {
    let Some(folder) = folder("rfc4475") else { return };
    for path in paths(&folder) {
        let Err(error) = Message::parse(read(&path)) else {
            continue;
        };
        let Some(request) = &error.answerable else { continue };
        let answer = Response {
            request,
            status: error.status,
            phrase: "",
            to_tag: "clapet",
            received_from: Some("192.0.2.200:5060".parse().expect("an address")),
            headers: &[],
        }
        .write(&mut BytesMut::new());
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.starts_with(&format!("SIP/2.0 {} ", error.status)),
            "{}",
            path.display()
        );
        assert!(text.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{}", path.display());
        for header in ["CSeq", "Call-ID"] {
            let count = text.lines().filter(|line| line.starts_with(header)).count();
            assert!(count <= 1, "{}: {count} {header}", path.display());
        }
    }
}

fn outcome(raw: &Bytes) -> Outcome {
    match Message::parse(raw.clone()) {
        Ok(_) => Outcome::Read,
        Err(error) if error.answerable.is_some() => Outcome::Answered(error.status, error.cause),
        Err(error) => Outcome::Dropped(error.cause),
    }
}

/// The files of RFC 5118 have bare line feeds, wrong lengths, and partly no blank line: the message as it was meant.
fn mended(raw: &[u8]) -> Bytes {
    let text = std::str::from_utf8(raw).expect("RFC 5118 messages are text");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.replace('\n', "\r\n");
    let head: String = head
        .lines()
        .map(|line| match line.strip_prefix("Content-Length:") {
            Some(_) => format!("Content-Length: {}\r\n", body.len()),
            None => format!("{line}\r\n"),
        })
        .collect();
    Bytes::from(head + "\r\n" + &body)
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

fn paths(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .collect()
}

fn files(folder: &Path) -> usize {
    paths(folder).len()
}

fn read(path: &Path) -> Bytes {
    Bytes::from(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

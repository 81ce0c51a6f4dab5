//! What the tables are made of: a case, how it is tried, and how messages are read from files.

use std::path::Path;

use bytes::Bytes;
use clapet::sip::message::{Edit, Header, Message};

use crate::bench::{Bench, Link};

/// What a proxy does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request goes on, and its answer comes back.
    Forwarded,
    /// The request is answered with this status and goes no further.
    Answered(u16),
    /// Nobody hears of it.
    Dropped,
    /// As [`Outcome::Answered`] with 481 where it comes out of nowhere (no request with a To-tag passes without our Route); forwarded
    /// where it comes in the dialog that it names.
    OnlyInDialog,
    /// A response: out of nowhere it is dropped; in answer to a request it goes back, to whom sent that, with its status.
    Relayed(u16),
    /// A response: out of nowhere it is dropped; in answer to a request nothing goes back, and the request still waits.
    Waiting,
}

/// One line of a table.
pub struct Case {
    pub name: &'static str,
    /// Over which the message comes: that of its topmost Via.
    pub link: Link,
    pub outcome: Outcome,
    /// What it tries, where it is asked for, and why the outcome is right.
    pub why: &'static str,
}

pub const fn case(name: &'static str, link: Link, outcome: Outcome, why: &'static str) -> Case {
    Case {
        name,
        link,
        outcome,
        why,
    }
}

impl Case {
    /// Tries one message.
    pub fn check(&self, raw: &Bytes) {
        let name = self.name;
        assert!(!self.why.is_empty(), "{name}");
        match self.outcome {
            Outcome::Forwarded => forwarded(name, self.link, raw),
            Outcome::Answered(status) => answered(name, self.link, raw, status),
            Outcome::Dropped => {
                let mut bench = Bench::new();
                bench.deliver(self.link, raw.clone());
                bench.expect_silence(name);
            }
            Outcome::OnlyInDialog => {
                answered(name, self.link, raw, 481);
                in_dialog(name, self.link, raw);
            }
            Outcome::Relayed(status) => response(name, raw, Some(status)),
            Outcome::Waiting => response(name, raw, None),
        }
        untouched(name, raw);
    }
}

fn forwarded(name: &str, link: Link, raw: &Bytes) {
    let mut bench = Bench::new();
    let original = Message::parse(raw.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    bench.deliver(link, raw.clone());
    let onward = bench.one_request(name);
    goes_on(name, link, &original, &onward);
    assert_eq!(onward.values(Header::Route).count(), 0, "{name}: pre-loaded Routes go");
    assert!(
        onward.request_uri().ends_with("@192.0.2.20:5060") || onward.request_uri().contains("192.0.2.20:5060"),
        "{name}"
    );
    bench.answer_comes_back(name, link, &original, &onward);
}

/// The request as it went on is the one that came, but for what a proxy has to change (RFC 3261 §16.6).
pub fn goes_on(name: &str, link: Link, original: &Message, onward: &Message) {
    assert_eq!(onward.method_name(), original.method_name(), "{name}");
    assert_eq!(onward.body(), original.body(), "{name}");
    // RFC 5393 §5.3.3: a request that opens a dialog and says nothing of its breadth is given the largest.
    let silent = original.values(Header::MaxBreadth).next().is_none();
    let given: Vec<&str> = onward.values(Header::MaxBreadth).filter(|_| silent).collect();
    assert!(given.is_empty() || given == ["60"], "{name}: Max-Breadth");
    let kept = |message: &Message| -> Vec<Bytes> {
        let changed = [Header::Via, Header::MaxForwards, Header::Route, Header::RecordRoute];
        let breadth = |header| silent && header == Header::MaxBreadth;
        let spans = message.spans().iter();
        let spans = spans.filter(|span| !changed.contains(&span.header) && !breadth(span.header));
        spans
            .map(|span| message.raw().slice(span.start as usize..span.end as usize))
            .collect()
    };
    assert_eq!(kept(onward), kept(original), "{name}: every other header is as it was");
    let hops = original.max_forwards().map_or(70, |hops| hops - 1);
    assert_eq!(onward.max_forwards(), Some(hops), "{name}");
    let ours = onward.values(Header::RecordRoute).count() - original.values(Header::RecordRoute).count();
    assert!(ours <= 2, "{name}");
    let theirs: Vec<&str> = onward.values(Header::RecordRoute).skip(ours).collect();
    assert!(original.values(Header::RecordRoute).eq(theirs), "{name}");
    let (vias, came): (Vec<&str>, Vec<&str>) = (
        onward.values(Header::Via).collect(),
        original.values(Header::Via).collect(),
    );
    assert_eq!(vias.len(), came.len() + 1, "{name}");
    assert_eq!(
        vias[2..],
        came[1..],
        "{name}: the Vias below the topmost are as they were"
    );
    let via = clapet::sip::message::Via::parse(vias[1]).unwrap_or_else(|| panic!("{name}: {}", vias[1]));
    let came = original.via().unwrap_or_else(|| panic!("{name}: a Via"));
    assert_eq!((via.branch(), via.sent_by), (came.branch(), came.sent_by), "{name}");
    if came.sent_by.ip().map(|ip| ip.to_canonical()) != Some(link.source().ip()) {
        let received = via.param("received").and_then(|received| received.parse().ok());
        assert_eq!(received, Some(link.source().ip()), "{name}: RFC 3261 §18.2.1");
    }
}

fn answered(name: &str, link: Link, raw: &Bytes, expected: u16) {
    let mut bench = Bench::new();
    bench.deliver(link, raw.clone());
    let sent = bench.take();
    let [(flow, bytes)] = &sent[..] else {
        panic!("{name}: expected one answer, got {sent:?}");
    };
    assert_eq!(flow.remote.ip(), link.source().ip(), "{name}: to whom it came from");
    let text = String::from_utf8_lossy(bytes);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    assert_eq!(status, expected, "{name}: {text}");
    assert!(text.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{name}: {text}");
    for header in ["CSeq", "Call-ID", "From", "To"] {
        let count = text.lines().filter(|line| line.starts_with(header)).count();
        assert!(count <= 1, "{name}: {count} {header}");
    }
    // RFC 3261 §8.2.6.2: those Vias that could be read, in order.
    let read = match Message::parse(raw.clone()) {
        Ok(message) => Some(message),
        Err(error) => error.answerable.map(|message| *message),
    };
    let read = read.unwrap_or_else(|| panic!("{name}: what is answered could be read"));
    let vias = read.spans().iter().filter(|span| span.header == Header::Via).count();
    let answered = text
        .lines()
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("via") || name.eq_ignore_ascii_case("v")
        })
        .count();
    assert_eq!(answered, vias, "{name}: {text}");
}

/// Opens the dialog that a request names, gives it our Route, and sees it go on.
fn in_dialog(name: &str, link: Link, raw: &Bytes) {
    let mut bench = Bench::new();
    let original = Message::parse(raw.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let route = bench.open_dialog(name, link, &original);
    let mut out = bytes::BytesMut::new();
    let routed = Edit::new(&original).prepend(Header::Route, &route).write(&mut out);
    bench.deliver(link, routed);
    let onward = bench.one_request(name);
    goes_on(name, link, &original, &onward);
    assert_eq!(onward.request_uri(), original.request_uri(), "{name}");
    bench.answer_comes_back(name, link, &original, &onward);
}

fn response(name: &str, raw: &Bytes, relayed: Option<u16>) {
    let mut bench = Bench::new();
    bench.trunk_sends(raw.clone());
    bench.expect_silence(name);
    let onward = bench.wait_for_answer(name, raw);
    // As the trunk would: our Via on top, and where the message has no second one, that of the request below it.
    let below = usize::from(raw.windows(6).filter(|window| window == b"\r\nVia:").count() == 1);
    let vias: Vec<&str> = onward.values(Header::Via).take(1 + below).collect();
    bench.trunk_sends(with_topmost_via(raw, &vias.join(", ")));
    let sent = bench.take();
    let Some(status) = relayed else {
        assert!(sent.is_empty(), "{name}: {sent:?}");
        return bench.still_waits(name, &onward);
    };
    let [(flow, bytes)] = &sent[..] else {
        panic!("{name}: expected the response, got {sent:?}");
    };
    assert_eq!(
        flow.remote,
        Link::Udp.source(),
        "{name}: to whom sent the request, whatever the Vias say"
    );
    let line = |message: &Bytes| message.split(|byte| *byte == b'\r').next().map(<[u8]>::to_vec);
    assert!(bytes.starts_with(format!("SIP/2.0 {status} ").as_bytes()), "{name}");
    assert_eq!(line(bytes), line(raw), "{name}: the phrase is as it was");
    let (came, went) = (Message::parse(raw.clone()), Message::parse(bytes.clone()));
    assert_eq!(came.expect(name).body(), went.expect(name).body(), "{name}");
}

/// With the first Via line replaced.
fn with_topmost_via(raw: &[u8], via: &str) -> Bytes {
    let at = find(raw, b"\r\nVia:").expect("a Via") + 2;
    let end = at + find(&raw[at..], b"\r\n").expect("an end of the line");
    let line = format!("Via: {via}");
    Bytes::from([&raw[..at], line.as_bytes(), &raw[end..]].concat())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// What is read is written as it was, and a Via put on top leaves no trace when it is taken off.
fn untouched(name: &str, raw: &Bytes) {
    let Ok(message) = Message::parse(raw.clone()) else {
        return;
    };
    let mut out = bytes::BytesMut::new();
    let same = Edit::new(&message).write(&mut out);
    assert_eq!(&same, message.raw(), "{name}");
    let begin = find(raw, &same[..20]).expect("the message in what came");
    assert!(raw[begin..].starts_with(&same), "{name}");
    let via = "SIP/2.0/UDP proxy.example.net;branch=z9hG4bKtorture";
    let forwarded = Edit::new(&message).prepend(Header::Via, via).write(&mut out);
    let forwarded = Message::parse(forwarded).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        &Edit::new(&forwarded).pop_value(Header::Via).write(&mut out),
        message.raw(),
        "{name}"
    );
}

/// One of our own messages, as it is on the wire.
pub fn own(name: &str) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let text = folder.join(name).with_extension("sip");
    if text.exists() {
        let text = read(&text);
        let text = String::from_utf8(text.to_vec()).expect("a .sip file is text");
        return Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n"));
    }
    unescaped(&read(&folder.join(name).with_extension("dat")))
}

fn unescaped(file: &[u8]) -> Bytes {
    let mut out = Vec::new();
    let mut bytes = file.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next().expect("an escape") {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                    let digits = std::str::from_utf8(&digits).expect("digits");
                    u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
                }
                other => panic!("no escape: {}", char::from(other)),
            },
            byte => byte,
        });
    }
    Bytes::from(out)
}

pub fn read(path: &Path) -> Bytes {
    Bytes::from(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
fn escapes_of_a_file_are_undone_and_its_line_ends_are_none() {
    assert_eq!(unescaped(b"a\\r\\n\n\\x00\\xfF\\\\n\r\n").as_ref(), b"a\r\n\x00\xff\\n");
}

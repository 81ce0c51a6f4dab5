//! What odd peers and networks send, each as a message of our own (`odd-*.sip`, `odd-*.dat`): it passes through, and what comes back
//! finds its way.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use clapet::numbering::{E164, Number};
use clapet::rules::{Callee, CallerId};
use clapet::sip::message::{Edit, Header, Message, Method, Via};

use crate::bench::{Bench, Link, response};
use crate::cases::{goes_on, own};

/// A message goes on as it should; the bench that waits for its answer, what came and what went.
fn passes(name: &str) -> (Bench, Message, Message) {
    passes_from(name, 5060)
}

fn passes_from(name: &str, port: u16) -> (Bench, Message, Message) {
    let mut bench = Bench::new();
    let raw = own(name);
    let original = Message::parse(raw.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    bench.deliver_from_port(port, raw);
    let onward = bench.one_request(name);
    goes_on(name, Link::Udp, &original, &onward);
    (bench, original, onward)
}

/// Where the trunk's answer goes.
fn answered_to(bench: &mut Bench, onward: &Message) -> (SocketAddr, Message) {
    bench.trunk_sends(response(onward, "180 Ringing", ";tag=trunk", ""));
    let (flow, bytes) = bench.take().pop().expect("the answer");
    (flow.remote, Message::parse(bytes).expect("an answer"))
}

/// The topmost Via that the source put there, as it went on.
fn their_via(onward: &Message) -> Via<'_> {
    onward.values(Header::Via).nth(1).and_then(Via::parse).expect("a Via")
}

#[test]
fn behind_a_nat_answers_go_where_the_request_came_from() {
    let (mut bench, original, onward) = passes_from("odd-behind-nat", 40_112);
    let via = their_via(&onward);
    assert_eq!(
        (via.param("received"), via.param("rport")),
        (Some("192.0.2.10"), Some("40112")),
        "RFC 3581 §4"
    );
    assert_eq!(
        onward.first(Header::Contact),
        original.first(Header::Contact),
        "a private Contact is not ours to change"
    );
    let (to, answer) = answered_to(&mut bench, &onward);
    assert_eq!(to.to_string(), "192.0.2.10:40112");
    assert_eq!(answer.via().and_then(|via| via.param("rport")), Some("40112"));
    // To a private Contact of the callee too.
    let contact = "Contact: <sip:callee@10.7.7.7:5080>\r\n";
    bench.trunk_sends(response(&onward, "200 OK", ";tag=trunk", contact));
    let (flow, bytes) = bench.take().pop().expect("the answer");
    assert_eq!(flow.remote.to_string(), "192.0.2.10:40112");
    let answer = Message::parse(bytes).expect("an answer");
    assert_eq!(answer.first(Header::Contact), Some("<sip:callee@10.7.7.7:5080>"));
}

#[test]
fn without_rport_answers_go_to_the_port_of_the_via() {
    let (mut bench, _, onward) = passes_from("odd-answers-at-another-port", 40_112);
    assert_eq!(
        their_via(&onward).param("received"),
        None,
        "RFC 3261 §18.2.1: sent-by is where it came from"
    );
    assert_eq!(answered_to(&mut bench, &onward).0.to_string(), "192.0.2.10:5072");
}

#[test]
fn a_received_that_the_sender_wrote_is_not_believed() {
    let (mut bench, _, onward) = passes_from("odd-writes-its-own-received", 40_112);
    let via = their_via(&onward);
    assert_eq!(
        (via.param("received"), via.param("rport")),
        (Some("192.0.2.10"), Some("40112"))
    );
    assert_eq!(answered_to(&mut bench, &onward).0.to_string(), "192.0.2.10:40112");
}

#[test]
fn several_vias_on_a_line_are_several() {
    let (mut bench, original, onward) = passes("odd-several-vias-on-a-line");
    assert_eq!(
        (original.values(Header::Via).count(), onward.values(Header::Via).count()),
        (4, 5)
    );
    let (_, answer) = answered_to(&mut bench, &onward);
    let branches: Vec<_> = answer
        .values(Header::Via)
        .filter_map(Via::parse)
        .map(|via| via.branch())
        .collect();
    assert_eq!(branches, ["z9hG4bKv1", "z9hG4bKv2", "z9hG4bKv3", "z9hG4bKv4"].map(Some));
}

#[test]
fn routes_that_a_source_preloads_go_however_they_are_written() {
    let (_, original, onward) = passes("odd-several-routes-on-a-line");
    assert_eq!(original.values(Header::Route).count(), 3);
    assert_eq!(
        onward.values(Header::Route).count(),
        0,
        "where a call goes is the proxy's decision"
    );
}

#[test]
fn of_several_routes_on_a_line_in_a_dialog_only_ours_go() {
    let name = "v6-received-in-brackets";
    let original = Message::parse(own(name)).expect(name);
    let mut bench = Bench::new();
    let ours = bench.open_dialog(name, Link::Six, &original);
    let routes = format!("{ours}, <sip:192.0.2.77;lr>;x=\"a,b\" , <sip:next.example.org;lr>");
    let routed = Edit::new(&original)
        .prepend(Header::Route, &routes)
        .write(&mut BytesMut::new());
    bench.deliver(Link::Six, routed);
    let (flow, bytes) = bench.take().pop().expect("the request");
    assert_eq!(flow.remote.to_string(), "192.0.2.77:5060");
    let onward = Message::parse(bytes).expect("a request");
    let left: Vec<&str> = onward.values(Header::Route).collect();
    assert_eq!(left, ["<sip:192.0.2.77;lr>;x=\"a,b\"", "<sip:next.example.org;lr>"]);
}

#[test]
fn commas_in_quotes_split_nothing_and_hide_nobody() {
    let (bench, original, _) = passes("odd-quoted-commas");
    assert_eq!(original.values(Header::Contact).count(), 2);
    assert_eq!(
        bench.asked[0].caller,
        CallerId::Shown(number(33_162_001_000)),
        "not the one in the display name"
    );
}

#[test]
fn escapes_in_user_parts_hide_no_number() {
    let (bench, original, onward) = passes("odd-escaped-user");
    assert_eq!(bench.asked[0].callee, Callee::Number(number(33_612_345_678)));
    assert_eq!(bench.asked[0].caller, CallerId::Shown(number(33_162_001_000)));
    assert!(
        onward.request_uri().starts_with("sip:%2B336%31%32345678@"),
        "kept as dialled"
    );
    assert_eq!(onward.first(Header::From), original.first(Header::From));
}

#[test]
fn lines_that_end_in_lf_are_lines() {
    let (mut bench, original, onward) = passes("odd-lines-end-in-lf");
    assert_eq!(original.named("Subject").map(str::len), Some("folded\n  with LF".len()));
    assert_eq!(original.body(), b"v=0\r\n");
    let (_, answer) = answered_to(&mut bench, &onward);
    assert_eq!(answer.call_id(), "lf@pbx.example.com");
}

#[test]
fn extra_white_space_is_seen_through() {
    let (bench, original, _) = passes("odd-extra-white-space");
    assert_eq!(original.call_id(), "ws@pbx.example.com");
    assert_eq!(original.from().and_then(|from| from.tag()), Some("ws"));
    assert_eq!(bench.asked[0].caller, CallerId::Shown(number(33_162_001_000)));
}

/// RFC 3261 §7.1: methods are case-sensitive, so this is an unknown one, and no call that anybody here judges or answers for.
#[test]
fn a_lower_case_method_is_another_method() {
    let (bench, original, onward) = passes("odd-lower-case-method");
    assert_eq!((original.method(), original.method_name()), (Method::Other, "invite"));
    assert_eq!(onward.first(Header::RecordRoute), None, "it opens no dialog");
    assert_eq!(bench.asked.len(), 0);
}

#[test]
fn a_lower_case_method_over_an_upper_case_cseq_gets_400() {
    let mut bench = Bench::new();
    bench.deliver(Link::Udp, own("odd-lower-case-start-line"));
    let sent = bench.take();
    assert!(sent.len() == 1 && sent[0].1.starts_with(b"SIP/2.0 400 "), "{sent:?}");
}

#[test]
fn a_call_without_max_forwards_and_content_length_gets_its_hops() {
    let (_, original, onward) = passes("odd-no-hops-and-no-length");
    assert_eq!(onward.max_forwards(), Some(70), "RFC 3261 §16.6 step 3");
    assert!(
        original.body().starts_with(b"v=0") && original.body().ends_with(b"PCMA/8000\r\n"),
        "to the datagram's end"
    );
}

#[test]
fn a_call_without_hops_gets_483() {
    let mut bench = Bench::new();
    bench.deliver(Link::Udp, own("odd-call-without-hops"));
    let sent = bench.take();
    assert!(sent.len() == 1 && sent[0].1.starts_with(b"SIP/2.0 483 "), "{sent:?}");
    assert_eq!(bench.asked.len(), 0);
}

#[test]
fn an_answer_without_a_to_tag_comes_back_all_the_same() {
    for line in ["180 Ringing", "200 OK"] {
        let (mut bench, original, onward) = passes("odd-behind-nat");
        bench.trunk_sends(response(&onward, line, "", ""));
        let (_, bytes) = bench.take().pop().expect("the answer");
        let answer = Message::parse(bytes).expect("an answer");
        assert_eq!(
            answer.first(Header::To),
            original.first(Header::To),
            "RFC 2543 peers send none"
        );
    }
}

#[test]
fn a_body_of_sixty_thousand_bytes_passes() {
    let name = "odd-behind-nat";
    let head = own(name);
    let head = String::from_utf8_lossy(&head);
    let (head, _) = head.split_once("Content-Type").expect("a body");
    let body: Vec<u8> = (0..60_000_u32)
        .map(|at| at.to_le_bytes()[usize::from(at % 3 == 0)])
        .collect();
    for link in [Link::Udp, Link::Tcp] {
        let head = head.replace(
            "SIP/2.0/UDP",
            if link == Link::Tcp {
                "SIP/2.0/TCP"
            } else {
                "SIP/2.0/UDP"
            },
        );
        let raw = [format!("{head}Content-Length: 60000\r\n\r\n").as_bytes(), &body].concat();
        let original = Message::parse(Bytes::from(raw.clone())).expect(name);
        let mut bench = Bench::new();
        bench.deliver(link, Bytes::from(raw));
        let onward = bench.one_request(name);
        goes_on(name, link, &original, &onward);
        assert_eq!(onward.body(), body);
        bench.answer_comes_back(name, link, &original, &onward);
    }
}

#[test]
fn the_unsupported_extensions_are_those_asked_of_proxies() {
    let mut bench = Bench::new();
    bench.deliver(Link::Tls, own("extensions-required-of-proxies"));
    let (_, bytes) = bench.take().pop().expect("an answer");
    let answer = Message::parse(bytes).expect("an answer");
    let unsupported: Vec<&str> = answer.values(Header::Unsupported).collect();
    assert_eq!(unsupported, ["x-clairvoyance", "x-time-travel", "x-levitation"]);
}

#[test]
fn line_ends_alone_are_keep_alives() {
    for alive in [&b"\r\n\r\n"[..], b"\r\n", b"\0\0\0\0"] {
        let mut bench = Bench::new();
        bench.deliver(Link::Udp, Bytes::from_static(alive));
        bench.expect_silence("keep-alive");
    }
}

#[test]
fn every_odd_file_is_tried() {
    let text = include_str!("peers.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sip" || extension == "dat")
        })
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| name.starts_with("odd-"))
        .collect();
    for name in &files {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(!files.is_empty());
}

fn number(digits: u64) -> Number {
    Number::E164(E164::new(digits).expect("a number"))
}

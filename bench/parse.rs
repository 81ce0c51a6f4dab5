//! The message layer: reading a typical INVITE, refusing it, forwarding it.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use clapet::sip::message::{Edit, Header, Message, Response};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// As an Asterisk PBX sends it.
const INVITE: &str = "INVITE sip:0612345678@192.0.2.1:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK4c2e9a16;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"ACME Assurances\" <sip:+33162001000@192.0.2.9>;tag=as3f2b1c7d\r\n\
    To: <sip:0612345678@192.0.2.1:5060>\r\n\
    Contact: <sip:+33162001000@192.0.2.9:5060>\r\n\
    Call-ID: 5f0c7a1b3d2e4f6a7b8c9d0e1f2a3b4c@192.0.2.9:5060\r\n\
    CSeq: 102 INVITE\r\n\
    User-Agent: Asterisk PBX 18.10.0\r\n\
    Date: Tue, 06 Jun 2023 11:00:00 GMT\r\n\
    Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
    Supported: replaces, timer\r\n\
    P-Asserted-Identity: \"ACME Assurances\" <sip:+33162001000@192.0.2.9>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 230\r\n\
    \r\n\
    v=0\r\n\
    o=root 1821345681 1821345681 IN IP4 192.0.2.9\r\n\
    s=Asterisk PBX 18.10.0\r\n\
    c=IN IP4 192.0.2.9\r\n\
    t=0 0\r\n\
    m=audio 14822 RTP/AVP 8 101\r\n\
    a=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\n\
    a=ptime:20\r\n\
    a=sendrecv\r\n";

fn parse(criterion: &mut Criterion) {
    let raw = Bytes::from_static(INVITE.as_bytes());
    let source = "192.0.2.9:5060".parse().expect("an address");
    let mut out = BytesMut::new();
    let refuse = |request: &Message, out: &mut BytesMut| {
        Response {
            request,
            status: 403,
            phrase: "",
            to_tag: "c1a9e7",
            received_from: Some(source),
            headers: &[
                ("Reason", "SIP;cause=403;text=\"frequency.exhausted\""),
                (
                    "Warning",
                    "399 192.0.2.1 \"frequency.exhausted: 4 of 4 calls since 2023-05-08; next 2023-06-08T10:00:00+02:00\"",
                ),
            ],
        }
        .write(out)
    };
    let forward = |request: &Message, out: &mut BytesMut| {
        Edit::new(request)
            .request_uri("sip:0612345678@192.0.2.77:5090")
            .prepend(
                Header::Via,
                "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            )
            .prepend(
                Header::RecordRoute,
                "<sip:192.0.2.1:5060;lr;m=0a1b2c3d4e5f60718293a4b5c6d7e8f9>",
            )
            .received_from(source)
            .set(Header::MaxForwards, "69")
            .remove_named("X-Professional")
            .write(out)
    };

    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Message::parse(black_box(raw.clone())));
    });
    group.bench_function("parse and write a 403", |bencher| {
        bencher.iter(|| Message::parse(black_box(raw.clone())).map(|request| refuse(&request, &mut out)));
    });
    group.bench_function("parse and forward", |bencher| {
        bencher.iter(|| Message::parse(black_box(raw.clone())).map(|request| forward(&request, &mut out)));
    });
    let request = Message::parse(raw.clone()).expect("an INVITE");
    assert_eq!(request.raw().len(), INVITE.len(), "the Content-Length is right");
    group.bench_function("forward", |bencher| {
        bencher.iter(|| forward(black_box(&request), &mut out));
    });
    group.bench_function("read what a decision needs", |bencher| {
        bencher.iter(|| {
            let request = black_box(&request);
            let from = request.from().and_then(|from| from.uri.user);
            let via = request.via().and_then(|via| via.branch());
            (from, via, request.first(Header::PAssertedIdentity), request.call_id())
        });
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);

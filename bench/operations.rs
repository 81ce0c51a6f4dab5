//! One operation of the call path, so many times: for counting instructions with callgrind (`bench/callgrind`).
//!
//! `operations list` names them; `operations NAME TIMES` runs one. Nothing is timed here.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use clapet::gate::{Question, SourceIndex};
use clapet::numbering::{E164, Number};
use clapet::rules::{Callee, CallerId};
use clapet::sip::message::{Edit, Header, Message, Response};
use clapet::sip::proxy::Output;
use clapet::sip::{Flow, ListenerId, Now, Transport};

mod common;

use common::{GEOGRAPHIC, NPV, World};

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "list".into());
    let times = args.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    if name == "list" || name.starts_with("--") {
        for (name, _) in OPERATIONS {
            println!("{name}");
        }
        return;
    }
    match OPERATIONS.iter().find(|(known, _)| *known == name) {
        Some((_, run)) => run(times),
        None => panic!("no operation is called {name}"),
    }
}

type Operation = (&'static str, fn(u64));

const OPERATIONS: &[Operation] = &[
    ("parse", parse),
    ("forward-edit", forward_edit),
    ("write-403", write_403),
    ("decide-allowed", decide_allowed),
    ("decide-refused", decide_refused),
    ("reserve-and-settle", reserve_and_settle),
    ("refused-invite", refused_invite),
];

fn parse(times: u64) {
    let bytes = common::invite(NPV, 612_345_678, 1);
    for _ in 0..times {
        std::hint::black_box(Message::parse(std::hint::black_box(bytes.clone())).is_ok());
    }
}

fn forward_edit(times: u64) {
    let message = Message::parse(common::invite(NPV, 612_345_678, 1)).expect("our own message");
    let mut out = BytesMut::with_capacity(4096);
    for _ in 0..times {
        let mut edit = Edit::new(&message);
        edit.request_uri("sip:0612345678@192.0.2.1:5060");
        edit.prepend(Header::Via, "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKabcdef");
        edit.prepend(Header::RecordRoute, "<sip:192.0.2.9:5060;lr;c=0123456789abcdef>");
        edit.set(Header::MaxForwards, "69");
        std::hint::black_box(edit.write(&mut out));
    }
}

fn write_403(times: u64) {
    let message = Message::parse(common::invite(NPV, 612_345_678, 1)).expect("our own message");
    let mut out = BytesMut::with_capacity(4096);
    for _ in 0..times {
        let response = Response {
            request: &message,
            status: 403,
            phrase: "",
            to_tag: "abcdef",
            received_from: None,
            headers: &[("Reason", "SIP;cause=403;text=\"hours.window\"")],
        };
        std::hint::black_box(response.write(&mut out));
    }
}

fn decide_allowed(times: u64) {
    decide(NPV, times);
}

fn decide_refused(times: u64) {
    decide(GEOGRAPHIC, times);
}

fn decide(caller: u64, times: u64) {
    let world = World::new();
    for i in 0..times {
        let question = question(caller, 33_612_000_000 + i);
        std::hint::black_box(ready(world.gate.ask(&question, world.wall)).verdict.allowed);
    }
}

fn reserve_and_settle(times: u64) {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for i in 0..times {
            let mut question = question(NPV, 33_612_000_000 + i);
            question.call = i + 1;
            let decision = world.gate.admit(&question, world.wall).wait().await;
            let reservation = decision.reservation.expect("an attempt is reserved");
            reservation.settle(clapet::ledger::Outcome::Answered, world.wall);
        }
    });
}

/// Datagram in, 403 out: parse, transaction, question, decision, answer.
fn refused_invite(times: u64) {
    let world = World::new();
    let mut proxy = world.proxy();
    let flow = Flow::new(
        ListenerId(0),
        Transport::Udp,
        "127.0.0.1:5070".parse().expect("an address"),
    );
    let now = Now {
        mono: Instant::now(),
        wall: world.wall,
    };
    let invites: Vec<Bytes> = (0..times)
        .map(|i| common::invite(GEOGRAPHIC, 612_000_000 + i, i))
        .collect();
    let mut refused = 0;
    for invite in invites {
        proxy.receive(now, flow, invite);
        while let Some(output) = proxy.poll() {
            match output {
                Output::Ask { id, question } => {
                    let decision = ready(world.gate.admit(&question, now.wall));
                    proxy.decide(now, id, decision);
                }
                Output::Send { bytes, .. } => refused += u64::from(bytes.starts_with(b"SIP/2.0 403")),
                Output::Settle { .. } => {}
            }
        }
    }
    assert_eq!(refused, times);
}

fn question(caller: u64, callee: u64) -> Question {
    let number = |digits| Number::E164(E164::new(digits).expect("a number"));
    Question {
        source: Some(SourceIndex(0)),
        caller: CallerId::Shown(number(caller)),
        callee: Callee::Number(number(callee)),
        professional: None,
        purpose: None,
        call: 0,
    }
}

fn ready<T>(answer: clapet::ledger::Answer<T>) -> T {
    match answer {
        clapet::ledger::Answer::Ready(value) => value,
        clapet::ledger::Answer::Later(_) => panic!("the answer waits for the disk"),
    }
}

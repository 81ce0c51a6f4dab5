//! One operation of the call path, so many times: for counting instructions with callgrind (`bench/callgrind`).
//!
//! `operations list` names them; `operations NAME TIMES` runs one. Nothing is timed here. callgrind counts what [`counted`] runs and
//! nothing else: no set-up, no other thread, none of the first runs, in which tables grow and values are made that stay.

use bytes::BytesMut;
use clapet::gate::{Question, SourceIndex};
use clapet::ledger::{Answer, Outcome};
use clapet::numbering::{E164, Number};
use clapet::rules::{Callee, CallerId};
use clapet::sip::message::{Edit, Header, Message, Response};

mod common;

use common::stage::Stage;
use common::{GEOGRAPHIC, NPV, World};

/// Runs of an operation before those that count: more than the timers of a finished transaction keep alive (`common/stage.rs`).
const BEFORE: u64 = 200;

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "list".into());
    let times: u64 = args.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    if name == "list" || name.starts_with("--") {
        for (name, _) in OPERATIONS {
            println!("{name}");
        }
        return;
    }
    match OPERATIONS.iter().find(|(known, _)| *known == name) {
        Some((_, run)) => run(BEFORE + times),
        None => panic!("no operation is called {name}"),
    }
}

/// The name that callgrind is told to count in.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Runs a piece of the `turn`th run of an operation.
fn meter(turn: u64) -> impl FnMut(&mut dyn FnMut()) {
    move |work| {
        if turn < BEFORE { work() } else { counted(work) }
    }
}

type Operation = (&'static str, fn(u64));

const OPERATIONS: &[Operation] = &[
    ("parse", parse),
    ("forward-edit", forward_edit),
    ("write-403", write_403),
    ("decide-allowed", |times| decide(NPV, times)),
    ("decide-refused", |times| decide(GEOGRAPHIC, times)),
    ("reserve-and-settle", reserve_and_settle),
    ("refused-invite", refused_invite),
    ("forwarded-call", forwarded_call),
];

fn parse(times: u64) {
    let bytes = common::invite(NPV, 612_345_678, 1);
    for turn in 0..times {
        meter(turn)(&mut || {
            std::hint::black_box(Message::parse(std::hint::black_box(bytes.clone())).is_ok());
        });
    }
}

fn forward_edit(times: u64) {
    let message = Message::parse(common::invite(NPV, 612_345_678, 1)).expect("our own message");
    let mut out = BytesMut::with_capacity(4096);
    for turn in 0..times {
        meter(turn)(&mut || {
            let mut edit = Edit::new(&message);
            edit.request_uri("sip:0612345678@192.0.2.1:5060");
            edit.prepend(Header::Via, "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKabcdef");
            edit.prepend(Header::RecordRoute, "<sip:192.0.2.9:5060;lr;c=0123456789abcdef>");
            edit.set(Header::MaxForwards, "69");
            std::hint::black_box(edit.write(&mut out));
        });
    }
}

fn write_403(times: u64) {
    let message = Message::parse(common::invite(NPV, 612_345_678, 1)).expect("our own message");
    let mut out = BytesMut::with_capacity(4096);
    for turn in 0..times {
        meter(turn)(&mut || {
            let response = Response {
                request: &message,
                status: 403,
                phrase: "",
                to_tag: "abcdef",
                received_from: None,
                headers: &[("Reason", "SIP;cause=403;text=\"hours.window\"")],
            };
            std::hint::black_box(response.write(&mut out));
        });
    }
}

fn decide(caller: u64, times: u64) {
    let world = World::new();
    for turn in 0..times {
        let question = question(caller, 33_612_000_000 + turn);
        meter(turn)(&mut || {
            let answer = std::hint::black_box(world.gate.ask(&question, world.wall));
            assert!(matches!(answer, Answer::Ready(_)), "a decision waits for nothing");
        });
    }
}

/// What a worker does; the journal's write is another thread's.
fn reserve_and_settle(times: u64) {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    for turn in 0..times {
        let mut question = question(NPV, 33_612_000_000 + turn);
        question.call = turn + 1;
        let mut answer = None;
        meter(turn)(&mut || answer = Some(world.gate.admit(&question, world.wall)));
        let decision = runtime.block_on(answer.expect("asked").wait());
        let mut reservation = decision.reservation;
        assert!(reservation.is_some(), "an attempt is reserved");
        meter(turn)(&mut || {
            if let Some(reservation) = reservation.take() {
                reservation.settle(Outcome::Answered, world.wall);
            }
        });
    }
}

fn refused_invite(times: u64) {
    let mut stage = Stage::new();
    for turn in 0..times {
        stage.refused_invite(&mut meter(turn));
    }
}

fn forwarded_call(times: u64) {
    let mut stage = Stage::new();
    for turn in 0..times {
        stage.forwarded_call(&mut meter(turn));
    }
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

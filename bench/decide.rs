//! Decisions, reservations and whole refusals by criterion; and `decide scale [LISTED [LIVE]]`: how long each of many decisions takes
//! with so many numbers on the Bloctel list and so many live (professional, callee) records; `decide growth`: the same at one size
//! of the list, or as live records grow, for `bench/scale`.
//!
//! ```text
//! cargo bench --bench decide                      criterion: decide, reserve, refuse
//! cargo bench --bench decide -- scale             percentiles at 10^7 listed and 5·10^6 live
//! cargo bench --bench decide -- growth listed N   with N listed numbers, as a JSON object
//! cargo bench --bench decide -- growth live MOST  with 10^4, 10^5, … MOST live records, a JSON object a line
//! ```

use std::hint::black_box;
use std::time::Instant;

use chrono::Duration;
use clapet::gate::{Question, SourceIndex};
use clapet::ledger::{Answer, AttemptMeta, Entry, Key, Ledger, Outcome, ReserveIf};
use clapet::numbering::{E164, Number};
use clapet::rules::{Callee, CallerId};
use clapet::screening::{List, Screening, Snapshot};
use clapet::sip::proxy::Output;
use clapet::sip::{Flow, ListenerId, Now, Transport};
use criterion::Criterion;

#[path = "common/mod.rs"]
mod common;

use common::{GEOGRAPHIC, NPV, SIREN, World};

/// Listed numbers: +33600000000 on. Live records: +33730000000 on. Both are asked about, and numbers that are neither.
const LISTED: u64 = 33_600_000_000;
const LIVE: u64 = 33_730_000_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "scale") {
        let number = |offset: usize, otherwise| args.get(at + offset).and_then(|n| n.parse().ok()).unwrap_or(otherwise);
        scale(number(1, 10_000_000), number(2, 5_000_000));
        return;
    }
    if let Some(at) = args.iter().position(|arg| arg == "growth") {
        let most = args.get(at + 2).and_then(|most| most.parse().ok());
        growth(args.get(at + 1).map_or("", String::as_str), most.unwrap_or(10_000_000));
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    decide(&mut criterion);
    reserve(&mut criterion);
    refuse(&mut criterion);
    criterion.final_summary();
}

fn decide(criterion: &mut Criterion) {
    let world = World::new();
    for (name, caller) in [("decide/allowed", NPV), ("decide/refused", GEOGRAPHIC)] {
        let mut callee = 33_612_000_000;
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                callee += 1;
                let asked = question(caller, callee, 0);
                matches!(black_box(world.gate.ask(&asked, world.wall)), Answer::Ready(_))
            });
        });
    }
}

/// Reserve (durability: interval) and settle, one after the other: each waits for the journal's write.
fn reserve(criterion: &mut Criterion) {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut serial = 0;
    criterion.bench_function("reserve and settle, one at a time", |bencher| {
        bencher.iter(|| {
            serial += 1;
            let asked = question(NPV, 33_612_000_000 + serial % 90_000_000, serial);
            runtime.block_on(async {
                let decision = world.gate.admit(&asked, world.wall).wait().await;
                if let Some(reservation) = decision.reservation {
                    reservation.settle(Outcome::Failed, world.wall);
                }
            });
        });
    });
}

/// Datagram in, 403 out: parse, transaction, question, decision, answer.
fn refuse(criterion: &mut Criterion) {
    let world = World::new();
    let mut proxy = world.proxy();
    let remote = "127.0.0.1:5070".parse().expect("an address");
    let flow = Flow::new(ListenerId(0), Transport::Udp, remote);
    let mut serial = 0;
    criterion.bench_function("refused INVITE, parse to 403", |bencher| {
        bencher.iter_batched(
            || {
                serial += 1;
                common::invite(GEOGRAPHIC, 612_000_000 + serial % 80_000_000, serial)
            },
            |invite| {
                let now = Now {
                    mono: Instant::now(),
                    wall: world.wall,
                };
                proxy.timeout(now);
                proxy.receive(now, flow, invite);
                while let Some(output) = proxy.poll() {
                    match output {
                        Output::Ask { id, question } => {
                            if let Answer::Ready(decision) = world.gate.admit(&question, now.wall) {
                                proxy.decide(now, id, decision);
                            }
                        }
                        other => drop(black_box(other)),
                    }
                }
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

fn scale(listed: u64, live: u64) {
    let before = resident_mib();
    let screening = Screening::in_memory();
    let day = "2023-06-01".parse().expect("a day");
    let opposed = (0..listed).map(|i| number(LISTED + i)).collect();
    screening
        .load(List::Bloctel, Some(SIREN), day, Snapshot::Plain { opposed })
        .expect("a list in memory");
    let world = World::with(screening);
    keep(&world, 0..live);
    println!(
        "{listed} listed numbers, {live} live records ({} in the ledger); {:.0} MiB resident above the start",
        world.ledger.records(),
        resident_mib() - before
    );
    println!("| asked about | decisions | p50 µs | p99 µs | p99.9 µs |\n|---|---|---|---|---|");
    for (name, first, among) in [
        ("listed numbers", LISTED, listed),
        ("live records", LIVE, live),
        ("numbers nobody knows", 33_790_000_000, 9_000_000),
    ] {
        let nanos = asked(&world, first, among);
        println!(
            "| {name} | {} | {:.2} | {:.2} | {:.2} |",
            nanos.len(),
            micros(&nanos, 500),
            micros(&nanos, 990),
            micros(&nanos, 999)
        );
    }
    let key = Key {
        siren: SIREN,
        callee: number(LIVE + 1),
    };
    let asked = ReserveIf {
        key,
        at: world.wall,
        limit: Some((1, world.wall - Duration::days(30))),
        refusal_known: None,
        meta: meta(),
    };
    assert!(
        matches!(world.ledger.reserve(asked), Answer::Ready(_)),
        "a refusal by the condition waits for no disk"
    );
}

/// So many listed numbers; or live records, a decade after the other.
fn growth(of: &str, most: u64) {
    let world = World::new();
    let before = resident_mib();
    if of == "listed" {
        let day = "2023-06-01".parse().expect("a day");
        let opposed = (0..most).map(|i| number(LISTED + i)).collect();
        world
            .screening
            .load(List::Bloctel, Some(SIREN), day, Snapshot::Plain { opposed })
            .expect("a list in memory");
        tell("listed numbers", most, &world, LISTED, before);
        return;
    }
    let mut kept = 0;
    for live in decades(10_000, most) {
        keep(&world, kept..live);
        kept = live;
        tell("live records", live, &world, LIVE, before);
    }
}

fn decades(first: u64, most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), |size| Some(size * 10)).take_while(move |size| *size <= most)
}

/// The best of three passes: the other two lost more to the machine's other work.
fn tell(of: &str, size: u64, world: &World, first: u64, before: f64) {
    let mib = (resident_mib() - before).max(0.0);
    let passes: Vec<_> = (0..3).map(|_| asked(world, first, size)).collect();
    let best = |permille| {
        passes
            .iter()
            .map(|nanos| micros(nanos, permille))
            .fold(f64::INFINITY, f64::min)
    };
    println!(
        "{{\"of\":\"{of}\",\"size\":{size},\"p50_us\":{:.3},\"p99_us\":{:.3},\"p999_us\":{:.3},\"mib\":{:.2}}}",
        best(500),
        best(990),
        best(999),
        mib
    );
}

/// A million decisions about numbers from `first` on, at random; how long each took, sorted.
fn asked(world: &World, first: u64, among: u64) -> Vec<u64> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut nanos = Vec::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        // xorshift: where in memory the answer lies must not be foreseeable
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let asked = question(NPV, first + random % among.max(1), 0);
        let began = Instant::now();
        let answer = black_box(world.gate.ask(&asked, world.wall));
        assert!(matches!(answer, Answer::Ready(_)), "a decision waits for nothing");
        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    nanos.sort_unstable();
    nanos
}

fn micros(nanos: &[u64], permille: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)] // microseconds
    let micros = nanos[nanos.len() * permille / 1000] as f64 / 1e3;
    micros
}

/// Half of the records hold three attempts, half one: made elsewhere, two weeks ago.
fn keep(world: &World, records: std::ops::Range<u64>) {
    let mut entries = Vec::with_capacity(100_000);
    let end = records.end;
    for i in records {
        for attempt in 0..if i % 2 == 0 { 1 } else { 3 } {
            entries.push(Entry::Attempt {
                key: Key {
                    siren: SIREN,
                    callee: number(LIVE + i),
                },
                at: world.wall - Duration::days(14 - attempt),
                outcome: Outcome::NoAnswer,
                source: "elsewhere".into(),
            });
        }
        if entries.len() >= 99_000 || i + 1 == end {
            record(world, std::mem::take(&mut entries));
        }
    }
}

fn record(world: &World, entries: Vec<Entry>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(world.ledger.record(entries).wait()).expect("recorded");
}

fn meta() -> AttemptMeta {
    AttemptMeta {
        via: clapet::ledger::Via::default(),
        caller: None,
        regime: None,
        reason: None,
        evidence: None,
        zone: None,
        call: 0,
        observed: false,
    }
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

fn question(caller: u64, callee: u64, call: u64) -> Question {
    Question {
        source: Some(SourceIndex(0)),
        caller: CallerId::Shown(Number::E164(number(caller))),
        callee: Callee::Number(Number::E164(number(callee))),
        professional: None,
        purpose: None,
        call,
    }
}

fn number(digits: u64) -> E164 {
    E164::new(digits).expect("a number")
}

//! The embedded ledger at five million live records: memory, bytes on disk, start to ready by records to replay, and reservations at
//! 2,000 a second while a checkpoint, the expiry, or everything that the store ever does runs beside them.
//!
//! `cargo bench --bench ledger_scale` runs it whole, each phase in a process of its own, in `CLAPET_SCALE_DIR` or a temporary folder
//! (about 4 GB); `cargo bench --bench ledger_scale -- PHASE DIR` runs one phase of it. `CLAPET_SCALE_RECORDS` changes the number of
//! records. Prints a line for each figure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use clapet::ledger::{
    Answer, AttemptMeta, EmbeddedLedger, Key, Ledger, Options, Outcome, ReserveIf, Reserved, Siren, StoreError, Via,
};
use clapet::numbering::E164;
use clapet::screening::{List, Screening, SnapshotBuilder};

const RATE: u32 = 2000;
const SECONDS: u32 = 40;
/// Records appended after the last checkpoint before the process is stopped: what a start then replays.
const TAILS: [u64; 3] = [50_000, 200_000, 400_000];
/// Numbers of the list that is loaded beside calls.
const LISTED: u64 = 10_000_000;
/// A segment of the journal while everything runs: one is full every quarter of a minute.
const SMALL_SEGMENT: u64 = 16 << 20;

const PHASES: [&str; 13] = [
    "fill",
    "start",
    "tail-0",
    "start",
    "tail-1",
    "start",
    "tail-2",
    "start",
    "rate",
    "together-strict",
    "together-interval",
    "start",
    "rebuild",
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let records = std::env::var("CLAPET_SCALE_RECORDS").map_or(5_000_000, |text| text.parse().expect("a number"));
    if let (Some(phase), Some(folder)) = (arguments.next(), arguments.next()) {
        let folder = PathBuf::from(folder);
        match phase.as_str() {
            "fill" => fill(&folder, records),
            "start" => drop(start(&folder, "start")),
            "tail-0" => tail(&folder, records, TAILS[0]),
            "tail-1" => tail(&folder, records, TAILS[1]),
            "tail-2" => tail(&folder, records, TAILS[2]),
            "rate" => rate(&folder, records),
            "together-strict" => together(&folder, records, true),
            "together-interval" => together(&folder, records, false),
            "rebuild" => rebuild(&folder),
            other => panic!("unknown phase {other}"),
        }
        sizes(&folder, &phase);
        return;
    }
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("CLAPET_SCALE_DIR").map_or_else(|| temporary.path().join("store"), PathBuf::from);
    for phase in PHASES {
        let binary = std::env::current_exe().expect("this program");
        let ended = Command::new(binary)
            .arg(phase)
            .arg(&folder)
            .status()
            .expect("a process");
        // The tail is cut off as a killed process would be.
        assert!(ended.success() || phase.starts_with("tail"), "{phase}: {ended}");
    }
}

/// What the store takes on the disk.
fn sizes(folder: &Path, phase: &str) {
    let journal = folder.join("journal");
    let cold = size(&journal.join("cold"));
    println!(
        "after {phase}: view {} MiB, journal {} MiB and {} MiB cold",
        size(&folder.join("ledger")) >> 20,
        (size(&journal) - cold) >> 20,
        cold >> 20
    );
}

fn options(folder: &Path) -> Options {
    Options {
        path: folder.to_owned(),
        // So that no segment grows old but where a phase says so.
        clock: || first_day() + TimeDelta::days(31),
        ..Options::default()
    }
}

fn key(record: u64) -> Key {
    Key {
        siren: Siren(552_100_554 + u32::try_from(record % 50).expect("small")),
        callee: E164::new(33_600_000_000 + record * 19).expect("a number"),
    }
}

fn first_day() -> DateTime<Utc> {
    DateTime::from_timestamp(1_686_042_000, 0).expect("a moment")
}

fn ask(key: Key, at: DateTime<Utc>, call: u64) -> ReserveIf {
    ReserveIf {
        key,
        at,
        limit: Some((4, at - TimeDelta::days(29))),
        refusal_known: None,
        meta: AttemptMeta {
            via: Via {
                source: Some("bpo-lyon".into()),
                professional: Some("acme".into()),
            },
            caller: E164::new(33_162_001_234),
            regime: Some("fr-2023-03".into()),
            reason: None,
            evidence: None,
            zone: Some("Europe/Paris".into()),
            call,
            observed: false,
        },
    }
}

/// Reserves as fast as the journal takes it, waiting for nothing but room.
fn push(ledger: &EmbeddedLedger, key: Key, at: DateTime<Utc>, call: u64) {
    loop {
        match ledger.reserve(ask(key, at, call)) {
            Answer::Ready(Err(StoreError::Overloaded)) => std::thread::sleep(Duration::from_micros(200)),
            Answer::Ready(Err(error)) => panic!("{error}"),
            Answer::Ready(Ok(_)) | Answer::Later(_) => return,
        }
    }
}

/// One to four attempts a record, spread over 29 days.
fn fill(folder: &Path, records: u64) {
    let (ledger, _) = EmbeddedLedger::open(Options {
        strict: false,
        checkpoint_records: u64::MAX,
        checkpoint_every: Duration::from_secs(86_400),
        segment_bytes: 4 * SMALL_SEGMENT,
        ..options(folder)
    })
    .expect("a store");
    let began = Instant::now();
    let mut calls = 0;
    for round in 0..4 {
        for record in (0..records).filter(|record| record % 4 >= round) {
            let passed = i64::try_from(record * 7 * 86_400 / records).expect("small");
            let days = i64::try_from(round * 7).expect("small");
            push(
                &ledger,
                key(record),
                first_day() + TimeDelta::days(days) + TimeDelta::seconds(passed),
                0,
            );
            calls += 1;
        }
    }
    ledger.maintain(first_day() + TimeDelta::days(30));
    println!(
        "filled {} records with {calls} attempts in {:.1} s",
        ledger.records(),
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    block_on(ledger.close()).expect("closed");
    println!("first checkpoint: {:.1} s", began.elapsed().as_secs_f64());
    println!(
        "journal: {} bytes a record; view: {} bytes a row",
        size(&folder.join("journal")) / calls,
        size(&folder.join("ledger")) / records
    );
    memory("fill");
}

fn start(folder: &Path, phase: &str) -> EmbeddedLedger {
    let (ledger, opened) = EmbeddedLedger::open(options(folder)).expect("a store");
    println!(
        "{phase} to ready: {:.2} s, {} records, {} replayed, view {:?}",
        opened.took.as_secs_f64(),
        opened.records,
        opened.replayed,
        opened.view
    );
    memory(phase);
    ledger
}

/// Leaves records behind that no checkpoint holds, and a process that ended without one.
fn tail(folder: &Path, records: u64, calls: u64) {
    let (ledger, _) = EmbeddedLedger::open(Options {
        checkpoint_records: u64::MAX,
        ..options(folder)
    })
    .expect("a store");
    let at = first_day() + TimeDelta::days(30);
    for call in 0..calls {
        push(&ledger, key(call * 7 % records), at, call + 1);
    }
    while ledger.lag() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::abort();
}

/// All of the journal is replayed, as where the view was lost.
fn rebuild(folder: &Path) {
    std::fs::remove_dir_all(folder.join("ledger")).expect("a view");
    let (ledger, opened) = EmbeddedLedger::open(options(folder)).expect("a store");
    let took = opened.took.as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = opened.replayed as f64 / took;
    println!(
        "rebuilt from the journal in {took:.2} s: {} records replayed, {rate:.0} a second",
        opened.replayed
    );
    memory("rebuild");
    drop(ledger);
}

/// `RATE` calls a second while the view is brought up to date, segments are rotated, old ones compressed, attempts expire, and a list
/// of ten million numbers is loaded again and again.
fn together(folder: &Path, records: u64, strict: bool) {
    let at = first_day() + TimeDelta::days(31);
    let (ledger, _) = EmbeddedLedger::open(Options {
        strict,
        checkpoint_records: 40_000,
        checkpoint_every: Duration::from_secs(86_400),
        segment_bytes: SMALL_SEGMENT,
        ..options(folder)
    })
    .expect("a store");
    let lists = folder.join(if strict { "lists-strict" } else { "lists-interval" });
    let (screening, _) = Screening::open(&lists).expect("a folder");
    // Each run of the two expires and moves what the other has left.
    let begins = if strict { 0 } else { 5 };
    let days_on = |from: i64, began: Instant| {
        let passed = began.elapsed().as_secs().min(u64::from(SECONDS));
        first_day() + TimeDelta::days(from + begins) + TimeDelta::hours(3 * i64::try_from(passed).expect("small"))
    };
    let done = AtomicBool::new(false);
    let began = Instant::now();
    let over = || done.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut passes = 0;
            while !over() {
                ledger.maintain(days_on(35, began));
                passes += 1;
                std::thread::sleep(Duration::from_secs(2));
            }
            println!(
                "expiry: {passes} passes over all pages, {} records left",
                ledger.records()
            );
        });
        scope.spawn(|| {
            let mut moved = 0;
            while !over() {
                moved += ledger.age(days_on(40, began)).expect("segments moved").moved;
                std::thread::sleep(Duration::from_secs(1));
            }
            println!("{moved} segments of 64 MiB compressed");
        });
        scope.spawn(|| {
            let mut times = Vec::new();
            while !over() {
                let started = Instant::now();
                let mut builder = SnapshotBuilder::plain();
                for n in 0..LISTED {
                    builder.opposed(E164::new(33_600_000_000 + n * 37 % 100_000_000).expect("a number"));
                }
                let day = at.date_naive();
                screening
                    .load_built(List::Bloctel, None, day, builder.finish())
                    .expect("a list");
                times.push(started.elapsed().as_secs_f64());
                std::thread::sleep(Duration::from_secs(3));
            }
            println!("lists of {LISTED} numbers loaded, seconds each: {times:.1?}");
        });
        offer(
            &ledger,
            records,
            at,
            if strict {
                "beside everything, strict"
            } else {
                "beside everything, interval"
            },
        );
        done.store(true, Ordering::Relaxed);
    });
    block_on(ledger.close()).expect("closed");
    memory("together");
}

/// `RATE` calls a second, reserved durably and settled, in three parts: alone, beside a checkpoint, beside the expiry of old attempts.
fn rate(folder: &Path, records: u64) {
    let at = first_day() + TimeDelta::days(31);
    for beside in ["alone", "beside checkpoints", "beside expiry"] {
        let (ledger, _) = EmbeddedLedger::open(Options {
            // Some ten seconds of calls.
            checkpoint_records: if beside == "beside checkpoints" {
                40_000
            } else {
                u64::MAX
            },
            checkpoint_every: Duration::from_secs(86_400),
            ..options(folder)
        })
        .expect("a store");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match beside {
                        "beside expiry" => ledger.maintain(at + TimeDelta::days(12)),
                        _ => std::thread::sleep(Duration::from_millis(100)),
                    }
                }
            });
            offer(&ledger, records, at, beside);
            done.store(true, Ordering::Relaxed);
        });
        let began = Instant::now();
        block_on(ledger.close()).expect("closed");
        println!(
            "{} records left; close: {:.2} s",
            ledger.records(),
            began.elapsed().as_secs_f64()
        );
        memory("rate");
    }
}

fn offer(ledger: &EmbeddedLedger, records: u64, at: DateTime<Utc>, beside: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let (tell, told) = mpsc::channel();
    let began = Instant::now();
    let (mut deciding, mut durable) = (Vec::new(), Vec::new());
    for call in 0..RATE * SECONDS {
        let due = began + Duration::from_secs(1) * call / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = key(u64::from(call) * 7919 % records);
        let asked = Instant::now();
        let answer = ledger.reserve(ask(key, at, 0));
        deciding.push(asked.elapsed());
        let tell = tell.clone();
        runtime.spawn(async move {
            let reserved = answer.wait().await.expect("reserved");
            // Whoever listens has stopped only after a failure.
            let _ = tell.send((key, reserved, asked.elapsed()));
        });
        for (key, reserved, took) in told.try_iter() {
            durable.push(took);
            settle(ledger, key, &reserved, at);
        }
    }
    drop(tell);
    for (key, reserved, took) in told {
        durable.push(took);
        settle(ledger, key, &reserved, at);
    }
    percentiles(&format!("reserve {beside}, durable"), durable);
    percentiles(&format!("reserve {beside}, held on the call path"), deciding);
}

fn settle(ledger: &EmbeddedLedger, key: Key, reserved: &Reserved, at: DateTime<Utc>) {
    if let Reserved::Granted(id) = reserved {
        ledger.settle(key, *id, Outcome::Answered, at);
    }
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let place = (times.len() as f64 * share) as usize;
        times[place.min(times.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "{what}: p50 {:.3} p99 {:.3} p99.9 {:.3} max {:.3} ms ({})",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        times.len()
    );
}

fn block_on<T>(answer: Answer<Result<T, StoreError>>) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(answer.wait())
}

fn memory(phase: &str) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let shown = |name| of(name).map_or(0, |kib| kib >> 10);
    println!("{phase}: resident {} MiB, peak {} MiB", shown("VmRSS"), shown("VmHWM"));
}

fn size(folder: &Path) -> u64 {
    std::fs::read_dir(folder).map_or(0, |entries| {
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(found) if found.is_dir() => size(&entry.path()),
                // What it takes on the disk: sled leaves holes.
                Ok(found) => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
                Err(_) => 0,
            })
            .sum()
    })
}

//! The embedded ledger at five million live records: memory, size of the view, start to ready, and reservations at 2,000 a second
//! while a checkpoint and the expiry run beside them.
//!
//! `cargo bench --bench ledger_scale` runs it whole, each phase in a process of its own, in `CLAPET_SCALE_DIR` or a temporary folder
//! (about 4 GB). `CLAPET_SCALE_RECORDS` changes the number of records. Prints a line for each figure.

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

const RATE: u32 = 2000;
const SECONDS: u32 = 40;
/// Records appended after the last checkpoint before the process is stopped.
const TAIL: u64 = 400_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let records = std::env::var("CLAPET_SCALE_RECORDS").map_or(5_000_000, |text| text.parse().expect("a number"));
    if let (Some(phase), Some(folder)) = (arguments.next(), arguments.next()) {
        let folder = PathBuf::from(folder);
        match phase.as_str() {
            "fill" => fill(&folder, records),
            "start" => drop(start(&folder, "start")),
            "tail" => tail(&folder, records),
            "rate" => rate(&folder, records),
            other => panic!("unknown phase {other}"),
        }
        return;
    }
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("CLAPET_SCALE_DIR").map_or_else(|| temporary.path().join("store"), PathBuf::from);
    for phase in ["fill", "start", "tail", "start", "rate", "start"] {
        let binary = std::env::current_exe().expect("this program");
        let ended = Command::new(binary)
            .arg(phase)
            .arg(&folder)
            .status()
            .expect("a process");
        // The tail is cut off as a killed process would be.
        assert!(ended.success() || phase == "tail", "{phase}: {ended}");
        println!("view on disk after {phase}: {} MiB", size(&folder.join("ledger")) >> 20);
    }
}

fn options(folder: &Path) -> Options {
    Options {
        path: folder.to_owned(),
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

fn tail(folder: &Path, records: u64) {
    let (ledger, _) = EmbeddedLedger::open(Options {
        checkpoint_records: u64::MAX,
        ..options(folder)
    })
    .expect("a store");
    let at = first_day() + TimeDelta::days(30);
    for call in 0..TAIL {
        push(&ledger, key(call * 7 % records), at, call + 1);
    }
    while ledger.lag() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::abort();
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

//! Do-not-call lists at scale: import time and memory, bytes a number, start time, look-ups by size of the list.
//!
//!     cargo bench --bench screening_scale [-- NUMBERS]
//!
//! Prints what it measures; `docs/decisions/0003-screening.md` keeps the figures. Memory is read from `/proc`, so it needs Linux.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // figures for people

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use clapet::import::{self, FirstRejected, Kind, Options, Professionals};
use clapet::law::Law;
use clapet::ledger::Siren;
use clapet::numbering::E164;
use clapet::rules::Bloctel;
use clapet::screening::{List, Screening, SnapshotBuilder};

const ACME: Siren = Siren(552_100_554);
/// First digits of the numbers listed, each before eight more.
const PREFIXES: [u64; 5] = [1, 2, 3, 4, 6];
/// Daily screenings put on top of the whole list, and numbers in each.
const DAILY: (u64, u64) = (60, 30_000);
const LOOKUPS: u64 = 2_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let numbers = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, kind) in [("plain list", Form::Plain), ("answer with status", Form::Status)] {
        imported(name, kind, numbers, folder.path());
    }
    daily(numbers, &folder.path().join("plain list"));
    lookups(numbers);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Status,
}

/// A file becomes a snapshot on disk and in memory; then the store is opened again.
fn imported(name: &str, form: Form, numbers: u64, folder: &Path) {
    let file = folder.join(format!("{name}.csv"));
    let mut out = BufWriter::new(File::create(&file).expect("a file"));
    for n in 0..numbers {
        let national = number(n) - 33_000_000_000;
        match form {
            Form::Plain => writeln!(out, "0{national:09}"),
            Form::Status => writeln!(out, "0{national:09};{n};{}", if n % 5 == 0 { "KO" } else { "OK" }),
        }
        .expect("a line");
    }
    out.flush().expect("a file");
    drop(out);
    let store = folder.join(name);
    let (screening, _) = Screening::open(&store).expect("a store");
    let law = Law::embedded();
    let base = memory("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
    let (begun, ran) = (Instant::now(), on_cpu());
    let options = Options {
        professional: None,
        submitted: None,
        today: day(0),
        force: false,
        progress: None,
    };
    let mut reader = File::open(&file).expect("the file");
    let batch = import::run(
        Kind::Bloctel,
        &mut reader,
        options,
        &law,
        &Nobody,
        &mut FirstRejected::new(1),
    );
    let batch = batch.expect("an import");
    assert_eq!(batch.rejected, 0);
    let snapshot = batch.snapshot.expect("numbers");
    let read = begun.elapsed();
    screening
        .load_built(List::Bloctel, Some(ACME), day(0), snapshot.numbers)
        .expect("a snapshot");
    let all = begun.elapsed();
    let peak = memory("VmHWM:") - base;
    let bytes = screening.bytes();
    println!(
        "{name}: {numbers} numbers imported in {:.2} s (read and packed {:.2} s; {:.2} s of CPU)",
        all.as_secs_f64(),
        read.as_secs_f64(),
        (on_cpu() - ran) as f64 / 1e9
    );
    println!(
        "  peak on top of the base {:.1} MB, kept {:.1} MB, {:.2} bytes a number",
        mega(peak),
        mega(bytes as u64),
        per(bytes as u64, numbers)
    );
    drop(screening);
    let on_disk: u64 = std::fs::read_dir(store.join("screening"))
        .expect("a folder")
        .map(|entry| entry.and_then(|e| e.metadata()).map_or(0, |m| m.len()))
        .sum();
    let begun = Instant::now();
    let (screening, faults) = Screening::open(&store).expect("a store");
    println!(
        "  on disk {:.2} bytes a number; opened again, all sums checked, in {:.0} ms",
        per(on_disk, numbers),
        begun.elapsed().as_secs_f64() * 1e3
    );
    assert!(faults.is_empty());
    assert!(matches!(
        screening.bloctel(ACME, e164(number(5)), day(0)),
        Bloctel::Opposed(_)
    ));
    std::fs::remove_file(file).expect("the file");
}

/// Small screenings day after day on top of a whole list.
fn daily(numbers: u64, store: &Path) {
    let (screening, _) = Screening::open(store).expect("a store");
    let (days, each) = DAILY;
    let mut times: Vec<Duration> = (0..days)
        .map(|at| {
            let mut builder = SnapshotBuilder::screened();
            for n in 0..each {
                let number = e164(number(numbers + at * each + n));
                if n % 5 == 0 {
                    builder.opposed(number);
                } else {
                    builder.clear(number);
                }
            }
            let built = builder.finish();
            let begun = Instant::now();
            screening
                .load_built(List::Bloctel, Some(ACME), day(at), built)
                .expect("a snapshot");
            begun.elapsed()
        })
        .collect();
    times.sort();
    let middle = times[times.len() / 2].as_secs_f64() * 1e3;
    let longest = times.last().map_or(0.0, Duration::as_secs_f64) * 1e3;
    println!("daily: {days} screenings of {each} numbers on top: median {middle:.1} ms, longest {longest:.1} ms");
    let asked = sample(|n| number(numbers + n % (days * each)));
    println!(
        "  look-up {:.0} ns of what was screened, {:.0} ns of what was never",
        time(&screening, &asked),
        time(&screening, &sample(|n| number(n) + 1))
    );
    drop(screening);
    let begun = Instant::now();
    let (screening, faults) = Screening::open(store).expect("a store");
    println!(
        "  opened again in {:.0} ms, {:.1} MB kept",
        begun.elapsed().as_secs_f64() * 1e3,
        mega(screening.bytes() as u64)
    );
    assert!(faults.is_empty());
}

/// Random numbers, listed and not, by size of the list.
fn lookups(most: u64) {
    println!("look-up by size of a plain list (own and general asked), numbers in random order:");
    let mut size = 1_000;
    while size <= most {
        let screening = Screening::in_memory();
        let mut builder = SnapshotBuilder::plain();
        (0..size).for_each(|n| builder.opposed(e164(number(n))));
        screening
            .load_built(List::Bloctel, Some(ACME), day(0), builder.finish())
            .expect("a snapshot");
        let hit = time(&screening, &sample(|n| number(n % size)));
        let miss = time(&screening, &sample(|n| number(n % size) + 1));
        println!("  {size:>9}: hit {hit:.0} ns, miss {miss:.0} ns");
        size *= 10;
    }
}

/// Nanoseconds that this thread, the only one, has run: whatever else the machine does is left out.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let ran = text.split(' ').next().and_then(|field| field.parse().ok());
    ran.expect("a figure")
}

/// Nanoseconds of one look-up.
fn time(screening: &Screening, asked: &[E164]) -> f64 {
    let day = day(DAILY.0);
    let begun = on_cpu();
    for number in asked {
        black_box(screening.bloctel(ACME, *number, day));
    }
    (on_cpu() - begun) as f64 / asked.len() as f64
}

/// Numbers in an order that no prefetcher guesses.
fn sample(pick: impl Fn(u64) -> u64) -> Vec<E164> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..LOOKUPS)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            e164(pick(state % 1_000_000_007))
        })
        .collect()
}

/// The n-th number: every n its own, spread evenly over the ranges, one in fifty of a range at ten million.
fn number(n: u64) -> u64 {
    let subscriber = n / 5 * 61_803_399 % 100_000_000;
    33_000_000_000 + PREFIXES[(n % 5) as usize] * 100_000_000 + subscriber
}

fn e164(number: u64) -> E164 {
    E164::new(number).expect("a number")
}

fn day(n: impl TryInto<u64>) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day");
    first + Days::new(n.try_into().unwrap_or(0))
}

struct Nobody;

impl Professionals for Nobody {
    fn siren(&self, _: &str) -> Option<Siren> {
        None
    }
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line))
        .expect("the line");
    found.trim().trim_end_matches(" kB").parse::<u64>().expect("a figure") * 1024
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn per(bytes: u64, numbers: u64) -> f64 {
    bytes as f64 / numbers as f64
}

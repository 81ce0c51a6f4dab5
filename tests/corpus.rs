//! The bounded run of the fuzz targets, without a fuzzer: what the kept corpus holds, as it is and changed at random, goes through the
//! same functions (`fuzz/README.md` tells how the corpus came about).
//!
//! A failure prints the seed and the smallest input that fails. `CLAPET_SEED` gives another seed, `CLAPET_CASES` more cases.

#[path = "corpus/exercise/mod.rs"]
mod exercise;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Changed inputs a target gets, where `CLAPET_CASES` does not say otherwise.
const CASES: u32 = 5_000;

/// Longest input, in bytes.
const LONGEST: usize = 4_096;

/// One change to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    /// A piece of it once more.
    Repeat(Index, Index),
    /// The rest of another input in place of its own.
    Splice(Index, Index, Index),
    /// Something that means something to some reader.
    Word(Index, &'static str),
}

const WORDS: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    "\0",
    "\u{ff}",
    ",",
    ";",
    "\"",
    "\\",
    "<",
    ">",
    "(",
    "@",
    "%00",
    "%",
    "=",
    "[",
    "+33",
    "z9hG4bK",
    "\r\n\r\n",
    "l: 9\r\n",
    "99999999999999999999",
    "-1",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Remove(from, to)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Repeat(from, to)),
        any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        (any::<Index>(), select(&WORDS[..])).prop_map(|(at, word)| Change::Word(at, word)),
    ]
}

fn changed(corpus: &[Vec<u8>], of: Index, changes: &[Change]) -> Vec<u8> {
    let mut input = of.get(corpus).clone();
    for change in changes {
        let places = input.len() + 1;
        match change {
            Change::Set(at, byte) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] = *byte;
                }
            }
            Change::Insert(at, bytes) => {
                let at = at.index(places);
                input.splice(at..at, bytes.iter().copied());
            }
            Change::Remove(from, to) => {
                let (from, to) = (from.index(places), to.index(places));
                input.drain(from.min(to)..from.max(to));
            }
            Change::Repeat(from, to) => {
                let (from, to) = (from.index(places), to.index(places));
                let piece = input[from.min(to)..from.max(to)].to_vec();
                let at = from.max(to);
                input.splice(at..at, piece);
            }
            Change::Splice(at, other, from) => {
                let other = other.get(corpus);
                input.truncate(at.index(places));
                input.extend(&other[from.index(other.len() + 1)..]);
            }
            Change::Word(at, word) => {
                let at = at.index(places);
                input.splice(at..at, word.bytes());
            }
        }
        input.truncate(LONGEST);
    }
    input
}

/// Shown with escapes.
#[derive(Clone)]
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The corpus as it is, then changed.
fn run(name: &str) {
    let (_, exercise) = exercise::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let files = files(name);
    for file in &files {
        // Seen where one fails.
        println!("{}", file.display());
        exercise(&std::fs::read(file).expect("a readable file"));
    }
    let corpus: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).expect("a readable file"))
        .collect();
    let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("CLAPET_SEED").unwrap_or(0);
    let cases = number("CLAPET_CASES")
        .and_then(|cases| u32::try_from(cases).ok())
        .unwrap_or(CASES);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let inputs = (any::<Index>(), vec(change(), 1..5)).prop_map(|(of, changes)| Input(changed(&corpus, of, &changes)));
    runner
        .run(&inputs, |input| {
            exercise(&input.0);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("CLAPET_SEED={seed}: {error}"));
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join(name))
        .expect("a corpus")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has a corpus");
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

#[test]
fn messages() {
    run("message");
}

#[test]
fn streams() {
    run("stream");
}

#[test]
fn uris() {
    run("uri");
}

#[test]
fn numbers() {
    run("number");
}

#[test]
fn import_files() {
    run("import");
}

#[test]
fn configurations() {
    run("config");
}

#[test]
fn law_files() {
    run("law");
}

#[test]
fn journals() {
    run("journal");
}

#[test]
fn records() {
    run("record");
}

#[test]
fn proxies() {
    run("proxy");
}

#[test]
fn every_corpus_is_that_of_a_target_and_is_small() {
    let targets: BTreeSet<String> = exercise::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the corpora")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_dir() && !path.ends_with("exercise"))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, targets);
    for name in &targets {
        let bytes: u64 = files(name)
            .iter()
            .map(|file| file.metadata().expect("a file").len())
            .sum();
        assert!(bytes < 1 << 20, "{name}: {bytes} bytes");
    }
}

#[test]
fn the_good_segment_that_is_damaged_is_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let segment = folder.path().join("00000000000000000001.seg");
    std::fs::write(segment, exercise::journal::SEGMENT).expect("a written segment");
    let report = clapet::journal::verify(folder.path()).expect("a readable folder");
    assert!(report.bad.is_none(), "{:?}", report.bad);
    assert_eq!((report.batches, report.records, report.erased), (4, 10, 1));
}

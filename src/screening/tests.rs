//! Screening as a whole: what lists say of a number.
//!
//! - [`model`]: against a model that keeps every import in a list.
//! - [`damage`]: what becomes of files that are damaged, unfinished or nobody's.
//! - [`retire`]: what is deleted, and that no answer changes by it.

mod damage;
mod model;
mod retire;

use std::fs;
use std::path::Path;

use sha2::Digest as _;

use super::*;

const ACME: Siren = Siren(552_100_554);
const OTHER: Siren = Siren(443_061_841);

fn day(n: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(19_500 + n).unwrap()
}

fn number(n: u64) -> E164 {
    E164::new(33_612_000_000 + n).unwrap()
}

fn numbers(all: impl IntoIterator<Item = u64>) -> Vec<E164> {
    all.into_iter().map(number).collect()
}

fn plain(opposed: impl IntoIterator<Item = u64>) -> Snapshot {
    Snapshot::Plain {
        opposed: numbers(opposed),
    }
}

fn screened(clear: impl IntoIterator<Item = u64>, opposed: impl IntoIterator<Item = u64>) -> Snapshot {
    Snapshot::Screened {
        clear: numbers(clear),
        opposed: numbers(opposed),
    }
}

fn open(path: &Path) -> Screening {
    let (screening, faults) = Screening::open(path).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    screening
}

#[test]
fn without_a_list_nothing_is_known() {
    let screening = Screening::in_memory();
    assert_eq!(screening.bloctel(ACME, number(1), day(0)), Bloctel::NoList);
    assert_eq!(screening.opposed_since(ACME, number(1), day(0)), None);
    assert!(screening.states().is_empty() && screening.holds(number(1)).is_empty());
}

#[test]
fn a_plain_list_replaces_the_professional_s_last() {
    let screening = Screening::in_memory();
    screening
        .load(List::Bloctel, Some(ACME), day(0), plain([1, 2]))
        .unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(30), plain([2, 3]))
        .unwrap();
    for (n, first, second) in [(1, true, false), (2, true, true), (3, false, true), (4, false, false)] {
        let expected = |opposed, on| {
            if opposed {
                Bloctel::Opposed(day(on))
            } else {
                Bloctel::Clear(day(on))
            }
        };
        assert_eq!(screening.bloctel(ACME, number(n), day(29)), expected(first, 0), "{n}");
        assert_eq!(screening.bloctel(ACME, number(n), day(30)), expected(second, 30), "{n}");
        assert_eq!(screening.bloctel(OTHER, number(n), day(30)), Bloctel::NoList);
    }
    assert_eq!(screening.bloctel(ACME, number(1), day(-1)), Bloctel::NoList);
}

#[test]
fn screened_files_add_up_and_the_newest_screening_decides() {
    let screening = Screening::in_memory();
    screening
        .load(List::Bloctel, Some(ACME), day(0), screened([1, 2], [3]))
        .unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(10), screened([3, 4], [2]))
        .unwrap();
    for (n, expected) in [
        (1, Bloctel::Clear(day(0))),
        (2, Bloctel::Opposed(day(10))),
        (3, Bloctel::Clear(day(10))),
        (4, Bloctel::Clear(day(10))),
        (5, Bloctel::Unscreened(Some(day(10)))),
    ] {
        assert_eq!(screening.bloctel(ACME, number(n), day(11)), expected, "{n}");
    }
    assert_eq!(screening.bloctel(ACME, number(2), day(9)), Bloctel::Clear(day(0)));
}

#[test]
fn of_two_screenings_on_one_day_the_later_decides() {
    let screening = Screening::in_memory();
    screening.load(List::Bloctel, None, day(0), screened([1], [2])).unwrap();
    screening.load(List::Bloctel, None, day(0), screened([2], [1])).unwrap();
    assert_eq!(screening.bloctel(ACME, number(1), day(0)), Bloctel::Opposed(day(0)));
    assert_eq!(screening.bloctel(ACME, number(2), day(0)), Bloctel::Clear(day(0)));
}

#[test]
fn a_list_without_a_professional_binds_everybody_beside_their_own() {
    let screening = Screening::in_memory();
    screening.load(List::Bloctel, None, day(0), plain([1])).unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(5), screened([1, 2], [3]))
        .unwrap();
    assert_eq!(screening.bloctel(ACME, number(1), day(6)), Bloctel::Opposed(day(0)));
    assert_eq!(screening.bloctel(ACME, number(2), day(6)), Bloctel::Clear(day(5)));
    assert_eq!(screening.bloctel(ACME, number(3), day(6)), Bloctel::Opposed(day(5)));
    assert_eq!(screening.bloctel(OTHER, number(3), day(6)), Bloctel::Clear(day(0)));
    assert_eq!(screening.bloctel(OTHER, number(1), day(6)), Bloctel::Opposed(day(0)));
}

#[test]
fn an_opposition_stays_through_later_lists_and_keeps_its_first_day() {
    let screening = Screening::in_memory();
    screening
        .load(List::Opposition, Some(ACME), day(0), plain([1]))
        .unwrap();
    screening
        .load(List::Opposition, Some(ACME), day(9), plain([1, 2]))
        .unwrap();
    screening
        .load(List::Opposition, Some(ACME), day(20), plain([3]))
        .unwrap();
    for (n, since) in [(1, Some(0)), (2, Some(9)), (3, Some(20)), (4, None)] {
        assert_eq!(screening.opposed_since(ACME, number(n), day(40)), since.map(day), "{n}");
    }
    assert_eq!(screening.opposed_since(ACME, number(2), day(8)), None);
    assert_eq!(screening.opposed_since(OTHER, number(1), day(40)), None);
    screening.load(List::Opposition, None, day(30), plain([1])).unwrap();
    assert_eq!(
        screening.opposed_since(ACME, number(1), day(40)),
        Some(day(30)),
        "the newer of both lists"
    );
}

#[test]
fn what_is_held_of_a_number_is_listed_snapshot_by_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    screening.load(List::Bloctel, Some(ACME), day(0), plain([1])).unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(40), screened([1], []))
        .unwrap();
    screening.load(List::Opposition, None, day(3), plain([1])).unwrap();
    screening.load(List::Opposition, None, day(4), plain([2])).unwrap();
    let held = |list, siren, on, opposed| Held {
        list,
        siren,
        day: day(on),
        opposed,
    };
    let expected = [
        held(List::Bloctel, Some(ACME), 0, true),
        held(List::Bloctel, Some(ACME), 40, false),
        held(List::Opposition, None, 3, true),
    ];
    assert_eq!(screening.holds(number(1)), expected);
}

#[test]
fn states_tell_age_and_size() {
    let screening = Screening::in_memory();
    screening
        .load(List::Bloctel, Some(ACME), day(0), plain(0..1000))
        .unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(30), plain(0..10))
        .unwrap();
    screening
        .load(List::Bloctel, Some(ACME), day(31), screened(10..15, 15..20))
        .unwrap();
    let state = ListState {
        list: List::Bloctel,
        siren: Some(ACME),
        newest: day(31),
        numbers: 20,
    };
    assert_eq!(screening.states(), [state]);
    assert!(screening.bytes() > 0);
}

#[test]
fn the_sum_returned_is_that_of_the_file_and_memory_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let kept = open(folder.path())
        .load(List::Bloctel, Some(ACME), day(0), screened([1], [2]))
        .unwrap();
    let unkept = Screening::in_memory()
        .load(List::Bloctel, Some(ACME), day(0), screened([1], [2]))
        .unwrap();
    assert_eq!(kept, unkept);
    let file = fs::read_dir(folder.path().join("screening"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_eq!(kept, <[u8; 32]>::from(sha2::Sha256::digest(fs::read(file).unwrap())));
}

#[test]
fn a_year_of_daily_imports_is_answered_from_few_layers() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    for n in 0..365u64 {
        let new = screened(n * 10..n * 10 + 9, [n * 10 + 9]);
        screening
            .load(List::Bloctel, Some(ACME), day(i32::try_from(n).unwrap()), new)
            .unwrap();
    }
    let layers = screening.shelf(List::Bloctel, Some(ACME)).hot.len();
    assert!(layers <= 10, "{layers} layers");
    let check = |screening: &Screening| {
        for n in 0..365u64 {
            let on = day(i32::try_from(n).unwrap());
            assert_eq!(screening.bloctel(ACME, number(n * 10), day(400)), Bloctel::Clear(on));
            assert_eq!(
                screening.bloctel(ACME, number(n * 10 + 9), day(400)),
                Bloctel::Opposed(on)
            );
            if n % 73 == 0 {
                assert_eq!(screening.bloctel(ACME, number(n * 10 + 9), on), Bloctel::Opposed(on));
                let before = screening.bloctel(ACME, number(n * 10 + 9), on.pred_opt().unwrap());
                assert!(!matches!(before, Bloctel::Opposed(_)), "{n}");
            }
        }
    };
    check(&screening);
    drop(screening);
    let again = open(folder.path());
    assert_eq!(
        again.shelf(List::Bloctel, Some(ACME)).hot.len(),
        layers,
        "tiers are found again"
    );
    check(&again);
}

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path.join("screening"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

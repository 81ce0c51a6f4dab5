//! Screening as a whole against a model that keeps every import in a list.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
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

#[test]
fn a_damaged_list_is_set_aside_and_the_one_before_answers() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    screening.load(List::Bloctel, Some(ACME), day(0), plain([1])).unwrap();
    screening.load(List::Bloctel, Some(ACME), day(30), plain([2])).unwrap();
    drop(screening);
    let newest = files(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&newest, &bytes).unwrap();
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert!(
        matches!(&faults[..], [ScreeningError::Damaged { path, .. }] if *path == newest),
        "{faults:?}"
    );
    assert_eq!(screening.bloctel(ACME, number(1), day(31)), Bloctel::Opposed(day(0)));
    assert_eq!(screening.bloctel(ACME, number(2), day(31)), Bloctel::Clear(day(0)));
    assert!(
        !newest.exists()
            && files(folder.path())
                .iter()
                .any(|file| file.to_string_lossy().ends_with(".damaged-1"))
    );
    screening.load(List::Bloctel, Some(ACME), day(30), plain([2])).unwrap();
    drop(screening);
    assert_eq!(
        open(folder.path()).bloctel(ACME, number(2), day(31)),
        Bloctel::Opposed(day(30))
    );
}

#[test]
fn a_damaged_tier_costs_nothing_but_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    for n in 0..20u64 {
        screening
            .load(
                List::Bloctel,
                None,
                day(i32::try_from(n).unwrap()),
                screened([n], [n + 100]),
            )
            .unwrap();
    }
    drop(screening);
    let mut tiers = 0;
    for file in files(folder.path()) {
        if file.to_string_lossy().contains(".tier.") {
            tiers += 1;
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        }
    }
    assert!(tiers > 0);
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert_eq!(faults.len(), tiers);
    for n in 0..20u64 {
        let on = day(i32::try_from(n).unwrap());
        assert_eq!(screening.bloctel(ACME, number(n), day(30)), Bloctel::Clear(on));
        assert_eq!(screening.bloctel(ACME, number(n + 100), day(30)), Bloctel::Opposed(on));
    }
}

#[test]
fn what_a_crash_left_unfinished_is_removed_and_strangers_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path())
        .load(List::Bloctel, None, day(0), plain([1]))
        .unwrap();
    let at = folder.path().join("screening");
    fs::write(at.join("unfinished.tmp"), b"half").unwrap();
    fs::write(at.join("notes.txt"), b"an operator's").unwrap();
    fs::write(at.join("bloctel.list"), b"?").unwrap();
    let good = files(folder.path())[0].clone();
    let renamed = good.to_string_lossy().replace(".all.", ".552100554.");
    fs::copy(&good, &renamed).unwrap();
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(!at.join("unfinished.tmp").exists() && at.join("notes.txt").exists() && !at.join("bloctel.list").exists());
    assert_eq!(screening.states().len(), 1);
}

#[test]
fn an_import_that_cannot_be_written_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    screening.load(List::Bloctel, None, day(0), plain([1])).unwrap();
    fs::remove_dir_all(folder.path().join("screening")).unwrap();
    assert!(matches!(
        screening.load(List::Bloctel, None, day(1), plain([2])),
        Err(ScreeningError::Io { .. })
    ));
    assert_eq!(screening.bloctel(ACME, number(2), day(1)), Bloctel::Clear(day(0)));
}

#[derive(Clone, Debug)]
struct Import {
    list: List,
    siren: Option<Siren>,
    day: i32,
    plain: bool,
    clear: Vec<u64>,
    opposed: Vec<u64>,
}

fn import() -> impl Strategy<Value = Import> {
    let some = || prop::collection::vec(0..40u64, 0..12);
    (
        any::<bool>(),
        any::<bool>(),
        0..14i32,
        prop::bool::weighted(0.2),
        some(),
        some(),
    )
        .prop_map(|(bloctel, own, day, plain, clear, opposed)| Import {
            list: if bloctel { List::Bloctel } else { List::Opposition },
            siren: own.then_some(ACME),
            day,
            plain,
            clear: if plain { Vec::new() } else { clear },
            opposed,
        })
}

/// Newest first, of one list and owner, known on a day.
fn known(imports: &[Import], list: List, siren: Option<Siren>, on: i32) -> Vec<&Import> {
    let mut known: Vec<_> = imports
        .iter()
        .filter(|i| i.list == list && i.siren == siren && i.day <= on)
        .collect();
    known.sort_by_key(|import| import.day);
    // Of one day the later import comes first: the sort was stable.
    known.reverse();
    known
}

fn model_bloctel(imports: &[Import], siren: Option<Siren>, n: u64, on: i32) -> Bloctel {
    let known = known(imports, List::Bloctel, siren, on);
    for import in &known {
        if import.opposed.contains(&n) {
            return Bloctel::Opposed(day(import.day));
        }
        if import.plain || import.clear.contains(&n) {
            return Bloctel::Clear(day(import.day));
        }
    }
    known
        .first()
        .map_or(Bloctel::NoList, |newest| Bloctel::Unscreened(Some(day(newest.day))))
}

fn model_since(imports: &[Import], siren: Option<Siren>, n: u64, on: i32) -> Option<NaiveDate> {
    let listed = known(imports, List::Opposition, siren, on)
        .into_iter()
        .filter(|import| import.opposed.contains(&n));
    listed.map(|import| day(import.day)).min()
}

fn agrees(screening: &Screening, imports: &[Import]) -> Result<(), TestCaseError> {
    for on in -1..16 {
        for n in 0..41 {
            // Somebody without lists of their own sees those for all.
            let all = model_bloctel(imports, None, n, on);
            prop_assert_eq!(screening.bloctel(OTHER, number(n), day(on)), all, "{} on {}", n, on);
            prop_assert_eq!(
                screening.opposed_since(OTHER, number(n), day(on)),
                model_since(imports, None, n, on),
                "{} on {}",
                n,
                on
            );
            let own = model_bloctel(imports, Some(ACME), n, on);
            let rank = |bloctel: Bloctel| match bloctel {
                Bloctel::NoList => (0, None),
                Bloctel::Unscreened(day) => (1, day),
                Bloctel::Clear(day) => (2, Some(day)),
                Bloctel::Opposed(day) => (3, Some(day)),
            };
            let both = if rank(own) > rank(all) { own } else { all };
            prop_assert_eq!(screening.bloctel(ACME, number(n), day(on)), both, "{} on {}", n, on);
            let since = model_since(imports, Some(ACME), n, on).max(model_since(imports, None, n, on));
            prop_assert_eq!(
                screening.opposed_since(ACME, number(n), day(on)),
                since,
                "{} on {}",
                n,
                on
            );
        }
    }
    Ok(())
}

fn load(screening: &Screening, import: &Import) {
    let snapshot = if import.plain {
        plain(import.opposed.iter().copied())
    } else {
        screened(import.clear.iter().copied(), import.opposed.iter().copied())
    };
    screening
        .load(import.list, import.siren, day(import.day), snapshot)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Days in any order: what is loaded late for an early day counts from that day.
    #[test]
    fn every_day_is_answered_as_if_all_imports_were_kept_in_a_list(imports in prop::collection::vec(import(), 0..30)) {
        let screening = Screening::in_memory();
        for import in &imports {
            load(&screening, import);
        }
        agrees(&screening, &imports)?;
    }

    #[test]
    fn a_store_closed_and_opened_again_answers_the_same(imports in prop::collection::vec(import(), 0..24), reopen in 0..24usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut screening = open(folder.path());
        for (at, import) in imports.iter().enumerate() {
            if at == reopen {
                drop(screening);
                screening = open(folder.path());
            }
            load(&screening, import);
        }
        agrees(&screening, &imports)?;
        drop(screening);
        agrees(&open(folder.path()), &imports)?;
    }

    #[test]
    fn damage_anywhere_in_any_file_loses_that_file_only(imports in prop::collection::vec(import(), 1..12), which: prop::sample::Index, at: prop::sample::Index, bit in 0..8u8) {
        let folder = tempfile::tempdir().unwrap();
        let screening = open(folder.path());
        for import in &imports {
            load(&screening, import);
        }
        drop(screening);
        let files = files(folder.path());
        let victim = which.get(&files);
        let mut bytes = fs::read(victim).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(victim, &bytes).unwrap();
        let (screening, faults) = Screening::open(folder.path()).unwrap();
        // One that a tier or a plain list stands for is not read before a replay asks for its day.
        let mut left = imports.clone();
        let name = victim.file_name().unwrap().to_str().unwrap();
        let original = folder::Name::parse(name).filter(|name| name.kind != Kind::Tier);
        if faults.is_empty() {
            prop_assert!(original.is_some());
            return Ok(());
        }
        prop_assert_eq!(faults.len(), 1);
        let mut aside = victim.clone().into_os_string();
        aside.push(".damaged-1");
        prop_assert!(Path::new(&aside).exists());
        // A tier is merged anew under its name.
        prop_assert!(original.is_none() || !victim.exists());
        if let Some(name) = original {
            left.remove(usize::try_from(name.stamp.sequence).unwrap() - 1);
        }
        agrees(&screening, &left)?;
    }
}

/// Names of the files of imports.
fn originals(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.join("screening")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(".plain.") || name.contains(".screened."))
        .collect();
    names.sort();
    names
}

#[test]
fn a_replaced_list_is_deleted_once_no_kept_day_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path()).keeping(100);
    let load = |list, on, snapshot| {
        screening.load(list, Some(ACME), day(on), snapshot).unwrap();
    };
    load(List::Bloctel, 0, plain([1]));
    load(List::Bloctel, 3, screened([1], [2]));
    load(List::Opposition, 4, plain([9]));
    load(List::Bloctel, 50, plain([2]));
    load(List::Bloctel, 149, plain([3]));
    assert_eq!(originals(folder.path()).len(), 5, "day 49 can still be asked about");
    load(List::Bloctel, 150, plain([4]));
    load(List::Opposition, 800, plain([8]));
    let left = originals(folder.path());
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(!left.iter().any(|name| name.contains(".2023-05-23.")), "{left:?}");
    assert_eq!(screening.bloctel(ACME, number(2), day(50)), Bloctel::Opposed(day(50)));
    assert_eq!(screening.opposed_since(ACME, number(9), day(801)), Some(day(4)));
}

#[test]
fn a_screening_is_deleted_only_once_all_its_numbers_were_screened_again() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path()).keeping(60);
    let load = |on, snapshot| {
        screening.load(List::Bloctel, Some(ACME), day(on), snapshot).unwrap();
    };
    load(0, screened([1, 2], [3]));
    load(1, screened([4], []));
    load(20, screened([1, 3], [2]));
    load(200, screened([4], []));
    assert_eq!(
        originals(folder.path()).len(),
        3,
        "4 was screened again, but after the day asked about first"
    );
    load(260, screened([7], []));
    assert_eq!(originals(folder.path()).len(), 3);
    for screening in [&screening, &open(folder.path())] {
        assert_eq!(screening.bloctel(ACME, number(2), day(261)), Bloctel::Opposed(day(20)));
        assert_eq!(screening.bloctel(ACME, number(4), day(261)), Bloctel::Clear(day(200)));
    }
}

proptest! {
    /// What is deleted changes no answer for a day that is kept for, now or after a start.
    #[test]
    fn deleting_old_lists_changes_no_answer_that_can_still_be_asked_for(
        imports in proptest::collection::vec((0..40_i32, any::<bool>(), any::<bool>(), 0..64_u64, 0..64_u64), 1..14)
    ) {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let all = open(folders[0].path());
        let kept = open(folders[1].path()).keeping(60);
        let mut on = 0;
        for (later, whole, everybody, clear, opposed) in imports {
            on += later;
            let bits = |bits: u64| numbers((0..6).filter(move |bit| bits & 1 << bit != 0));
            let snapshot = if whole {
                Snapshot::Plain { opposed: bits(opposed) }
            } else {
                Snapshot::Screened { clear: bits(clear), opposed: bits(opposed) }
            };
            let owner = (!everybody).then_some(ACME);
            for screening in [&all, &kept] {
                screening.load(List::Bloctel, owner, day(on), snapshot.clone()).unwrap();
            }
        }
        let again = open(folders[1].path());
        // Each list from its own newest import: the oldest of them is what both answer for.
        let newest = all.states().iter().map(|state| state.newest).max().unwrap();
        for back in 0..60 {
            let asked = newest - chrono::Days::new(back);
            for n in 0..7 {
                let expected = all.bloctel(ACME, number(n), asked);
                prop_assert_eq!(kept.bloctel(ACME, number(n), asked), expected, "{} on {}", n, asked);
                prop_assert_eq!(again.bloctel(ACME, number(n), asked), expected, "{} on {}, again", n, asked);
            }
        }
    }
}

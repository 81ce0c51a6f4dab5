//! Imports that no kept day asks for are deleted, and no answer changes by it.

use proptest::prelude::*;

use super::*;

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

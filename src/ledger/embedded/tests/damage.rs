//! Crashes, damaged views, failing writes, and the second process.

use std::sync::mpsc::TryRecvError;

use super::*;

/// Some calls on a few numbers, a view in the middle.
fn filled(path: &Path) -> Vec<History> {
    let ledger = open(path);
    for callee in 0..200 {
        granted(&ledger, key(callee), hours(1), callee + 1);
        if callee == 100 {
            ledger.checkpoint().unwrap();
        }
    }
    let known = (0..200).map(|callee| history(&ledger, key(callee))).collect();
    close(ledger);
    known
}

fn histories(ledger: &EmbeddedLedger) -> Vec<History> {
    (0..200).map(|callee| history(ledger, key(callee))).collect()
}

#[test]
fn call_repeated_after_a_crash_holds_its_attempt_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let id = granted(&ledger, key(1), hours(1), 7);
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(reserve(&ledger, key(1), hours(1), 7), Reserved::Held(id));
    assert_eq!(history(&ledger, key(1)).attempts.len(), 1);
}

#[test]
fn second_opening_is_told_who_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let second = EmbeddedLedger::open(options(folder.path()));
    assert!(matches!(second, Err(OpenError::Held { pid, .. }) if pid == std::process::id()));
    drop(ledger);
    open(folder.path());
}

#[test]
fn view_spares_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let known = filled(folder.path());
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!(
        (opened.view, opened.replayed, opened.records),
        (ViewState::Used, 0, 200)
    );
    assert_eq!(histories(&ledger), known);
}

#[test]
fn deleted_view_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let known = filled(folder.path());
    fs::remove_dir_all(folder.path().join("ledger")).unwrap();
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!((opened.view, opened.replayed), (ViewState::New, 200));
    assert_eq!(histories(&ledger), known);
}

#[test]
fn what_sled_leaves_when_it_is_stopped_while_opening_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let known = filled(folder.path());
    fs::write(
        folder.path().join("ledger/pages/snap.0000000000000001.generating"),
        b"half",
    )
    .unwrap();
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!(opened.view, ViewState::Used);
    assert_eq!(histories(&ledger), known);
}

#[test]
fn any_damage_to_the_view_ends_in_the_same_answers() {
    let whole = tempfile::tempdir().unwrap();
    let known = filled(whole.path());
    let mut set_aside = 0;
    let mut names = vec!["position".to_owned()];
    for entry in fs::read_dir(whole.path().join("ledger/pages")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            names.push(format!("pages/{}", entry.file_name().to_string_lossy()));
        }
    }
    assert!(names.len() >= 3, "{names:?}");
    for name in &names {
        let length = fs::metadata(whole.path().join("ledger").join(name)).unwrap().len();
        for place in [0, length / 3, length / 2, length.saturating_sub(1)] {
            for cut in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                copy(whole.path(), folder.path());
                let file = folder.path().join("ledger").join(name);
                let mut bytes = fs::read(&file).unwrap();
                let place = usize::try_from(place).unwrap();
                if cut {
                    bytes.truncate(place);
                } else if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 0x40;
                }
                fs::write(&file, bytes).unwrap();
                let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
                assert_eq!(histories(&ledger), known, "{name} at {place}, cut: {cut}");
                set_aside += usize::from(matches!(opened.view, ViewState::SetAside { .. }));
            }
        }
    }
    assert!(set_aside > 0);
}

#[test]
fn a_view_made_anew_answers_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let known = filled(folder.path());
    let ledger = open(folder.path());
    granted(&ledger, key(4), hours(2), 776);
    assert!(!ledger.core.compact_if_sparse().unwrap(), "a small view is left alone");
    ledger.core.compact(super::view::Pace::AtOnce).unwrap();
    // Later checkpoints go on from it.
    granted(&ledger, key(5), hours(2), 777);
    close(ledger);
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!((opened.view, opened.replayed), (ViewState::Used, 0));
    for callee in [4, 5] {
        assert_eq!(history(&ledger, key(callee)).attempts.len(), 2);
    }
    assert_eq!(histories(&ledger)[6..], known[6..]);
    assert!(!folder.path().join("ledger.old").exists() && !folder.path().join("ledger.new").exists());
}

#[test]
fn making_the_view_anew_may_be_cut_off_anywhere() {
    let whole = tempfile::tempdir().unwrap();
    let known = filled(whole.path());
    // What is there beside the folders in use, by whether the old view has been renamed away and the new one has its place.
    for (in_use, beside) in [(true, "ledger.new"), (false, "ledger.new"), (true, "ledger.old")] {
        let folder = tempfile::tempdir().unwrap();
        copy(whole.path(), folder.path());
        let at = |name: &str| folder.path().join(name);
        copy(&at("ledger"), &at(beside));
        if !in_use {
            fs::rename(at("ledger"), at("ledger.old")).unwrap();
            fs::remove_file(at("ledger.new/position")).unwrap();
        }
        let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
        assert_eq!((opened.view, opened.replayed), (ViewState::Used, 0));
        assert_eq!(histories(&ledger), known);
        assert!(!at("ledger.new").exists() && !at("ledger.old").exists());
    }
}

#[test]
fn page_kept_from_an_older_checkpoint_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    granted(&ledger, key(1), hours(1), 1);
    ledger.checkpoint().unwrap();
    let old = folder.path().join("old");
    copy(&folder.path().join("ledger/pages"), &old);
    granted(&ledger, key(1), hours(2), 2);
    close(ledger);
    fs::remove_dir_all(folder.path().join("ledger/pages")).unwrap();
    fs::rename(&old, folder.path().join("ledger/pages")).unwrap();
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert!(matches!(opened.view, ViewState::SetAside { .. }), "{opened:?}");
    assert_eq!(history(&ledger, key(1)).attempts.len(), 2);
}

#[test]
fn view_ahead_of_the_journal_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    fs::remove_dir_all(folder.path().join("journal")).unwrap();
    let (ledger, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert!(matches!(opened.view, ViewState::SetAside { .. }));
    assert_eq!(ledger.records(), 0);
}

#[test]
fn only_the_newest_damaged_views_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        filled(folder.path());
        fs::write(folder.path().join("ledger/position"), b"nothing").unwrap();
    }
    open(folder.path());
    let aside = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("ledger.damaged-")
        })
        .count();
    assert_eq!(aside, 2);
}

#[test]
fn every_acknowledged_reservation_is_in_a_copy_taken_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (ledger, acknowledged) = (&ledger, &acknowledged);
        scope.spawn(move || {
            // Until the other end is dropped, also by a failure over there.
            for call in (0..).take_while(|_| stopped.try_recv() == Err(TryRecvError::Empty)) {
                let key = key(call % 300);
                if let Reserved::Granted(id) = reserve(ledger, key, hours(1), call + 1) {
                    acknowledged.lock().unwrap().push((key, id));
                    if call % 5 == 0 {
                        ledger.settle(key, id, Outcome::Failed, hours(1));
                    }
                }
                if call % 50 == 0 {
                    ledger.checkpoint().unwrap();
                }
            }
        });
        for round in 0..12 {
            let before = acknowledged.lock().unwrap().clone();
            let copied = tempfile::tempdir().unwrap();
            // The view may be torn between its files; the journal's file is only ever longer than when the copy began.
            copy(folder.path(), copied.path());
            let again = open(copied.path());
            for (key, id) in &before {
                let known = again.core.with_page(key.callee, |page| page.get(*key));
                let found = known.marks.iter().any(|mark| mark.id == id.0);
                assert!(found, "round {round}: attempt {} is missing", id.0);
            }
            let counted = (0..300).map(|callee| history(&again, key(callee)).attempts.len()).max();
            assert!(counted <= Some(4), "round {round}");
        }
        drop(stop);
    });
}

#[test]
fn failed_write_stops_acknowledgements_and_what_was_asked_still_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = EmbeddedLedger::open(Options {
        segment_bytes: 4096,
        ..options(folder.path())
    })
    .unwrap();
    granted(&ledger, key(1), hours(1), 1);
    ledger.checkpoint().unwrap();
    // The next segment has no folder to be made in.
    fs::rename(folder.path().join("journal"), folder.path().join("elsewhere")).unwrap();
    let mut failed = 0;
    for burst in 0..20 {
        let calls = 2 + burst * 100..102 + burst * 100;
        let answers: Vec<_> = calls
            .map(|call| (call, ledger.reserve(ask(key(call), hours(1), call))))
            .collect();
        for (call, answer) in answers {
            // Taken before the write failed: it may have been written all the same, so it counts. Not taken: it does not.
            let taken = matches!(answer, Answer::Later(_));
            failed += usize::from(wait(answer).is_err());
            assert_eq!(history(&ledger, key(call)).attempts.len(), usize::from(taken));
        }
    }
    assert!(failed > 0, "a write fails at the latest when the segment is full");
    assert!(ledger.health().is_err());
    assert!(matches!(
        wait(ledger.reserve(ask(key(5000), hours(1), 1))),
        Err(StoreError::Write(_))
    ));
    assert!(history(&ledger, key(5000)).attempts.is_empty());
    ledger.recover(key(5000), hours(1), meta(1));
    assert_eq!(history(&ledger, key(5000)).attempts.len(), 1);
    assert!(wait(ledger.close()).is_err());
    drop(ledger);
    fs::rename(folder.path().join("elsewhere"), folder.path().join("journal")).unwrap();
    let (again, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!(opened.absorbed, 1);
    assert_eq!(history(&again, key(5000)).attempts.len(), 1);
    close(again);
    let (again, opened) = EmbeddedLedger::open(options(folder.path())).unwrap();
    assert_eq!(opened.absorbed, 0);
    assert_eq!(history(&again, key(5000)).attempts.len(), 1);
}

#[test]
fn full_queue_leaves_no_attempt_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = EmbeddedLedger::open(Options {
        queue: 4,
        ..options(folder.path())
    })
    .unwrap();
    let answers: Vec<_> = (0..5000)
        .map(|callee| (callee, ledger.reserve(ask(key(callee), hours(1), 1))))
        .collect();
    let mut overloaded = 0;
    for (callee, answer) in answers {
        let expected = match wait(answer) {
            Ok(Reserved::Granted(_)) => 1,
            Err(StoreError::Overloaded) => {
                overloaded += 1;
                0
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(history(&ledger, key(callee)).attempts.len(), expected);
    }
    assert!(overloaded > 0);
}

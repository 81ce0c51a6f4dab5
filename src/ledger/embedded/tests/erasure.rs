//! Erasing a number.

use super::*;
use crate::journal;

/// Does any file of the store hold the number, in a record's or a row's spelling?
fn found_in_files(folder: &Path, number: E164) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in_files(&path, number));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let wanted = number.get().to_be_bytes();
        if bytes.windows(5).any(|window| window == &wanted[3..]) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn erased_number_gets_no_fifth_call_and_its_refusal_stays() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for call in 1..=3 {
        granted(&ledger, key(1), hours(1), call);
    }
    ledger.settle(key(1), granted(&ledger, key(1), hours(2), 9), Outcome::Failed, hours(2));
    granted(&ledger, key(2), hours(1), 8);
    wait(ledger.record(vec![refusal(key(3), hours(4))])).unwrap();
    ledger.checkpoint().unwrap();
    assert!(!found_in_files(folder.path(), number(1)).is_empty());

    let forgotten = wait(ledger.forget(number(1), hours(5))).unwrap();
    assert_eq!(forgotten.erased, 5);
    assert_eq!(forgotten.kept.len(), 1);
    wait(ledger.forget(number(3), hours(5))).unwrap();
    assert_eq!(ledger.records(), 1);
    assert_eq!(found_in_files(folder.path(), number(1)), Vec::<String>::new());
    assert_eq!(found_in_files(folder.path(), number(3)), Vec::<String>::new());

    let check = |ledger: &EmbeddedLedger| {
        assert_eq!(history(ledger, key(1)).attempts.as_slice(), [hours(1); 3]);
        assert_eq!(history(ledger, key(3)).refused_at, Some(hours(4)));
        assert_eq!(reserve(ledger, key(3), hours(6), 20), Reserved::Changed);
        assert_eq!(history(ledger, key(2)).attempts.len(), 1);
    };
    check(&ledger);
    close(ledger);
    check(&open(folder.path()));
    fs::remove_dir_all(folder.path().join("ledger")).unwrap();
    check(&open(folder.path()));
    let chain = EmbeddedLedger::journal_folder(folder.path());
    let chain = journal::read(&chain, 0).unwrap();
    assert!(
        chain
            .map(|stored| stored.unwrap())
            .filter(|stored| stored.body.is_none())
            .count()
            >= 6
    );
}

#[test]
fn attempts_before_and_after_an_erasure_count_together() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for call in 1..=3 {
        granted(&ledger, key(1), hours(call), call.cast_unsigned());
    }
    wait(ledger.forget(number(1), hours(5))).unwrap();
    granted(&ledger, key(1), hours(6), 10);
    assert_eq!(reserve(&ledger, key(1), hours(7), 11), Reserved::Exhausted);
    wait(ledger.forget(number(1), hours(8))).unwrap();
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [1, 2, 3, 6].map(hours));
    assert_eq!(reserve(&ledger, key(1), hours(9), 12), Reserved::Exhausted);
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(reserve(&ledger, key(1), hours(9), 13), Reserved::Exhausted);
    ledger.maintain(hours(24 * 40));
    assert!(history(&ledger, key(1)).attempts.is_empty());
}

#[test]
fn proofs_of_consent_are_kept_for_three_years_ended_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let old = hours(0) - TimeDelta::days(4 * 366);
    wait(ledger.record(vec![
        consents(key(1), consent(old, ConsentScope::Prospecting)),
        consents(key(1), consent(hours(0), ConsentScope::Prospecting)),
        consents(key(1), consent(hours(1), ConsentScope::Requested)),
    ]))
    .unwrap();
    let forgotten = wait(ledger.forget(number(1), hours(2))).unwrap();
    assert_eq!(forgotten.erased, 1);
    let texts: Vec<_> = forgotten.kept.iter().map(|(_, why)| why.as_str()).collect();
    assert!(
        texts.iter().any(|why| why.contains("R.223-2")) && texts.iter().any(|why| why.contains("R.223-4")),
        "{texts:?}"
    );
    let check = |ledger: &EmbeddedLedger| {
        let consents = history(ledger, key(1)).consents;
        assert_eq!(consents.len(), 2);
        assert!(consents.iter().all(|consent| consent.withdrawn_at == Some(hours(2))));
    };
    check(&ledger);
    drop(ledger);
    fs::remove_dir_all(folder.path().join("ledger")).unwrap();
    check(&open(folder.path()));
}

#[test]
fn erasure_stopped_half_way_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    granted(&ledger, key(1), hours(1), 1);
    close(ledger);
    let asked = format!("{} {}\n", number(1).get(), hours(2).timestamp());
    fs::write(folder.path().join("erasing"), asked).unwrap();
    let ledger = open(folder.path());
    assert_eq!(ledger.records(), 0);
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [hours(1)]);
    assert!(!folder.path().join("erasing").exists());
    assert_eq!(found_in_files(folder.path(), number(1)), Vec::<String>::new());
}

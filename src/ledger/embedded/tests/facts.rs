//! Recording facts: refusals, consents, contracts, imports, what stands.

use chrono::NaiveDate;

use super::*;
use crate::ledger::{OwnedRange, Suspended, Suspension};
use crate::rules::Contract;

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 6, day).unwrap()
}

fn contract(until: Option<NaiveDate>) -> Entry {
    Entry::Contract {
        key: key(1),
        contract: Contract {
            reference: "C-1".into(),
            from: day(1),
            until,
        },
    }
}

fn range(until: Option<NaiveDate>) -> Entry {
    Entry::Range(OwnedRange {
        first: number(10),
        last: number(19),
        professional: "acme".into(),
        from: day(1),
        until,
    })
}

fn suspension(suspended: bool) -> Entry {
    Entry::Suspension(Suspension {
        what: Suspended::Source,
        id: "bpo-lyon".into(),
        suspended,
    })
}

fn everything() -> Vec<Entry> {
    vec![
        refusal(key(1), hours(1)),
        consents(key(1), consent(hours(2), ConsentScope::Prospecting)),
        contract(None),
        imported(key(1), hours(3), Outcome::Answered),
        imported(key(1), hours(4), Outcome::Failed),
        range(None),
        suspension(true),
        Entry::Screening {
            list: "bloctel".into(),
            siren: None,
            day: day(2),
            numbers: 10,
            opposed: 2,
            sha256: [7; 32],
        },
        Entry::Configuration {
            what: "law".into(),
            sha256: [9; 32],
        },
    ]
}

#[test]
fn the_same_entry_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    assert_eq!(wait(ledger.record(everything())), Ok(Recorded { new: 9, known: 0 }));
    let known = history(&ledger, key(1));
    assert_eq!(known.attempts.as_slice(), [hours(3)]);
    assert_eq!(known.refused_at, Some(hours(1)));
    assert_eq!((known.consents.len(), known.contracts.len()), (1, 1));
    assert_eq!(wait(ledger.record(everything())), Ok(Recorded { new: 0, known: 9 }));
    assert_eq!(history(&ledger, key(1)), known);
    let standing = ledger.standing();
    assert_eq!((standing.ranges.len(), standing.suspensions.len()), (1, 1));
    close(ledger);
    let again = open(folder.path());
    assert_eq!(history(&again, key(1)), known);
    assert_eq!(again.standing(), standing);
    assert_eq!(wait(again.record(everything())), Ok(Recorded { new: 0, known: 9 }));
}

#[test]
fn withdrawal_and_use_mark_the_consent_and_nothing_takes_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let given = consent(hours(1), ConsentScope::Prospecting);
    let withdrawn = Consent {
        withdrawn_at: Some(hours(5)),
        ..given.clone()
    };
    wait(ledger.record(vec![consents(key(1), given.clone())])).unwrap();
    wait(ledger.record(vec![consents(key(1), withdrawn)])).unwrap();
    wait(ledger.record(vec![consents(key(1), given)])).unwrap();
    assert_eq!(history(&ledger, key(1)).consents[0].withdrawn_at, Some(hours(5)));
    let slot = |from| Consent {
        slot: Some((hours(from), hours(from + 1))),
        ..consent(hours(1), ConsentScope::Hours)
    };
    let used = Entry::ConsentUsed {
        key: key(2),
        given_at: hours(1),
        scope: ConsentScope::Hours,
        at: hours(20),
    };
    wait(ledger.record(vec![consents(key(2), slot(10)), consents(key(2), slot(20)), used])).unwrap();
    let uses: Vec<_> = history(&ledger, key(2))
        .consents
        .iter()
        .map(|slot| slot.used_at)
        .collect();
    assert_eq!(uses, [None, Some(hours(20))]);
}

#[test]
fn older_refusal_does_not_replace_the_newer() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let all = [5, 1, 2, 3, 4, 6].map(|hour| refusal(key(1), hours(hour)));
    wait(ledger.record(all.to_vec())).unwrap();
    assert_eq!(history(&ledger, key(1)).refused_at, Some(hours(6)));
}

#[test]
fn ranges_end_and_suspensions_are_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    wait(ledger.record(vec![range(None), suspension(true)])).unwrap();
    wait(ledger.record(vec![range(Some(day(20))), suspension(false)])).unwrap();
    let standing = ledger.standing();
    assert_eq!(standing.ranges[0].until, Some(day(20)));
    assert!(standing.suspensions.is_empty());
    drop(ledger);
    assert_eq!(open(folder.path()).standing(), standing);
}

#[test]
fn large_import_holds_whole_beside_calls_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let entries = || {
        let refusals = (0..9_000).map(|callee| refusal(key(callee), hours(1)));
        let attempts = (0..9_000).map(|callee| imported(key(callee), hours(2), Outcome::Busy));
        refusals.chain(attempts).chain([range(None)]).collect::<Vec<_>>()
    };
    let answer = ledger.record(entries());
    for callee in 0..500 {
        // Granted before the import holds, `Changed` after.
        wait(ledger.reserve(ask(key(callee), hours(3), callee + 1))).unwrap();
    }
    assert_eq!(wait(answer), Ok(Recorded { new: 18_001, known: 0 }));
    assert_eq!(wait(ledger.record(entries())), Ok(Recorded { new: 0, known: 18_001 }));
    let before: Vec<_> = (0..9_000).map(|callee| history(&ledger, key(callee))).collect();
    assert!(
        before
            .iter()
            .all(|known| known.refused_at == Some(hours(1)) && known.attempts.contains(&hours(2)))
    );
    drop(ledger);
    let again = open(folder.path());
    let after: Vec<_> = (0..9_000).map(|callee| history(&again, key(callee))).collect();
    assert_eq!(before, after);
    assert_eq!(again.standing().ranges.len(), 1);
}

#[test]
fn import_without_its_last_record_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let part = |callee, last| {
        let entry = refusal(key(callee), hours(1));
        let (kind, siren, body) = crate::ledger::body::entry(&entry, Some(crate::ledger::body::Import { id: 5, last }));
        Draft {
            kind,
            at: hours(1),
            siren,
            body,
        }
    };
    let pending = ledger
        .core
        .append(Class::Binding, vec![part(1, false), part(2, false)])
        .unwrap();
    wait(Answer::Later(Box::pin(async move {
        pending.await.map_err(StoreError::from)
    })))
    .unwrap();
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(ledger.records(), 0);
    let pending = ledger.core.append(Class::Binding, vec![part(3, true)]).unwrap();
    wait(Answer::Later(Box::pin(async move {
        pending.await.map_err(StoreError::from)
    })))
    .unwrap();
    drop(ledger);
    assert_eq!(open(folder.path()).records(), 3);
}

//! Reserving and settling.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::journal;
use crate::ledger::body::{self, Record};

#[test]
fn fifth_call_within_thirty_days_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for call in 1..=4 {
        granted(&ledger, key(1), hours(call), call.cast_unsigned());
    }
    assert_eq!(reserve(&ledger, key(1), hours(5), 5), Reserved::Exhausted);
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [1, 2, 3, 4].map(hours));
    granted(&ledger, key(2), hours(5), 6);
    granted(&ledger, key(1), hours(1) + TimeDelta::days(30), 7);
}

#[test]
fn refusal_by_the_condition_is_ready_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for call in 1..=4 {
        granted(&ledger, key(1), hours(1), call);
    }
    assert!(matches!(
        ledger.reserve(ask(key(1), hours(2), 9)),
        Answer::Ready(Ok(Reserved::Exhausted))
    ));
    wait(ledger.record(vec![refusal(key(2), hours(1))])).unwrap();
    assert!(matches!(
        ledger.reserve(ask(key(2), hours(2), 10)),
        Answer::Ready(Ok(Reserved::Changed))
    ));
    let informed = ReserveIf {
        refusal_known: Some(hours(1)),
        ..ask(key(2), hours(2), 10)
    };
    assert!(matches!(wait(ledger.reserve(informed)), Ok(Reserved::Granted(_))));
}

#[test]
fn observed_calls_are_granted_beyond_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for call in 1..=9 {
        let free = ReserveIf {
            limit: None,
            ..ask(key(1), hours(1), call)
        };
        assert!(matches!(wait(ledger.reserve(free)), Ok(Reserved::Granted(_))));
    }
    assert_eq!(history(&ledger, key(1)).attempts.len(), 9);
}

#[test]
fn failed_call_gives_its_attempt_back_and_a_late_answer_counts_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let id = granted(&ledger, key(1), hours(1), 1);
    ledger.settle(key(1), id, Outcome::Failed, hours(1));
    assert!(history(&ledger, key(1)).attempts.is_empty());
    for call in 2..=5 {
        granted(&ledger, key(1), hours(2), call);
    }
    ledger.settle(key(1), id, Outcome::Answered, hours(1) + TimeDelta::seconds(200));
    assert_eq!(history(&ledger, key(1)).attempts.len(), 5);
    close(ledger);
    assert_eq!(history(&open(folder.path()), key(1)).attempts.len(), 5);
}

#[test]
fn same_call_holds_one_attempt_until_its_settlement_is_long_past() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let id = granted(&ledger, key(1), hours(1), 77);
    assert_eq!(granted(&ledger, key(1), hours(1), 77), id);
    ledger.settle(key(1), id, Outcome::Busy, hours(1));
    let later = hours(1) + TimeDelta::seconds(32);
    assert_eq!(granted(&ledger, key(1), later, 77), id);
    ledger.settle(key(1), id, Outcome::Busy, later);
    assert_ne!(granted(&ledger, key(1), later + TimeDelta::seconds(1), 77), id);
    assert_eq!(history(&ledger, key(1)).attempts.len(), 2);
}

#[test]
fn call_repeated_after_an_authentication_challenge_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let id = granted(&ledger, key(1), hours(1), 77);
    ledger.settle(key(1), id, Outcome::Failed, hours(1));
    let again = granted(&ledger, key(1), hours(1), 77);
    assert_ne!(again, id);
    assert_eq!(history(&ledger, key(1)).attempts.len(), 1);
}

#[test]
fn threads_racing_for_the_last_attempt_get_it_once() {
    const THREADS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for round in 0..50 {
        for call in 1..=3 {
            granted(&ledger, key(round), hours(1), call);
        }
        let (start, wins) = (Barrier::new(THREADS), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (ledger, start, wins) = (&ledger, &start, &wins);
                scope.spawn(move || {
                    start.wait();
                    if let Reserved::Granted(_) = reserve(ledger, key(round), hours(2), 100 + thread as u64) {
                        wins.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(wins.into_inner(), 1, "round {round}");
    }
}

#[test]
fn reservation_and_settlement_are_in_the_journal_with_all_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let id = granted(&ledger, key(1), hours(1), 7);
    ledger.settle(key(1), id, Outcome::NoAnswer, hours(1));
    close(ledger);
    let records: Vec<_> = journal::read(&EmbeddedLedger::journal_folder(folder.path()), 0)
        .unwrap()
        .map(|stored| stored.unwrap())
        .collect();
    assert_eq!(records[0].siren, 552_100_554);
    assert_eq!(records[0].at, hours(1));
    let reservation = Record::Reservation {
        key: key(1),
        meta: meta(7),
    };
    assert_eq!(body::read(&records[0]), Ok(reservation));
    let outcome = Outcome::NoAnswer;
    assert_eq!(
        body::read(&records[1]),
        Ok(Record::Settlement {
            trunk: None,
            key: key(1),
            id,
            outcome
        })
    );
}

#[test]
fn identical_decisions_within_a_minute_are_one_counted_record() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let note = |seconds| DecisionNote {
        at: moment() + TimeDelta::seconds(seconds),
        siren: Some(Siren(552_100_554)),
        callee: Some(number(1)),
        caller: None,
        via: Via::default(),
        regime: None,
        reasons: vec![crate::rules::Reason::HoursDay],
        observed: false,
    };
    for second in [0, 10, 59, 61] {
        ledger.note_decision(note(second));
    }
    close(ledger);
    let records: Vec<_> = journal::read(&EmbeddedLedger::journal_folder(folder.path()), 0)
        .unwrap()
        .map(|stored| body::read(&stored.unwrap()).unwrap())
        .collect();
    let decision = |first, count, last| Record::Decision {
        note: note(first),
        count,
        last: note(last).at,
    };
    assert_eq!(records, [decision(0, 3, 59), decision(61, 1, 61)]);
}

#[test]
fn flood_of_different_decisions_is_shed_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for callee in 0..20_000 {
        ledger.note_decision(DecisionNote {
            at: moment(),
            siren: None,
            callee: Some(number(callee)),
            caller: None,
            via: Via::default(),
            regime: None,
            reasons: Vec::new(),
            observed: false,
        });
    }
    assert_eq!(ledger.shed_notes(), 20_000 - 8192);
    granted(&ledger, key(1), hours(1), 1);
}

#[test]
fn recovered_call_counts_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    ledger.recover(key(1), hours(1), meta(1));
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [hours(1)]);
    close(ledger);
    assert_eq!(history(&open(folder.path()), key(1)).attempts.as_slice(), [hours(1)]);
}

#[test]
fn a_call_that_went_without_its_reservation_counts_once_when_that_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let late = ledger.reserve(ask(key(1), hours(1), 7));
    ledger.recover(key(1), hours(1), meta(7));
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [hours(1)]);
    let Ok(Reserved::Granted(id)) = wait(late) else {
        panic!("the journal takes it");
    };
    ledger.settle(key(1), id, Outcome::Unsent, hours(1));
    assert_eq!(history(&ledger, key(1)).attempts.as_slice(), [hours(1)]);
    close(ledger);
    assert_eq!(history(&open(folder.path()), key(1)).attempts.as_slice(), [hours(1)]);
}

#[test]
fn closed_store_reserves_nothing_and_can_be_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    wait(ledger.close()).unwrap();
    assert!(matches!(
        wait(ledger.reserve(ask(key(1), hours(1), 1))),
        Err(StoreError::Closed)
    ));
    assert_eq!(
        wait(ledger.record(vec![refusal(key(1), hours(1))])),
        Err(StoreError::Closed)
    );
    assert!(ledger.health().is_err());
    drop(ledger);
    granted(&open(folder.path()), key(1), hours(1), 1);
}

#[test]
fn attempts_expire_and_refusals_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    granted(&ledger, key(1), hours(0), 1);
    granted(&ledger, key(2), hours(0), 2);
    wait(ledger.record(vec![
        refusal(key(2), hours(0)),
        imported(key(3), hours(0), Outcome::Busy),
    ]))
    .unwrap();
    assert_eq!(ledger.records(), 3);
    ledger.maintain(hours(35 * 24));
    assert_eq!(ledger.records(), 3);
    ledger.maintain(hours(35 * 24) + TimeDelta::seconds(1));
    assert_eq!(ledger.records(), 1);
    let left = history(&ledger, key(2));
    assert_eq!((left.attempts.len(), left.refused_at), (0, Some(hours(0))));
    ledger.maintain(hours(24 * 365 * 20));
    assert_eq!(history(&ledger, key(2)).refused_at, Some(hours(0)));
}

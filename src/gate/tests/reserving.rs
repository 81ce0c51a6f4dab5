//! Reserved, settled, given back, counted late, consumed.

use super::*;
use crate::ledger::{AttemptId, Entry, Outcome, Reserved};
use crate::rules::Reason::{ConsentMissing, ExemptRequested, FrequencyExhausted, HoursWindow, RefusalActive};
use crate::rules::{Consent, ConsentScope};

#[test]
fn an_allowed_call_is_reserved_with_all_that_the_journal_keeps() {
    let world = World::new();
    let asked = Question { call: 7, ..ordinary() };
    let decision = world.admit(&asked, OPEN);
    assert!(decision.forwards() && decision.text.is_none());
    let reservation = decision.reservation.unwrap();
    let kept = world.store.lock().reserved[0].ask.clone();
    assert_eq!((kept.key, kept.at), (key(ACME_SIREN), at(OPEN)));
    assert_eq!(kept.limit, Some((4, at("2023-05-07T22:00:00Z"))));
    assert_eq!(kept.meta.caller, Some(number(ACME)));
    assert_eq!(kept.meta.regime.as_deref(), Some("fr-2023-03"));
    assert_eq!(kept.meta.zone.as_deref(), Some("Europe/Paris"));
    assert_eq!(kept.meta.via.source.as_deref(), Some("bpo"));
    assert_eq!(kept.meta.via.professional.as_deref(), Some("acme"));
    assert_eq!(
        (kept.meta.reason, kept.meta.evidence, kept.meta.call, kept.meta.observed),
        (None, None, 7, false)
    );
    reservation.settle(Outcome::Busy, at(OPEN));
    drop(reservation);
    assert_eq!(world.store.lock().reserved[0].outcomes, [Outcome::Busy]);
}

#[test]
fn fifth_call_within_thirty_days_is_refused_whichever_id_it_shows() {
    let world = World::new();
    for (day, caller) in [("01", ACME), ("02", ACME + 150), ("05", ACME), ("06", ACME + 150)] {
        let decision = world.admit(&question(BPO, caller), &format!("2023-06-{day}T09:00:00Z"));
        decision.reservation.unwrap().settle(Outcome::NoAnswer, at(OPEN));
    }
    let fifth = world.admit(&question(MULTI, ACME), "2023-06-07T09:00:00Z");
    refused(&fifth, FrequencyExhausted);
    assert_eq!(
        fifth.text.as_deref(),
        Some("4 of 4 calls since 2023-05-09; next 2023-07-03T10:00:00+02:00")
    );
    assert!(
        world.admit(&question(MULTI, BETA), "2023-06-07T09:00:00Z").forwards(),
        "another professional's"
    );
}

#[test]
fn what_could_not_be_presented_is_given_back_and_what_nobody_settles_counts() {
    let world = World::new();
    for outcome in [Outcome::Failed, Outcome::Unsent] {
        for _ in 0..5 {
            let reservation = world.admit(&ordinary(), OPEN).reservation.unwrap();
            reservation.settle(outcome, at(OPEN));
        }
    }
    for left in (1..=4).rev() {
        let decision = world.admit(&ordinary(), OPEN);
        assert_eq!(decision.verdict.attempts_left, Some(left));
        drop(decision);
    }
    refused(&world.admit(&ordinary(), OPEN), FrequencyExhausted);
    assert_eq!(world.store.lock().reserved[10].outcomes, [Outcome::Abandoned]);
    assert_eq!(world.metrics.attempts.with_label_values(&["abandoned"]).get(), 4);
    assert_eq!(world.metrics.attempts.with_label_values(&["failed"]).get(), 5);
}

#[test]
fn a_late_answer_counts_the_call_again_even_beyond_the_maximum() {
    let world = World::new();
    let failed = world.admit(&ordinary(), OPEN).reservation.unwrap();
    failed.settle(Outcome::Failed, at(OPEN));
    let four: Vec<_> = (0..4)
        .map(|_| world.admit(&ordinary(), OPEN).reservation.unwrap())
        .collect();
    let alarm = logged(|| failed.settle(Outcome::Answered, at(OPEN)));
    assert_eq!(world.store.lock().counted(key(ACME_SIREN)).len(), 5);
    assert!(
        alarm.contains("WARN") && alarm.contains("beyond the maximum"),
        "{alarm}"
    );
    assert!(!alarm.contains(&CALLEE.to_string()), "{alarm}");
    drop((failed, four));
    assert_eq!(
        world.store.lock().reserved[0].outcomes,
        [Outcome::Failed, Outcome::Answered]
    );
}

#[test]
fn the_same_outcome_again_changes_nothing_and_nothing_gives_an_answered_call_back() {
    let world = World::new();
    let reservation = world.admit(&ordinary(), OPEN).reservation.unwrap();
    for outcome in [
        Outcome::Rejected,
        Outcome::Rejected,
        Outcome::Answered,
        Outcome::Failed,
        Outcome::Answered,
    ] {
        reservation.settle(outcome, at(OPEN));
    }
    assert_eq!(
        world.store.lock().reserved[0].outcomes,
        [Outcome::Rejected, Outcome::Answered]
    );
    assert_eq!(world.metrics.attempts.with_label_values(&["answered"]).get(), 1);
}

#[test]
fn an_observed_violation_goes_is_reserved_whatever_the_count_and_says_so() {
    let world = World::new();
    let watched = question(WATCHED, GAMMA);
    let mut kept = Vec::new();
    for _ in 0..6 {
        let decision = world.admit(&watched, LUNCH);
        assert!(!decision.verdict.allowed && !decision.enforced && decision.forwards());
        assert_eq!(decision.verdict.reason, Some(HoursWindow));
        assert!(decision.text.is_none());
        kept.push(decision.reservation.unwrap());
    }
    let reserved = world.store.lock().reserved[5].ask.clone();
    assert_eq!((reserved.limit, reserved.meta.observed), (None, true));
    assert_eq!(reserved.meta.reason, Some(HoursWindow));
    assert_eq!(world.store.lock().notes.len(), 6);
    // What it may do is judged as for anybody.
    let seventh = world.admit(&watched, OPEN);
    assert_eq!(
        (seventh.verdict.reason, seventh.forwards()),
        (Some(FrequencyExhausted), true)
    );
}

#[test]
fn an_answered_call_uses_up_the_request_that_let_it_go_and_cites_it() {
    let world = World::new();
    let request = Consent {
        scope: ConsentScope::Requested,
        given_at: at("2026-09-02T10:00:00Z"),
        expires: None,
        slot: None,
        withdrawn_at: None,
        used_at: None,
        evidence: "form-17".into(),
    };
    world
        .store
        .lock()
        .histories
        .entry(key(ACME_SIREN))
        .or_default()
        .consents = vec![request.clone()];
    let now = "2026-09-04T18:30:00Z"; // after eight
    let unanswered = world.admit(&ordinary(), now);
    assert_eq!(unanswered.verdict.reason, Some(ExemptRequested));
    unanswered.reservation.unwrap().settle(Outcome::NoAnswer, at(now));
    assert!(world.store.lock().recorded.is_empty());
    let reservation = world.admit(&ordinary(), now).reservation.unwrap();
    assert_eq!(
        world.store.lock().reserved[1].ask.meta.evidence.as_deref(),
        Some("form-17")
    );
    assert_eq!(world.store.lock().reserved[1].ask.meta.reason, Some(ExemptRequested));
    reservation.settle(Outcome::Answered, at(now));
    reservation.settle(Outcome::Answered, at(now));
    let used = Entry::ConsentUsed {
        key: key(ACME_SIREN),
        given_at: request.given_at,
        scope: ConsentScope::Requested,
        at: at(now),
    };
    assert_eq!(world.store.lock().recorded, [used]);
}

#[test]
fn asking_reserves_and_notes_nothing() {
    let world = World::new();
    for (now, allowed) in [(OPEN, true), (LUNCH, false)] {
        let decision = ready(world.gate.ask(&ordinary(), at(now)));
        assert_eq!(decision.verdict.allowed, allowed);
        assert!(decision.reservation.is_none());
    }
    let store = world.store.lock();
    assert!(store.reserved.is_empty() && store.notes.is_empty());
}

#[test]
fn a_refusal_that_arrives_in_between_is_judged_anew() {
    let world = World::new();
    world.store.lock().refusal_in_between = Some(at("2023-06-06T08:59:59Z"));
    refused(&world.admit(&ordinary(), OPEN), RefusalActive);
    assert!(world.store.lock().reserved.is_empty());
}

#[test]
fn an_attempt_held_since_before_a_crash_is_not_given_back_by_the_call_s_repetition() {
    let world = World::new();
    let first = world.admit(&ordinary(), OPEN).reservation.unwrap();
    first.settle(Outcome::NoAnswer, at(OPEN));
    for outcome in [Outcome::Unsent, Outcome::Failed] {
        world.store.lock().next = vec![Reserved::Held(AttemptId(1))];
        let again = world.admit(&ordinary(), OPEN).reservation.unwrap();
        again.settle(outcome, at(OPEN));
        drop(again);
    }
    assert_eq!(world.store.lock().reserved[0].outcomes, [Outcome::NoAnswer]);
    world.store.lock().next = vec![Reserved::Held(AttemptId(1))];
    let again = world.admit(&ordinary(), OPEN).reservation.unwrap();
    again.settle(Outcome::Answered, at(OPEN));
    assert_eq!(
        world.store.lock().reserved[0].outcomes,
        [Outcome::NoAnswer, Outcome::Answered]
    );
}

#[test]
fn a_count_that_the_history_does_not_show_is_answered_all_the_same() {
    let world = World::new();
    world.store.lock().next = vec![Reserved::Exhausted; 3];
    assert!(world.admit(&ordinary(), OPEN).forwards(), "judged anew until it fits");
    world.store.lock().next = vec![Reserved::Exhausted; 50];
    let decision = world.admit(&ordinary(), OPEN);
    refused(&decision, FrequencyExhausted);
    assert_eq!(decision.verdict.attempts_left, Some(0));
    world.store.lock().next = vec![Reserved::Changed; 50];
    refused(&world.admit(&ordinary(), OPEN), Reason::StoreUnavailable);
}

#[test]
fn the_invite_repeated_within_one_call_holds_the_same_attempt() {
    let world = World::new();
    let call = |call| Question { call, ..ordinary() };
    for other in 1..=3 {
        let reservation = world.admit(&call(other), OPEN).reservation.unwrap();
        reservation.settle(Outcome::NoAnswer, at(OPEN));
    }
    let first = world.admit(&call(9), OPEN).reservation.unwrap();
    let again = world.admit(&call(9), OPEN);
    assert_eq!(
        again.verdict.attempts_left,
        Some(1),
        "its own attempt does not count against it"
    );
    assert!(Arc::ptr_eq(&first, again.reservation.as_ref().unwrap()));
    refused(&world.admit(&call(10), OPEN), FrequencyExhausted);
    assert_eq!(world.store.lock().reserved.len(), 4);
    // Challenged, it gives its attempt back, and the INVITE with credentials takes one.
    first.settle(Outcome::Failed, at(OPEN));
    let authorized = world.admit(&call(9), OPEN).reservation.unwrap();
    assert!(!Arc::ptr_eq(&first, &authorized));
    drop((first, again));
    // Once over, the call is over: another INVITE with its Call-ID is another call.
    authorized.settle(Outcome::Answered, at(OPEN));
    refused(&world.admit(&call(9), OPEN), FrequencyExhausted);
    drop(authorized);
    assert!(world.gate.core.calls.is_empty());
}

#[test]
fn consent_missing_is_never_reserved() {
    let world = World::new();
    refused(&world.admit(&ordinary(), "2026-09-01T09:00:00Z"), ConsentMissing);
    assert!(world.store.lock().reserved.is_empty());
}

#[test]
fn a_late_answer_within_the_maximum_is_no_alarm() {
    let world = World::new();
    let failed = world.admit(&ordinary(), OPEN).reservation.unwrap();
    failed.settle(Outcome::Failed, at(OPEN));
    assert_eq!(logged(|| failed.settle(Outcome::NoAnswer, at(OPEN))), "");
    assert_eq!(world.store.lock().counted(key(ACME_SIREN)).len(), 1);
}

/// What the work logs.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, work);
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

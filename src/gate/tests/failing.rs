//! The store fails, or answers too late.

use super::*;
use crate::ledger::Outcome;
use crate::rules::Reason::{CallerIdNotNpv, HoursWindow, StoreUnavailable};

const FORWARD: OnStoreFailure = OnStoreFailure::Forward;
const REFUSE: OnStoreFailure = OnStoreFailure::Refuse;

#[test]
fn without_the_store_canvassing_is_refused_where_the_policy_says_so() {
    let world = World::with(StoreMode::Failing, REFUSE);
    refused(&world.admit(&ordinary(), OPEN), StoreUnavailable);
    // What no record could lift answers first.
    let shown = world.admit(&question(BPO, 33_142_345_678), OPEN);
    refused(&shown, CallerIdNotNpv);
    assert_eq!(shown.verdict.reasons.as_slice(), [CallerIdNotNpv, StoreUnavailable]);
    // Hours may be lifted by a consent that nobody can look up now.
    refused(&world.admit(&ordinary(), LUNCH), StoreUnavailable);
    assert!(world.store.lock().recovered.is_empty());
    assert_eq!(world.invites(["bpo", "acme", "refuse", "store.unavailable"]), 2);
}

#[test]
fn without_the_store_canvassing_is_forwarded_and_kept_where_the_policy_says_so() {
    let world = World::with(StoreMode::Failing, FORWARD);
    for now in [OPEN, "2026-09-01T09:00:00Z"] {
        let decision = world.admit(&ordinary(), now);
        assert!(decision.verdict.allowed && decision.reservation.is_none(), "{now}");
        assert!(
            decision.verdict.valid_until.is_some_and(|until| until > at(now)),
            "the window still closes"
        );
    }
    let recovered = world.store.lock().recovered.clone();
    assert_eq!(recovered.len(), 2);
    assert_eq!((recovered[0].0, recovered[0].1.observed), (key(ACME_SIREN), false));
    // What is known without the store holds.
    refused(&world.admit(&ordinary(), LUNCH), HoursWindow);
    refused(&world.admit(&question(BPO, 33_142_345_678), OPEN), CallerIdNotNpv);
    assert_eq!(world.store.lock().recovered.len(), 2);
}

#[test]
fn observed_calls_always_go() {
    for policy in [REFUSE, FORWARD] {
        for now in [OPEN, LUNCH] {
            let world = World::with(StoreMode::Failing, policy);
            let decision = world.admit(&question(WATCHED, GAMMA), now);
            assert!(decision.forwards() && decision.reservation.is_none());
            assert_eq!(world.store.lock().recovered.len(), 1, "{policy:?} {now}");
        }
    }
}

#[test]
fn asking_without_the_store_recovers_nothing() {
    let world = World::with(StoreMode::Failing, FORWARD);
    assert!(ready(world.gate.ask(&ordinary(), at(OPEN))).forwards());
    assert!(world.store.lock().recovered.is_empty());
}

#[tokio::test]
async fn a_store_that_answers_in_time_is_waited_for() {
    let world = World::with(StoreMode::Late, REFUSE);
    let Answer::Later(later) = world.gate.admit(&ordinary(), at(OPEN)) else {
        panic!("the store is late");
    };
    let (decision, ()) = tokio::join!(later, async { world.store.go_on() });
    assert!(decision.forwards() && decision.reservation.is_some());
    assert_eq!(world.invites(["bpo", "acme", "allow", "none"]), 1);
    assert_eq!(world.metrics.reserve_seconds.get_sample_count(), 1);
}

#[tokio::test]
async fn what_a_late_store_grants_is_released_and_counts_nothing() {
    let world = World::with(StoreMode::Late, REFUSE);
    let within = Duration::from_millis(10);
    let world = world.answering_within(within);
    let before = std::time::Instant::now();
    let decision = world.gate.admit(&ordinary(), at(OPEN)).wait().await;
    refused(&decision, StoreUnavailable);
    assert!(before.elapsed() >= within);
    assert_eq!(
        world.store.lock().counted(key(ACME_SIREN)).len(),
        1,
        "until the store answers"
    );
    world.store.go_on();
    while world.store.lock().reserved[0].outcomes.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.store.lock().reserved[0].outcomes, [Outcome::Unsent]);
    assert!(world.store.lock().counted(key(ACME_SIREN)).is_empty());
    assert_eq!(world.invites(["bpo", "acme", "refuse", "store.unavailable"]), 1);
}

#[tokio::test]
async fn a_call_forwarded_without_a_late_store_stands_as_one_attempt() {
    let world = World::with(StoreMode::Late, FORWARD).answering_within(Duration::from_millis(10));
    let decision = world.gate.admit(&ordinary(), at(OPEN)).wait().await;
    assert!(decision.verdict.allowed && decision.reservation.is_none());
    world.store.go_on();
    while world.store.lock().reserved[0].outcomes.is_empty() {
        tokio::task::yield_now().await;
    }
    let store = world.store.lock();
    assert_eq!(store.recovered.len(), 1, "the recovered attempt stands");
    assert_eq!(
        store.reserved[0].outcomes,
        [Outcome::Unsent],
        "the late one is released"
    );
    assert!(store.counted(key(ACME_SIREN)).is_empty());
}

#[tokio::test]
async fn refusals_never_wait_for_a_late_store() {
    let world = World::with(StoreMode::Late, REFUSE);
    refused(&world.admit(&ordinary(), LUNCH), HoursWindow);
}

#[test]
fn a_question_whose_answer_was_lost_gets_the_answer_without_the_store() {
    let world = World::with(StoreMode::Ready, REFUSE);
    refused(&world.gate.without_store(&ordinary(), at(OPEN)), StoreUnavailable);
    let abroad = Question {
        callee: Callee::Number(Number::E164(number(442_071_234_567))),
        ..ordinary()
    };
    assert!(
        world.gate.without_store(&abroad, at(OPEN)).forwards(),
        "other calls always flow"
    );
}

//! From one trunk to the next: when, when not, and that it stays one call and one attempt.

use std::time::Duration;

use clapet::ledger::Outcome;

use crate::seconds;
use crate::support::gate::Say;
use crate::support::network::Down;
use crate::support::ua::Script;
use crate::support::world::{PBX, Setup, TRUNK_A, TRUNK_B, World};

#[test]
fn a_503_moves_the_call_to_the_next_trunk() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(50, 503)]);
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!((world.invites(TRUNK_A), world.invites(TRUNK_B)), (1, 1));
    assert!(world.ends[TRUNK_A].served[0].acked);
    assert_eq!(world.gate.asked.len(), 1, "one call, one question");
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Answered));
    world.run_out_and_leave_nothing();
}

#[test]
fn a_silent_trunk_is_left_at_timer_b() {
    let mut world = World::new();
    let trunk = world.ends[TRUNK_A].address;
    world.network.set_down(trunk, Down::Silent);
    let client = world.call();
    world.run(seconds(31));
    let copies = world
        .sent_to(TRUNK_A)
        .iter()
        .filter(|line| line.starts_with("INVITE"))
        .count();
    assert_eq!(copies, 6, "timer A: at 0, 0.5, 1.5, 3.5, 7.5 and 15.5 seconds");
    assert_eq!(world.invites(TRUNK_B), 0);
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.invites(TRUNK_B), 1);
    assert_eq!(world.gate.asked.len(), 1);
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Answered));
    world.run_out_and_leave_nothing();
}

#[test]
fn an_unreachable_trunk_is_left_at_once() {
    let mut world = World::new();
    let trunk = world.ends[TRUNK_A].address;
    world.network.set_down(trunk, Down::Unreachable);
    let client = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.sent_to(TRUNK_A).len(), 1);
    assert_eq!(world.gate.asked.len(), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_503_of_the_last_trunk_becomes_500() {
    let mut world = World::new();
    for trunk in [TRUNK_A, TRUNK_B] {
        world.ends[trunk].script = Script::of(&[(50, 503)]);
    }
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [500], "RFC 3261 §16.7 6");
    assert_eq!(
        world.outcomes(0),
        [Outcome::Failed],
        "could not be presented: given back, once"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn silence_of_every_trunk_gives_408_and_the_attempt_back() {
    let mut world = World::new();
    for trunk in [TRUNK_A, TRUNK_B] {
        let address = world.ends[trunk].address;
        world.network.set_down(address, Down::Silent);
    }
    let client = world.call();
    world.run(seconds(70));
    assert_eq!(world.statuses(client), [408]);
    assert_eq!(
        world.outcomes(0),
        [Outcome::Failed],
        "nothing at all, not even a 100, until timer B"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn every_trunk_unreachable_gives_500_and_the_attempt_back() {
    let mut world = World::new();
    for trunk in [TRUNK_A, TRUNK_B] {
        let address = world.ends[trunk].address;
        world.network.set_down(address, Down::Unreachable);
    }
    let client = world.call();
    world.run(seconds(2));
    assert_eq!(world.statuses(client), [500]);
    assert_eq!(world.outcomes(0), [Outcome::Failed]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_trunk_that_has_rung_is_not_left() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (50, 180), (500, 503)]);
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(
        world.invites(TRUNK_B),
        0,
        "the callee's telephone has rung: a second branch would be a second call"
    );
    assert_eq!(world.statuses(client), [500]);
    let outcomes = world.outcomes(0);
    assert!(outcomes.last().is_some_and(|outcome| outcome.counts()), "{outcomes:?}");
    world.run_out_and_leave_nothing();
}

#[test]
fn no_branch_starts_after_the_window_has_closed() {
    let mut world = World::new();
    world.gate.say = Say::AllowFor(Duration::from_secs(20));
    let trunk = world.ends[TRUNK_A].address;
    world.network.set_down(trunk, Down::Silent);
    let client = world.call();
    world.run(seconds(60));
    assert_eq!(world.invites(TRUNK_B), 0);
    let statuses = world.statuses(client);
    assert_eq!(statuses.len(), 1);
    assert!(statuses[0] >= 400, "{statuses:?}");
    assert_eq!(world.outcomes(0), [Outcome::Failed]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_decision_that_has_lapsed_starts_no_branch_at_all() {
    let mut world = World::new();
    world.gate.say = Say::AllowFor(Duration::from_secs(1));
    world.gate.after = seconds(2);
    let client = world.call();
    world.run(seconds(10));
    assert_eq!(world.invites(TRUNK_A) + world.invites(TRUNK_B), 0);
    let statuses = world.statuses(client);
    assert_eq!(statuses.len(), 1);
    assert!(statuses[0] >= 400, "{statuses:?}");
    assert_eq!(world.outcomes(0), [Outcome::Unsent]);
    world.run_out_and_leave_nothing();
}

#[test]
fn failover_within_the_window_still_goes() {
    let mut world = World::new();
    world.gate.say = Say::AllowFor(Duration::from_secs(20));
    world.ends[TRUNK_A].script = Script::of(&[(50, 503)]);
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_answer_to_the_caller_other_than_503_moves_nothing() {
    for status in [404, 486, 500, 603] {
        let mut world = World::new();
        world.ends[TRUNK_A].script = Script::of(&[(50, status)]);
        let client = world.call();
        world.run(seconds(5));
        assert_eq!(world.statuses(client), [status]);
        assert_eq!(world.invites(TRUNK_B), 0, "{status}");
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn with_one_trunk_a_503_is_500_at_once() {
    let mut world = World::with(&Setup {
        trunks: 1,
        ..Setup::default()
    });
    world.ends[TRUNK_A].script = Script::of(&[(50, 503)]);
    let client = world.call();
    world.run(seconds(1));
    assert_eq!(world.statuses(client), [500]);
    let answers = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 500"))
        .count();
    assert_eq!(answers, 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_late_answer_of_the_trunk_that_was_left_does_not_reach_a_call_that_is_up() {
    let mut world = World::new();
    // Silent until after timer B, then it answers after all: the caller's telephone is already talking through the other trunk.
    world.ends[TRUNK_A].script = Script::of(&[(33_000, 180), (34_000, 200)]);
    world.ends[TRUNK_B].script = Script::of(&[(10, 100), (50, 180), (500, 200)]);
    let client = world.call();
    world.run(seconds(60));
    assert_eq!(world.statuses(client)[0], 200);
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Answered));
    world.run_out_and_leave_nothing();
}

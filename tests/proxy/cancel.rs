//! CANCEL at each stage of a call.

use clapet::ledger::Outcome;
use clapet::sip::message::Method;

use crate::support::gate::Say;
use crate::support::ua::{OnCancel, Script};
use crate::support::world::{PBX, TRUNK_A, TRUNK_B, World};
use crate::{millis, seconds};

/// Statuses of the answers to the PBX's CANCELs.
fn cancel_answers(world: &World) -> Vec<u16> {
    world.ends[PBX]
        .clients
        .iter()
        .filter(|client| client.method == "CANCEL")
        .flat_map(crate::support::ua::Client::statuses)
        .collect()
}

#[test]
fn a_cancel_before_the_decision_ends_the_call_and_releases_what_is_granted_late() {
    let mut world = World::new();
    world.gate.after = seconds(3);
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run(seconds(1));
    assert_eq!(world.statuses(client), [487], "at once, not when the gate answers");
    assert_eq!(cancel_answers(&world), [200]);
    assert!(world.outcomes(0).is_empty());
    world.run(seconds(5));
    assert_eq!(world.outcomes(0), [Outcome::Unsent]);
    assert_eq!(world.invites(TRUNK_A) + world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_cancel_before_a_decision_that_never_comes_ends_the_call() {
    let mut world = World::new();
    world.gate.say = Say::Never;
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run(seconds(1));
    assert_eq!(world.statuses(client), [487]);
    assert_eq!(world.proxy.pending(), 0);
}

#[test]
fn a_cancel_while_it_rings_reaches_the_trunk_and_counts() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (50, 180)]);
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run(seconds(1));
    assert_eq!(cancel_answers(&world), [200]);
    assert_eq!(world.statuses(client), [487]);
    assert!(world.ends[TRUNK_A].served[0].cancelled);
    assert!(world.ends[TRUNK_A].served[0].acked);
    assert_eq!(world.outcomes(0), [Outcome::Cancelled]);
    assert_eq!(world.invites(TRUNK_B), 0, "a cancelled call is not tried elsewhere");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_cancel_waits_for_the_trunks_first_answer() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(2000, 180)]);
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run(millis(500));
    let cancels = |world: &World| {
        world.ends[TRUNK_A]
            .inbox
            .iter()
            .filter(|received| received.message.method() == Method::Cancel)
            .count()
    };
    assert_eq!(cancels(&world), 0, "RFC 3261 §9.1");
    world.run(seconds(3));
    assert_eq!(cancels(&world), 1);
    assert_eq!(world.statuses(client), [487]);
    let outcomes = world.outcomes(0);
    assert!(outcomes.last().is_some_and(|outcome| outcome.counts()), "{outcomes:?}");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_cancel_towards_a_silent_trunk_tries_no_other() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::silent();
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run_out();
    let statuses = world.statuses(client);
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    assert_eq!(world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_answer_that_crosses_the_cancel_is_passed_on() {
    let mut world = World::new();
    let mut script = Script::of(&[(10, 100), (50, 180)]);
    script.on_cancel = OnCancel::AnswerAnyway;
    world.ends[TRUNK_A].script = script;
    let client = world.call();
    world.run(seconds(1));
    world.cancel(client);
    world.run(seconds(3));
    assert_eq!(world.statuses(client), [200]);
    assert!(world.ends[TRUNK_A].served[0].acked);
    assert_eq!(
        world.ends[TRUNK_A].requests,
        ["BYE"],
        "the PBX hangs up what it had cancelled"
    );
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Answered));
    world.run_out_and_leave_nothing();
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let mut world = World::new();
    let client = world.call();
    world.run(seconds(1));
    let call_id = world.call_id(client);
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
    let invite = String::from_utf8_lossy(&world.ends[PBX].clients[client].request).into_owned();
    let (head, _) = invite.split_once("\r\n\r\n").expect("a head");
    let cancel: String = head
        .lines()
        .filter(|line| !line.starts_with("Content-") && !line.starts_with("Contact"))
        .map(|line| line.replace("INVITE", "CANCEL") + "\r\n")
        .collect();
    world.ends[PBX].send(format!("{cancel}Content-Length: 0\r\n\r\n"));
    world.run(seconds(2));
    assert!(!world.ends[TRUNK_A].served_for(&call_id)[0].cancelled);
    assert_eq!(world.outcomes(0), [Outcome::Answered]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_cancel_without_its_invite_gets_481() {
    let mut world = World::new();
    world.ends[PBX].send(
        "CANCEL sip:0612345678@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-nothing\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+33162001234@192.0.2.10>;tag=a\r\nTo: <sip:0612345678@192.0.2.1:5060>\r\n\
         Call-ID: nothing\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
    );
    world.run(seconds(1));
    assert_eq!(world.sent_to(PBX).len(), 1);
    assert!(world.sent_to(PBX)[0].starts_with("SIP/2.0 481"), "RFC 3261 §16.10");
    assert!(world.sent_to(TRUNK_A).is_empty());
    world.run_out_and_leave_nothing();
}

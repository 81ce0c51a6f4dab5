//! What became of the call: which ends count, which give the attempt back, and what comes late.

use clapet::ledger::Outcome;
use clapet::sip::message::Header;

use crate::support::gate::Say;
use crate::support::network::Link;
use crate::support::ua::{Invite, Script, Step};
use crate::support::world::{PBX, Setup, TRUNK_A, TRUNK_B, World};
use crate::{millis, seconds};

fn one_trunk() -> World {
    World::with(&Setup {
        trunks: 1,
        ..Setup::default()
    })
}

#[test]
fn a_final_answer_counts_unless_the_network_says_it_could_not_be_presented() {
    // (status, given back where nothing rang before)
    let table = [
        (300, true),
        (302, true),
        (401, true),
        (403, true),
        (404, true),
        (407, true),
        (410, true),
        (484, true),
        (604, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (400, false),
        (402, false),
        (406, false),
        (408, false),
        (415, false),
        (480, false),
        (486, false),
        (487, false),
        (488, false),
        (600, false),
        (603, false),
        (607, false),
        (608, false),
    ];
    for (status, given_back) in table {
        for rings in [false, true] {
            let mut world = one_trunk();
            let steps: &[(u64, u16)] = if rings {
                &[(10, 100), (50, 180), (500, status)]
            } else {
                &[(10, 100), (500, status)]
            };
            world.ends[TRUNK_A].script = Script::of(steps);
            let client = world.call();
            world.run(seconds(3));
            let expected = if status == 503 { 500 } else { status };
            assert_eq!(world.statuses(client), [expected], "{status}");
            let outcomes = world.outcomes(0);
            let counted = outcomes.last().expect("settled").counts();
            assert_eq!(counted, rings || !given_back, "{status}, rung: {rings}: {outcomes:?}");
            world.run_out_and_leave_nothing();
        }
    }
}

#[test]
fn early_media_counts_as_rung() {
    let mut world = one_trunk();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (50, 183), (500, 404)]);
    world.call();
    world.run(seconds(3));
    assert!(world.outcomes(0).last().is_some_and(|outcome| outcome.counts()));
}

#[test]
fn a_refusal_by_a_second_clapet_gives_the_attempt_back() {
    for reason in [
        "Reason: SIP;cause=603;text=\"frequency.exhausted\"",
        "Reason: Q.850;cause=21, SIP;cause=603;text=\"hours.window\"",
        "reason: sip ; cause=603 ; text=\"consent.missing\"",
    ] {
        let mut world = one_trunk();
        let mut script = Script::of(&[(10, 100), (50, 603)]);
        script.steps[1].headers = vec![reason.into()];
        world.ends[TRUNK_A].script = script;
        let client = world.call();
        world.run(seconds(2));
        assert_eq!(world.statuses(client), [603]);
        assert_eq!(world.outcomes(0), [Outcome::Failed], "{reason}");
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn a_refusal_with_a_foreign_reason_counts() {
    let mut world = one_trunk();
    let mut script = Script::of(&[(10, 100), (50, 603)]);
    script.steps[1].headers = vec!["Reason: SIP;cause=603;text=\"not today\"".into()];
    world.ends[TRUNK_A].script = script;
    world.call();
    world.run(seconds(2));
    assert!(world.outcomes(0).last().is_some_and(|outcome| outcome.counts()));
}

#[test]
fn the_invite_repeated_after_407_is_the_same_call() {
    let mut world = one_trunk();
    let mut challenge = Script::of(&[(50, 407)]);
    challenge.steps[0].headers = vec!["Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"1\"".into()];
    world.ends[TRUNK_A].scripts.push_back(challenge);
    let call = Invite {
        call_id: Some("challenged@192.0.2.10".into()),
        from_tag: Some("same".into()),
        ..Invite::default()
    };
    let first = world.place(call.clone());
    world.run(seconds(1));
    assert_eq!(world.statuses(first), [407]);
    assert!(
        world.ends[PBX].clients[first]
            .answer()
            .first(Header::ProxyAuthenticate)
            .is_some()
    );
    let credentials = "Proxy-Authorization: Digest username=\"pbx\", realm=\"carrier\", nonce=\"1\", response=\"x\"";
    let second = world.place(Invite {
        cseq: 2,
        headers: vec![credentials.into()],
        ..call
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(second), [200]);
    let asked = &world.gate.asked;
    assert!(
        asked.iter().all(|asked| asked.question.call == asked_call(&world)),
        "one Call-ID and From-tag, one call"
    );
    let forwarded = &world.ends[TRUNK_A].served[1].request;
    assert!(forwarded.first(Header::ProxyAuthorization).is_some());
    world.run_out_and_leave_nothing();
}

fn asked_call(world: &World) -> u64 {
    world.gate.asked[0].question.call
}

#[test]
fn another_from_tag_is_another_call() {
    let mut world = one_trunk();
    for tag in ["one", "two"] {
        world.place(Invite {
            call_id: Some("shared@192.0.2.10".into()),
            from_tag: Some(tag.into()),
            ..Invite::default()
        });
        world.run(seconds(5));
    }
    assert_eq!(world.gate.asked.len(), 2);
    assert_ne!(world.gate.asked[0].question.call, world.gate.asked[1].question.call);
}

#[test]
fn a_late_ringing_after_a_failure_counts_the_attempt_again() {
    let mut world = one_trunk();
    // Timer B passes without a sign of life; then the trunk rings after all.
    world.ends[TRUNK_A].script = Script::of(&[(33_000, 180)]);
    let client = world.call();
    world.run(millis(32_500));
    assert_eq!(world.statuses(client), [408]);
    assert_eq!(world.outcomes(0), [Outcome::Failed]);
    world.run(seconds(10));
    let outcomes = world.outcomes(0);
    assert!(
        outcomes.len() >= 2 && outcomes.last().is_some_and(|outcome| outcome.counts()),
        "{outcomes:?}"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn a_late_answer_after_a_failure_counts_the_attempt_again() {
    let mut world = one_trunk();
    world.ends[TRUNK_A].script = Script::of(&[(33_000, 200)]);
    world.call();
    world.run(seconds(45));
    assert_eq!(world.outcomes(0).first(), Some(&Outcome::Failed));
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Answered));
    world.run_out_and_leave_nothing();
}

#[test]
fn a_ringing_that_overtook_its_final_answer_counts() {
    let mut world = one_trunk();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (100, 404), (200, 180)]);
    world.call();
    world.run(seconds(3));
    assert!(
        world.outcomes(0).last().is_some_and(|outcome| outcome.counts()),
        "{:?}",
        world.outcomes(0)
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn every_2xx_of_a_forking_trunk_reaches_the_caller_and_the_call_counts_once() {
    let mut world = one_trunk();
    let step = |after, status, fork| Step {
        after: millis(after),
        status,
        fork,
        headers: Vec::new(),
        body: "",
    };
    let mut script = Script::of(&[(10, 100)]);
    script
        .steps
        .extend([step(50, 180, 0), step(60, 180, 1), step(500, 200, 0), step(700, 200, 1)]);
    world.ends[TRUNK_A].script = script;
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(
        world.statuses(client),
        [200, 200],
        "RFC 3261 §16.7 5: every 2xx is forwarded"
    );
    assert_eq!(world.ends[PBX].dialogs.len(), 2);
    assert_eq!(world.gate.asked.len(), 1);
    assert!(world.outcomes(0).iter().all(|outcome| *outcome == Outcome::Answered));
    let resent = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 200"))
        .count();
    assert_eq!(resent, 2, "both acknowledged: neither is sent again");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_is_settled_once_however_often_its_answer_arrives() {
    let mut world = World::with(&Setup {
        link: Link {
            duplication: 1000,
            ..Link::CLEAN
        },
        trunks: 1,
        ..Setup::default()
    });
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.gate.asked.len(), 1);
    assert_eq!(world.invites(TRUNK_A), 1);
    assert_eq!(world.outcomes(0), [Outcome::Answered]);
    world.run_out_and_leave_nothing();
}

#[test]
fn what_was_not_reserved_is_not_settled() {
    let mut world = World::new();
    world.gate.say = Say::AllowUncounted;
    world.ends[TRUNK_A].script = Script::of(&[(50, 503)]);
    world.ends[TRUNK_B].script = Script::of(&[(50, 404)]);
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [404]);
    assert!(world.outcomes(0).is_empty());
    assert_eq!(world.invites(TRUNK_B), 1);
    world.run_out_and_leave_nothing();
}

//! Calls that go: what reaches the trunk, what comes back, and that nothing is left.

use clapet::ledger::Outcome;
use clapet::rules::{Callee, CallerId, Reason};
use clapet::sip::message::{Header, Method};

use crate::seconds;
use crate::support::gate::Say;
use crate::support::ua::{Invite, OnCancel, Script, Step};
use crate::support::world::{PBX, SOURCE, TRUNK_A, TRUNK_B, World};

#[test]
fn an_allowed_call_rings_is_answered_and_is_hung_up() {
    let mut world = World::new();
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.ends[PBX].clients[client].provisional, [100, 180]);
    assert_eq!(world.statuses(client), [200]);
    assert!(world.ends[TRUNK_A].served[0].acked, "the ACK reaches the trunk");
    assert_eq!(world.outcomes(0), [Outcome::Answered]);

    let call_id = world.call_id(client);
    let bye = world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.statuses(bye), [200]);
    assert_eq!(world.ends[TRUNK_A].requests, ["BYE"]);
    assert_eq!(world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
    assert_eq!(world.outcomes(0), [Outcome::Answered], "settled once");
}

#[test]
fn the_gate_is_asked_who_calls_whom() {
    let mut world = World::new();
    world.call();
    world.run(seconds(5));
    assert_eq!(world.gate.asked.len(), 1);
    let question = &world.gate.asked[0].question;
    assert_eq!(question.source, Some(SOURCE));
    assert_ne!(question.call, 0);
    let CallerId::Shown(clapet::numbering::Number::E164(caller)) = question.caller else {
        panic!("{:?}", question.caller)
    };
    let Callee::Number(clapet::numbering::Number::E164(callee)) = question.callee else {
        panic!("{:?}", question.callee)
    };
    assert_eq!((caller.get(), callee.get()), (33_162_001_234, 33_612_345_678));
    assert_eq!(question.professional, None);
}

#[test]
fn trying_is_sent_before_the_gate_has_answered() {
    let mut world = World::new();
    world.gate.after = seconds(3);
    let client = world.call();
    world.run(seconds(1));
    assert_eq!(world.ends[PBX].clients[client].provisional, [100]);
    assert_eq!(world.invites(TRUNK_A), 0, "reserved first, then forwarded");
    world.run(seconds(1));
    assert_eq!(world.sent_to(PBX).len(), 1, "the PBX had no reason to send again");
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.gate.asked.len(), 1);
    world.run_out();
}

#[test]
fn copies_of_the_invite_are_absorbed_while_the_gate_thinks() {
    let mut world = World::new();
    world.gate.after = seconds(3);
    let client = world.call();
    let copy = world.ends[PBX].clients[client].request.clone();
    for _ in 0..5 {
        world.run(crate::millis(200));
        world.ends[PBX].send(&copy);
    }
    world.run(seconds(6));
    assert_eq!(world.gate.asked.len(), 1);
    assert_eq!(world.invites(TRUNK_A), 1);
    assert_eq!(world.ends[TRUNK_A].served[0].copies, 1);
    assert_eq!(world.statuses(client), [200]);
    world.ends[TRUNK_A].timeout(world.now);
    world.run_out_and_leave_nothing();
}

#[test]
fn busy_is_passed_on_and_counts() {
    for status in [486, 600] {
        let mut world = World::new();
        world.ends[TRUNK_A].script = Script::of(&[(10, 100), (300, status)]);
        let client = world.call();
        world.run(seconds(2));
        assert_eq!(world.statuses(client), [status]);
        assert!(
            world.ends[TRUNK_A].served[0].acked,
            "the proxy acknowledges towards the trunk"
        );
        assert_eq!(world.outcomes(0), [Outcome::Busy]);
        assert_eq!(
            world.invites(TRUNK_B),
            0,
            "busy is an answer, not a failure of the trunk"
        );
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn a_call_that_rings_without_answer_ends_as_the_trunk_says() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (50, 180), (60_000, 480)]);
    let client = world.call();
    world.run(seconds(70));
    assert_eq!(world.statuses(client), [480]);
    let outcomes = world.outcomes(0);
    assert!(outcomes.last().is_some_and(|outcome| outcome.counts()), "{outcomes:?}");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_trunk_that_rings_for_ever_is_cancelled_at_timer_c() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script::of(&[(10, 100), (50, 180)]);
    let client = world.call();
    world.run(seconds(190));
    assert!(world.statuses(client).is_empty(), "timer C is above three minutes");
    world.run(seconds(60));
    let statuses = world.statuses(client);
    assert!(statuses == [408] || statuses == [487], "{statuses:?}");
    assert!(world.ends[TRUNK_A].served[0].cancelled, "RFC 3261 §16.8");
    assert!(world.outcomes(0).last().is_some_and(|outcome| outcome.counts()));
    assert_eq!(world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn timer_c_starts_anew_with_each_provisional_answer() {
    let mut world = World::new();
    let rings: Vec<(u64, u16)> = (0..6).map(|count| (50 + count * 60_000, 180)).collect();
    world.ends[TRUNK_A].script = Script::of(&[rings.as_slice(), &[(310_000, 200)]].concat());
    let client = world.call();
    world.run(seconds(320));
    assert_eq!(world.statuses(client), [200]);
    assert!(!world.ends[TRUNK_A].served[0].cancelled);
    world.run_out_and_leave_nothing();
}

#[test]
fn early_media_reaches_the_pbx_with_its_body() {
    let mut world = World::new();
    let progress = Step {
        after: crate::millis(50),
        status: 183,
        fork: 0,
        headers: vec!["X-Announcement: this; is, \"theirs\"".into()],
        body: "v=0\r\nm=audio 40000 RTP/AVP 8\r\n",
    };
    let mut script = Script::answered();
    script.steps[1] = progress;
    world.ends[TRUNK_A].script = script;
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.ends[PBX].clients[client].provisional, [100, 183]);
    let progress = world.ends[PBX]
        .inbox
        .iter()
        .find(|received| received.message.status() == 183)
        .expect("a 183");
    assert_eq!(progress.message.body(), b"v=0\r\nm=audio 40000 RTP/AVP 8\r\n");
    assert_eq!(progress.message.named("X-Announcement"), Some("this; is, \"theirs\""));
    assert_eq!(progress.message.values(Header::Via).count(), 1, "our Via is taken off");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_reliable_provisional_answer_is_acknowledged_through_the_proxy() {
    let mut world = World::new();
    let mut script = Script::answered();
    script.steps[1].headers = vec!["Require: 100rel".into(), "RSeq: 1".into()];
    world.ends[TRUNK_A].script = script;
    let client = world.place(Invite {
        headers: vec!["Supported: 100rel".into()],
        ..Invite::default()
    });
    world.run(seconds(1));
    let ringing = world.ends[PBX]
        .inbox
        .iter()
        .find(|received| received.message.status() == 180)
        .expect("ringing")
        .message
        .clone();
    assert_eq!(ringing.first(Header::Require), Some("100rel"));
    let value = |header| ringing.first(header).expect("a header").to_owned();
    // RFC 3262 §4: the PRACK goes in the early dialog, by the route set of the 180.
    let routes: String = ringing
        .values(Header::RecordRoute)
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    let contact = value(Header::Contact);
    let target = contact.trim_matches(['<', '>']);
    world.ends[PBX].send(format!(
        "PRACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-prack\r\nMax-Forwards: 70\r\n{routes}\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 2 PRACK\r\nRAck: 1 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        value(Header::From),
        value(Header::To),
        value(Header::CallId),
    ));
    world.run(seconds(5));
    assert_eq!(world.ends[TRUNK_A].requests, ["PRACK"]);
    let acknowledged = world.ends[PBX]
        .inbox
        .iter()
        .filter(|received| received.message.status() == 200 && received.message.method() == Method::Prack)
        .count();
    assert_eq!(acknowledged, 1);
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.gate.asked.len(), 1, "a PRACK is never judged");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_late_offer_passes_in_both_directions() {
    let mut world = World::new();
    let mut script = Script::answered();
    script.steps[2].body = "v=0\r\no=trunk 1 1 IN IP4 192.0.2.20\r\n";
    world.ends[TRUNK_A].script = script;
    let client = world.place(Invite {
        body: String::new(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert!(world.ends[TRUNK_A].served[0].request.body().is_empty());
    assert_eq!(
        world.ends[PBX].clients[client].answer().body(),
        b"v=0\r\no=trunk 1 1 IN IP4 192.0.2.20\r\n"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn an_observed_violation_goes_to_the_trunk() {
    let mut world = World::new();
    world.gate.say = Say::Observe(Reason::HoursWindow);
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.outcomes(0), [Outcome::Answered]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_that_is_not_counted_goes_without_a_reservation() {
    let mut world = World::new();
    world.gate.say = Say::AllowUncounted;
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert!(world.outcomes(0).is_empty());
    world.run_out_and_leave_nothing();
}

#[test]
fn a_2xx_is_passed_on_until_its_ack_comes() {
    let mut world = World::new();
    let client = world.call();
    world.run(crate::millis(1500));
    // The PBX hears nothing for a while: its ACK is late, and the trunk sends its 200 again and again.
    let pbx = world.ends[PBX].address;
    world.network.set_down(pbx, crate::support::network::Down::Silent);
    world.run(seconds(6));
    let answers = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 200"))
        .count();
    assert!(answers >= 3, "{answers} answers passed on (RFC 6026 §7.1)");
    assert!(world.statuses(client).is_empty());
    assert!(!world.ends[TRUNK_A].served[0].acked);
    world.run_out();
}

#[test]
fn redirection_is_relayed_not_followed() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = Script {
        steps: vec![Step {
            after: crate::millis(100),
            status: 302,
            fork: 0,
            headers: vec!["Contact: <sip:0699999999@192.0.2.21:5060>".into()],
            body: "",
        }],
        on_cancel: OnCancel::Terminate,
    };
    let client = world.call();
    world.run(seconds(2));
    assert_eq!(world.statuses(client), [302]);
    assert_eq!(
        world.ends[PBX].clients[client].answer().first(Header::Contact),
        Some("<sip:0699999999@192.0.2.21:5060>")
    );
    assert_eq!(world.invites(TRUNK_B), 0);
    assert_eq!(world.outcomes(0), [Outcome::Failed]);
    world.run_out_and_leave_nothing();
}

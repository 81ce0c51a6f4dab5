//! Calls that do not go: the answer's text to the letter, once, and the ACK absorbed.

use clapet::rules::Reason;
use clapet::sip::message::Header;

use crate::support::gate::Say;
use crate::support::ua::{Invite, tag_of};
use crate::support::world::{PBX, Setup, TRUNK_A, TRUNK_B, World};
use crate::{millis, seconds};

const EXHAUSTED: Say = Say::Refuse(
    Reason::FrequencyExhausted,
    "4 of 4 calls since 2023-03-02; next 2023-04-03T10:00:00+02:00",
);

fn refusing(setup: &Setup) -> World {
    let mut world = World::with(setup);
    world.gate.say = EXHAUSTED;
    world
}

#[test]
fn a_refused_call_is_answered_403_with_reason_and_warning() {
    let mut world = refusing(&Setup::default());
    let client = world.call();
    world.run(seconds(2));
    let answer = world.ends[PBX].clients[client].answer();
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.first(Header::Reason),
        Some("SIP;cause=403;text=\"frequency.exhausted\"")
    );
    let warning = answer.first(Header::Warning).expect("a Warning");
    let quoted = "\"frequency.exhausted: 4 of 4 calls since 2023-03-02; next 2023-04-03T10:00:00+02:00\"";
    let (start, text) = warning.split_once(" \"").expect("a quoted text");
    assert!(start == "399 192.0.2.1:5060" || start == "399 192.0.2.1", "{warning}");
    assert_eq!(format!("\"{text}"), quoted);
    assert!(tag_of(answer, Header::To).is_some());
    assert_eq!(world.invites(TRUNK_A) + world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_source_may_be_answered_603() {
    let mut world = refusing(&Setup {
        refuse_with: 603,
        ..Setup::default()
    });
    let client = world.call();
    world.run(seconds(2));
    let answer = world.ends[PBX].clients[client].answer();
    assert_eq!(answer.status(), 603);
    assert_eq!(
        answer.first(Header::Reason),
        Some("SIP;cause=603;text=\"frequency.exhausted\"")
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn a_source_answered_608_is_told_where_to_seek_redress() {
    let mut world = refusing(&Setup {
        refuse_with: 608,
        ..Setup::default()
    });
    let client = world.call();
    world.run(seconds(2));
    let answer = world.ends[PBX].clients[client].answer();
    assert_eq!(answer.status(), 608);
    assert_eq!(
        answer.named("Call-Info"),
        Some("<https://redress.example/jws>;purpose=jwscard"),
        "RFC 8688 §3.2"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn a_refusal_is_the_same_for_every_copy_of_the_invite_and_judged_once() {
    let mut world = refusing(&Setup::default());
    // Sent by hand, so that nobody acknowledges the answers.
    let invite = "INVITE sip:0612345678@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-copy\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+33162001234@192.0.2.10>;tag=a\r\nTo: <sip:0612345678@192.0.2.1:5060>\r\n\
         Call-ID: copy\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..6 {
        let count = world.wire.len();
        world.ends[PBX].send(invite);
        world.run(millis(50));
        let answered = world.wire[count..]
            .iter()
            .any(|packet| packet.line().starts_with("SIP/2.0 403"));
        assert!(answered, "every copy is answered");
        world.run(seconds(4));
    }
    assert_eq!(world.gate.asked.len(), 1);
    let mut answers: Vec<String> = world
        .wire
        .iter()
        .filter(|packet| packet.line().starts_with("SIP/2.0 403"))
        .map(crate::support::world::Packet::text)
        .collect();
    assert!(answers.len() >= 6);
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer to the letter, one To-tag");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_verdict_holds_for_64_t1_even_after_its_ack() {
    let mut world = refusing(&Setup::default());
    let client = world.call();
    let copy = world.ends[PBX].clients[client].request.clone();
    for pause in [millis(100), seconds(3), seconds(10), seconds(12)] {
        world.run(pause);
        world.ends[PBX].send(&copy);
    }
    world.run(seconds(1));
    assert_eq!(world.gate.asked.len(), 1, "a retransmission is never judged anew");
    assert_eq!(world.statuses(client), [403], "and hears nothing else");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_refusal_is_sent_again_until_its_ack_comes() {
    let mut world = refusing(&Setup::default());
    let pbx = world.ends[PBX].address;
    world.network.set_down(pbx, crate::support::network::Down::Silent);
    world.call();
    world.run(seconds(40));
    let answers = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 403"))
        .count();
    assert!(answers >= 7, "{answers} answers (timer G)");
    assert_eq!(world.gate.asked.len(), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn the_ack_of_a_refusal_goes_no_further() {
    let mut world = refusing(&Setup::default());
    world.call();
    world.run_out();
    assert!(world.sent_to(TRUNK_A).is_empty());
    let answers = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 403"))
        .count();
    assert_eq!(answers, 1, "acknowledged at once, sent once");
}

#[test]
fn the_next_call_of_a_refused_caller_is_judged_anew() {
    let mut world = refusing(&Setup::default());
    world.call();
    world.run(seconds(1));
    let second = world.call();
    world.run(seconds(1));
    assert_eq!(world.gate.asked.len(), 2);
    assert_ne!(world.gate.asked[0].question.call, world.gate.asked[1].question.call);
    assert_eq!(world.statuses(second), [403]);
}

#[test]
fn a_request_uri_without_number_is_refused_by_the_gate_not_routed() {
    let mut world = World::new();
    world.gate.say = Say::Refuse(Reason::CalleeUnparseable, "no number in the Request-URI");
    let client = world.place(Invite {
        callee: "alice".into(),
        ..Invite::default()
    });
    world.run(seconds(2));
    let answer = world.ends[PBX].clients[client].answer();
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.first(Header::Reason),
        Some("SIP;cause=403;text=\"callee.unparseable\"")
    );
    assert_eq!(world.gate.asked[0].question.callee, clapet::rules::Callee::Unparseable);
}

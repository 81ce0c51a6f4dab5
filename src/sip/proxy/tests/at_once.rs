//! Calls that the gate answers before anything else happens.

use super::*;

/// An INVITE comes, and the gate answers its question in the same turn.
fn judged_at_once(rig: &mut Rig, invite: String, refused: Option<Reason>) {
    rig.proxy.receive(rig.now, Rig::flow(PBX), invite.into());
    let Some(Output::Ask { id, .. }) = rig.proxy.poll() else {
        panic!("the question is asked before anything is sent");
    };
    rig.proxy.decide(rig.now, id, decision(refused));
    rig.drain();
}

fn ack() -> String {
    request(
        "ACK",
        "sip:0612345678@10.0.9.9",
        "z9hG4bKinvite",
        "<sip:0612345678@10.0.9.9>;tag=ours",
        "",
    )
}

#[test]
fn a_refusal_goes_alone_and_again_to_each_copy_until_its_ack() {
    let mut rig = Rig::new();
    judged_at_once(&mut rig, invite(), Some(Reason::FrequencyExhausted));
    let sent = rig.take();
    assert_eq!(sent.len(), 1, "no 100 before it");
    let refusal = &sent[0].1;
    assert_eq!(
        (refusal.status(), refusal.first(Header::Reason)),
        (403, Some("SIP;cause=403;text=\"frequency.exhausted\""))
    );
    assert_eq!(rig.proxy.poll_timeout(), None, "nothing is waited for");
    assert_eq!(rig.metric("clapet_transactions"), 0);
    for _ in 0..2 {
        rig.receive(PBX, invite());
        let again = rig.take();
        assert!(rig.asked.is_empty(), "judged once");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].1.raw(), refusal.raw());
    }
    rig.receive(PBX, ack()).receive(PBX, ack()).receive(PBX, invite());
    assert!(rig.take().is_empty() && rig.asked.is_empty(), "its ACK has come");
    rig.wait(Duration::from_secs(33));
    rig.receive(PBX, invite());
    assert_eq!(rig.asked.len(), 1, "judged anew after 64·T1");
}

#[test]
fn a_cancel_that_crosses_a_refusal_gets_200() {
    let mut rig = Rig::new();
    judged_at_once(&mut rig, invite(), Some(Reason::HoursWindow));
    let tag = rig.last_to(PBX).to_tag().to_owned();
    rig.receive(PBX, cancel(""));
    let answer = rig.last_to(PBX);
    assert_eq!((answer.status(), answer.to_tag()), (200, &*tag));
}

#[test]
fn a_call_that_may_go_gets_its_100_before_it_goes() {
    let mut rig = Rig::new();
    judged_at_once(&mut rig, invite(), None);
    let lines = rig.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], format!("{PBX} 100 INVITE"));
    assert!(lines[1].starts_with(&format!("{TRUNK_A} INVITE")), "{lines:?}");
    assert!(rig.proxy.poll_timeout().is_some());
}

#[test]
fn a_cancel_in_the_same_turn_ends_the_call_before_it_is_judged() {
    let mut rig = Rig::new();
    rig.proxy.receive(rig.now, Rig::flow(PBX), invite().into());
    rig.receive(PBX, cancel(""));
    let mut lines = rig.lines();
    lines.sort();
    assert_eq!(lines, [format!("{PBX} 200 CANCEL"), format!("{PBX} 487 INVITE")]);
    rig.allow();
    assert!(rig.lines().is_empty(), "what is granted late goes nowhere");
    assert!(rig.proxy.poll_timeout().is_some(), "the 487 is repeated until its ACK");
}

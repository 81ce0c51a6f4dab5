//! CANCEL at every stage of a call.

use super::*;

fn cancel() -> String {
    super::cancel("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n")
}

#[test]
fn while_the_gate_thinks_the_call_ends_and_a_late_grant_sends_nothing() {
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).take();
    rig.receive(PBX, cancel());
    let sent = rig.take();
    let lines: Vec<String> = sent.iter().map(|(to, message)| line(to, message)).collect();
    assert_eq!(lines, ["10.0.0.1:5060 200 CANCEL", "10.0.0.1:5060 487 INVITE"]);
    assert_eq!(
        sent[0].1.to().unwrap().tag(),
        sent[1].1.to().unwrap().tag(),
        "RFC 3261 §9.2"
    );
    assert_eq!(rig.proxy.pending(), 0);
    rig.allow();
    assert!(rig.lines().is_empty());
}

#[test]
fn before_any_answer_of_the_trunk_it_waits_for_one() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(PBX, cancel());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 200 CANCEL"]);
    rig.receive(TRUNK_A, answer(&forwarded, 100, ""));
    let sent = rig.take();
    assert_eq!(sent.len(), 1);
    let cancel = &sent[0].1;
    assert_eq!(
        (cancel.method(), cancel.request_uri()),
        (Method::Cancel, forwarded.request_uri())
    );
    assert_eq!(cancel.via().unwrap().raw, forwarded.via().unwrap().raw);
    assert_eq!(cancel.values(Header::Via).count(), 1);
    assert!(cancel.first(Header::Reason).unwrap().contains("completed elsewhere"));
    rig.receive(TRUNK_A, answer(cancel, 200, ""))
        .receive(TRUNK_A, answer(&forwarded, 487, ""));
    assert_eq!(rig.last_to(PBX).status(), 487);
    assert_eq!(rig.outcome(), Some(Outcome::Cancelled));
}

#[test]
fn while_it_rings_it_goes_on_at_once_and_is_repeated_until_answered() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 180, "")).take();
    rig.receive(PBX, cancel()).receive(PBX, cancel());
    let sent = rig.take();
    let lines: Vec<String> = sent.iter().map(|(to, message)| line(to, message)).collect();
    let to_trunk = format!("10.0.1.1:5090 CANCEL {}", forwarded.request_uri());
    assert_eq!(
        lines,
        ["10.0.0.1:5060 200 CANCEL", &to_trunk, "10.0.0.1:5060 200 CANCEL"]
    );
    rig.wait(Duration::from_millis(1_600));
    assert_eq!(rig.lines(), [to_trunk.clone(), to_trunk]);
    rig.receive(TRUNK_A, answer(&sent[1].1, 200, ""))
        .wait(Duration::from_secs(10));
    assert!(rig.lines().is_empty());
}

#[test]
fn an_answer_that_crosses_it_passes_and_counts() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 180, ""))
        .receive(PBX, cancel())
        .take();
    rig.receive(TRUNK_A, answer(&forwarded, 200, ""));
    assert_eq!(rig.last_to(PBX).status(), 200);
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
}

#[test]
fn after_the_answer_it_changes_nothing() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 200, "")).take();
    rig.receive(PBX, cancel());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 200 CANCEL"]);
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
}

#[test]
fn a_trunk_that_never_ends_a_cancelled_call_is_given_up_and_a_late_answer_still_counts() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 180, ""))
        .receive(PBX, cancel())
        .take();
    rig.wait(Duration::from_secs(33));
    assert_eq!(rig.last_to(PBX).status(), 487);
    assert_eq!(rig.outcome(), Some(Outcome::Cancelled));
    rig.receive(TRUNK_A, answer(&forwarded, 200, ""));
    assert_eq!(rig.last_to(PBX).status(), 200);
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
}

#[test]
fn a_cancelled_call_goes_to_no_other_trunk() {
    for status in [503, 500] {
        let mut rig = Rig::new();
        let forwarded = rig.forwarded(&invite());
        rig.receive(PBX, cancel()).take();
        rig.receive(TRUNK_A, answer(&forwarded, status, ""));
        assert!(rig.take().iter().all(|(to, _)| to != TRUNK_B), "{status}");
    }
    let mut rig = Rig::new();
    rig.forwarded(&invite());
    rig.receive(PBX, cancel()).take();
    rig.wait(Duration::from_secs(33));
    assert_eq!(rig.last_to(PBX).status(), 487);
    assert_eq!(
        rig.outcome(),
        Some(Outcome::Failed),
        "nothing at all came until timer B"
    );
}

#[test]
fn of_no_known_invite_it_gets_481() {
    let mut rig = Rig::new();
    rig.receive(PBX, cancel());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 481 CANCEL"]);
}

//! What a carrier's acceptance asks of a proxy in the path of its calls: how each kind of call begins, changes and ends, over UDP, TCP
//! and TLS.

use clapet::sip::Transport;

use crate::link::Line;
use crate::script::{SDP, Script, callee, caller};
use crate::tool::tools;
use crate::{answers, calls, connected, fails, fails_at_once};

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// Plays a call over each transport: what the PBX and the trunks do, what became of the call, and how many the callee may still get.
fn over_each(pbx: &Script, trunks: &[Option<Script>], outcome: &str, left: u64) {
    over(&ALL.map(|transport| (transport, transport)), pbx, trunks, outcome, left);
}

fn over(ways: &[(Transport, Transport)], pbx: &Script, trunks: &[Option<Script>], outcome: &str, left: u64) {
    let Some(tools) = tools() else { return };
    for (from, to) in ways {
        let mut line = Line::new(&tools, *from, *to, trunks);
        line.place(pbx.clone());
        line.expect(outcome, left);
        line.end();
    }
}

fn ringing() -> Script {
    callee().expect_call().answer(100).answer(180)
}

fn hold() -> String {
    format!("{SDP}a=sendonly\n")
}

#[test]
fn a_call_is_answered_and_hung_up_by_the_caller() {
    over_each(&calls(100), &[Some(answers())], "answered", 3);
}

#[test]
fn a_call_is_answered_and_hung_up_by_the_callee() {
    let pbx = connected().expect_bye();
    let trunk = ringing().pick_up().pause(100).hang_up();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn early_media_reaches_the_caller() {
    let pbx = caller()
        .invite("", SDP)
        .may_receive(100)
        .establish_where(183, &[("", "m=audio")])
        .receive(200)
        .ack("")
        .hang_up();
    let trunk = callee()
        .expect_call()
        .answer(100)
        .answer_with(183, "", SDP)
        .pause(100)
        .pick_up()
        .expect_bye();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_reliable_183_is_acknowledged_by_prack() {
    let pbx = caller()
        .invite("Supported: 100rel\n", SDP)
        .may_receive(100)
        .establish_where(183, &[("RSeq", "1"), ("Require", "100rel")])
        .request("PRACK", "RAck: 1 1 INVITE\n", "")
        .receive(200)
        .receive(200)
        .ack("")
        .hang_up();
    let trunk = callee()
        .expect_call_where(&[("Supported", "100rel")])
        .answer(100)
        .answer_with(183, "Require: 100rel\nRSeq: 1\n", SDP)
        .expect_where("PRACK", &[("RAck", "1 1 INVITE")])
        .answer_within(200, "", false)
        .pause(100)
        .answer_call(200, "")
        .expect("ACK")
        .expect_bye();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_busy_callee_is_told_to_the_caller_and_counts() {
    over_each(&fails(486), &[Some(fails_at_once(486))], "busy", 3);
}

#[test]
fn a_callee_who_does_not_answer_is_told_to_the_caller_and_counts() {
    let trunk = ringing().pause(300).answer(480).expect("ACK");
    over_each(&fails(480), &[Some(trunk)], "no-answer", 3);
}

#[test]
fn a_number_that_is_not_there_is_told_to_the_caller_and_does_not_count() {
    over_each(&fails(404), &[Some(fails_at_once(404))], "failed", 4);
}

#[test]
fn a_call_is_cancelled_before_the_trunk_has_answered_at_all() {
    let pbx = caller().invite("", SDP).receive(100).pause(50).give_up();
    let trunk = callee().expect_call().pause(300).answer(100).expect_cancel();
    over_each(&pbx, &[Some(trunk)], "cancelled", 3);
}

#[test]
fn a_call_is_cancelled_while_it_rings() {
    let pbx = caller()
        .invite("", SDP)
        .may_receive(100)
        .receive(180)
        .pause(200)
        .give_up();
    let trunk = ringing().expect_cancel();
    over_each(&pbx, &[Some(trunk)], "cancelled", 3);
}

#[test]
fn an_answer_that_crosses_the_cancel_makes_a_call_that_expect_bye() {
    let pbx = caller()
        .invite("", SDP)
        .may_receive(100)
        .establish(180)
        .pause(200)
        .hop("CANCEL")
        .receive(200)
        .receive(200)
        .ack("")
        .hang_up();
    let trunk = ringing()
        .expect("CANCEL")
        .answer_cancel()
        .answer_call(200, SDP)
        .expect("ACK")
        .expect_bye();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

/// re-INVITE (hold, and back), UPDATE, INFO and REFER with its NOTIFY, then BYE from the callee.
fn within_a_call() -> (Script, Script) {
    let pbx = connected()
        .offer(&hold())
        .offer(SDP)
        .request("UPDATE", "", SDP)
        .receive(200)
        .request("INFO", "", "")
        .receive(200)
        .request(
            "REFER",
            "Refer-To: <sip:+33162001235@[local_ip]>\nReferred-By: <sip:[caller]@[local_ip]>\n",
            "",
        )
        .receive(202)
        .expect_where("NOTIFY", &[("Event", "refer")])
        .answer_within(200, "", false)
        .expect_bye();
    let trunk = ringing()
        .pick_up()
        .expect_where("INVITE", &[("", "a=sendonly")])
        .accept()
        .expect("INVITE")
        .accept()
        .expect("UPDATE")
        .answer_within(200, SDP, false)
        .expect("INFO")
        .answer_within(200, "", false)
        .expect_where("REFER", &[("Refer-To", "33162001235"), ("Referred-By", "sip:")])
        .answer_within(202, "", false)
        .pause(100)
        .request(
            "NOTIFY",
            "Event: refer\nSubscription-State: terminated;reason=noresource\n",
            "",
        )
        .receive(200)
        .hang_up();
    (pbx, trunk)
}

#[test]
fn hold_update_and_transfer_pass_within_a_call() {
    let (pbx, trunk) = within_a_call();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_call_changes_its_transport_on_the_way() {
    use Transport::{Tcp, Tls, Udp};
    let (pbx, trunk) = within_a_call();
    let ways = [(Udp, Tcp), (Tcp, Udp), (Udp, Tls), (Tls, Udp), (Tls, Tcp)];
    over(&ways, &pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn the_callee_may_hold_and_update_too() {
    let pbx = connected()
        .expect_where("INVITE", &[("", "a=sendonly")])
        .accept()
        .expect("UPDATE")
        .answer_within(200, SDP, false)
        .expect_bye();
    let trunk = ringing()
        .pick_up()
        .pause(100)
        .offer(&hold())
        .request("UPDATE", "", SDP)
        .receive(200)
        .hang_up();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_late_offer_is_made_in_the_200_and_answered_in_the_ack() {
    let pbx = caller()
        .invite("", "")
        .may_receive(100)
        .may_receive(180)
        .establish_where(200, &[("", "m=audio")])
        .ack(SDP)
        .hang_up();
    let trunk = callee()
        .expect_call_where(&[("Content-Length", "^ *0$")])
        .answer(100)
        .answer_with(200, "", SDP)
        .expect_where("ACK", &[("", "m=audio")])
        .expect_bye();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_trunk_that_asks_for_credentials_gets_them_in_the_same_attempt() {
    let shown = "Proxy-Authorization: Digest username=\"acme\", realm=\"carrier\", nonce=\"n1\", uri=\"sip:carrier\", \
                 response=\"0123456789abcdef0123456789abcdef\"\n";
    let pbx = caller()
        .invite("", SDP)
        .may_receive(100)
        .receive_where(407, &[("Proxy-Authenticate", "realm=.carrier.")])
        .hop("ACK")
        .invite(shown, SDP)
        .may_receive(100)
        .may_receive(180)
        .establish(200)
        .ack("")
        .hang_up();
    let trunk = callee()
        .expect_call()
        .answer(100)
        .answer_with(407, "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n1\"\n", "")
        .expect("ACK")
        .expect_call_where(&[("Proxy-Authorization", "username=.acme., realm=.carrier.")])
        .answer(100)
        .answer(180)
        .pick_up()
        .expect_bye();
    over_each(&pbx, &[Some(trunk)], "answered", 3);
}

#[test]
fn a_503_moves_the_call_to_the_next_trunk() {
    let trunks = [Some(fails_at_once(503)), Some(answers())];
    over_each(&calls(100), &trunks, "answered", 3);
}

#[test]
fn a_trunk_that_is_not_there_is_left_for_the_next() {
    over_each(&calls(100), &[None, Some(answers())], "answered", 3);
}

#[test]
fn a_503_of_every_trunk_is_a_500_to_the_caller_and_does_not_count() {
    let trunks = [Some(fails_at_once(503)), Some(fails_at_once(503))];
    over_each(&fails(500), &trunks, "failed", 4);
}

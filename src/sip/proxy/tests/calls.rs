//! A judged call, forwarded or refused, and what became of it.

use super::*;
use crate::rules::{Callee, CallerId};

#[test]
fn an_invite_gets_100_at_once_and_is_asked_about() {
    let mut rig = Rig::new();
    rig.receive(PBX, invite());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 100 INVITE"]);
    let (_, question) = &rig.asked[0];
    assert_eq!(question.source, Some(source()));
    assert!(matches!(
        (question.caller, question.callee),
        (CallerId::Shown(_), Callee::Number(_))
    ));
    assert_ne!(question.call, 0);
    assert_eq!(rig.proxy.pending(), 1);
}

#[test]
fn an_allowed_call_is_forwarded_with_via_record_route_and_the_trunks_host() {
    let mut rig = Rig::new();
    let more = "X-Professional: acme\r\nX-Purpose: press\r\nRoute: <sip:evil.example.net;lr>\r\nX-Kept: 1\r\n";
    rig.receive(
        PBX,
        request(
            "INVITE",
            "sip:0612345678@10.0.9.9;user=phone",
            "z9hG4bKi",
            "<sip:0612345678@h>",
            more,
        ),
    );
    assert_eq!(rig.asked[0].1.professional.as_deref(), Some("acme"));
    rig.allow();
    let forwarded = rig.last_to(TRUNK_A);
    assert_eq!(
        forwarded.request_uri(),
        "sip:0612345678@carrier-a.example.net:5090;user=phone"
    );
    let vias: Vec<_> = forwarded.values(Header::Via).collect();
    assert!(
        vias[0].starts_with("SIP/2.0/UDP 10.0.9.9:5060;branch=z9hG4bK00000007"),
        "{}",
        vias[0]
    );
    assert_eq!(
        vias[1],
        "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKi;rport=5060;received=10.0.0.1"
    );
    assert_eq!(forwarded.max_forwards(), Some(69));
    assert_eq!(forwarded.values(Header::RecordRoute).count(), 1);
    assert!(
        forwarded
            .first(Header::RecordRoute)
            .unwrap()
            .ends_with("@10.0.9.9:5060;lr>")
    );
    assert_eq!(
        (
            forwarded.first(Header::Route),
            forwarded.named("X-Professional"),
            forwarded.named("X-Purpose")
        ),
        (None, None, None)
    );
    assert_eq!(forwarded.named("X-Kept"), Some("1"));
}

#[test]
fn an_absent_max_forwards_becomes_70() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite().replace("Max-Forwards: 70\r\n", ""));
    assert_eq!(forwarded.max_forwards(), Some(70));
}

#[test]
fn responses_pass_without_our_via_and_100_does_not() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 100, ""));
    assert!(rig.lines().is_empty());
    for status in [180, 183, 200] {
        rig.receive(TRUNK_A, answer(&forwarded, status, "X-Kept: 1\r\n"));
        let passed = rig.last_to(PBX);
        assert_eq!((passed.status(), passed.values(Header::Via).count()), (status, 1));
        assert_eq!(passed.named("X-Kept"), Some("1"));
    }
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
    assert_eq!(rig.metric("clapet_trunk_responses_total{class=\"2xx\",trunk=\"a\"}"), 1);
}

#[test]
fn every_2xx_of_a_fork_and_its_retransmissions_pass_and_count_once() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    let ok = answer(&forwarded, 200, "");
    rig.receive(TRUNK_A, ok.clone())
        .receive(TRUNK_A, ok.replace("tag=callee", "tag=other"));
    rig.receive(TRUNK_A, ok.clone());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 200 INVITE"; 3]);
    assert_eq!(rig.metric("clapet_trunk_responses_total{class=\"2xx\",trunk=\"a\"}"), 1);
    rig.wait(Duration::from_secs(31)).receive(TRUNK_A, ok.clone());
    assert_eq!(rig.lines().len(), 1, "RFC 6026: until timer M");
    rig.wait(Duration::from_secs(2)).receive(TRUNK_A, ok);
    assert!(rig.lines().is_empty());
    assert_eq!(rig.proxy.contexts.len(), 0);
}

#[test]
fn a_refused_call_says_why_and_is_repeated_until_acknowledged() {
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).take();
    rig.decide(decision(Some(Reason::FrequencyExhausted)));
    let refusal = rig.last_to(PBX);
    assert_eq!(refusal.status(), 403);
    assert_eq!(
        refusal.first(Header::Reason),
        Some("SIP;cause=403;text=\"frequency.exhausted\"")
    );
    assert_eq!(
        refusal.first(Header::Warning),
        Some("399 10.0.9.9:5060 \"frequency.exhausted: 4 of 4 calls since 2025-05-04\"")
    );
    let tag = refusal.to().unwrap().tag().unwrap().to_owned();
    rig.wait(Duration::from_millis(1_600));
    assert_eq!(rig.lines(), ["10.0.0.1:5060 403 INVITE"; 2], "timer G");
    rig.receive(PBX, invite());
    assert_eq!(rig.lines(), ["10.0.0.1:5060 403 INVITE"], "the INVITE came again");
    let to = format!("<sip:0612345678@10.0.9.9>;tag={tag}");
    rig.receive(PBX, request("ACK", "sip:0612345678@10.0.9.9", "z9hG4bKinvite", &to, ""));
    rig.wait(Duration::from_secs(20));
    assert!(rig.lines().is_empty(), "the ACK is absorbed and ends the repetition");
}

#[test]
fn the_status_of_a_refusal_is_the_sources() {
    for (refuse_with, reason, status, call_info) in [
        (403, Reason::HoursDay, 403, false),
        (603, Reason::HoursDay, 603, false),
        (608, Reason::CalleeUnparseable, 608, true),
        (603, Reason::StoreUnavailable, 603, false),
        (403, Reason::SourceRate, 503, false),
    ] {
        let mut peers = peers();
        peers.sources[0].refuse_with = refuse_with;
        let mut rig = Rig::with(settings(), peers);
        rig.receive(PBX, invite()).decide(decision(Some(reason)));
        let refusal = rig.last_to(PBX);
        assert_eq!(refusal.status(), status);
        assert!(
            refusal
                .first(Header::Reason)
                .unwrap()
                .contains(&format!("cause={status};text=\"{}\"", reason.code()))
        );
        assert_eq!(refusal.named("Call-Info").is_some(), call_info);
        assert_eq!(refusal.first(Header::RetryAfter).is_some(), status == 503);
    }
}

#[test]
fn an_observed_violation_is_forwarded() {
    let mut rig = Rig::new();
    let observed = Decision {
        enforced: false,
        ..decision(Some(Reason::HoursWindow))
    };
    rig.receive(PBX, invite()).decide(observed);
    assert_eq!(rig.last_to(TRUNK_A).method(), Method::Invite);
}

#[test]
fn a_retransmission_is_never_judged_anew_for_64_t1() {
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).receive(PBX, invite());
    assert_eq!(rig.asked.len(), 1);
    assert_eq!(rig.lines(), ["10.0.0.1:5060 100 INVITE"; 2]);
    rig.decide(decision(Some(Reason::HoursDay)));
    rig.receive(
        PBX,
        request(
            "ACK",
            "sip:0612345678@10.0.9.9",
            "z9hG4bKinvite",
            "<sip:0612345678@10.0.9.9>;tag=x",
            "",
        ),
    );
    rig.wait(Duration::from_secs(10)).take();
    assert_eq!(rig.proxy.contexts.len(), 0, "the transaction is over");
    rig.receive(PBX, invite());
    assert_eq!((rig.asked.len(), rig.lines().len()), (0, 0));
    rig.wait(Duration::from_secs(23)).receive(PBX, invite());
    assert_eq!(rig.asked.len(), 1, "64*T1 later it is another call");
}

#[test]
fn what_becomes_of_a_call_follows_the_responses() {
    use Outcome as O;
    for (statuses, expected, seen) in [
        (&[180, 200][..], O::Answered, 200),
        (&[180, 486], O::Busy, 486),
        (&[600], O::Busy, 600),
        (&[100, 480], O::NoAnswer, 480),
        (&[408], O::NoAnswer, 408),
        (&[404], O::Failed, 404),
        (&[180, 404], O::Rejected, 404),
        (&[302], O::Failed, 302),
        (&[407], O::Failed, 407),
        (&[500], O::Failed, 500),
        (&[603], O::Rejected, 603),
        (&[486, 180], O::Busy, 486),
        (&[404, 180], O::NoAnswer, 404),
        (&[404, 200], O::Answered, 404),
    ] {
        let mut rig = Rig::new();
        let forwarded = rig.forwarded(&invite());
        for status in statuses {
            rig.receive(TRUNK_A, answer(&forwarded, *status, ""));
        }
        assert_eq!(rig.outcome(), Some(expected), "{statuses:?}");
        let finals: Vec<u16> = rig
            .take()
            .iter()
            .filter(|(to, m)| to == PBX && m.status() >= 200)
            .map(|(_, m)| m.status())
            .collect();
        assert_eq!(finals.first(), Some(&seen), "{statuses:?}");
    }
}

#[test]
fn a_refusal_by_another_clapet_does_not_count() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(
        TRUNK_A,
        answer(&forwarded, 603, "Reason: SIP;cause=603;text=\"hours.window\"\r\n"),
    );
    assert_eq!(rig.outcome(), Some(Outcome::Failed));
}

#[test]
fn challenges_and_redirections_are_relayed_and_not_followed() {
    for (status, header) in [
        (401, "WWW-Authenticate: Digest realm=\"x\"\r\n"),
        (407, "Proxy-Authenticate: Digest realm=\"x\"\r\n"),
        (302, "Contact: <sip:+33699999999@elsewhere>\r\n"),
    ] {
        let mut rig = Rig::new();
        let forwarded = rig.forwarded(&invite());
        rig.receive(TRUNK_A, answer(&forwarded, status, header));
        assert_eq!(
            rig.lines().len(),
            2,
            "the ACK to the trunk and the response, no other INVITE"
        );
        rig.wait(Duration::from_millis(600));
        let repeated = rig.last_to(PBX);
        assert_eq!(repeated.status(), status);
        assert!(String::from_utf8_lossy(repeated.raw()).contains(header));
    }
}

#[test]
fn a_final_response_is_acknowledged_hop_by_hop_each_time() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 486, ""));
    let ack = rig.last_to(TRUNK_A);
    assert_eq!(ack.method(), Method::Ack);
    assert_eq!(
        (ack.request_uri(), ack.via().unwrap().raw),
        (forwarded.request_uri(), forwarded.via().unwrap().raw)
    );
    assert_eq!(ack.to().unwrap().tag(), Some("callee"));
    assert_eq!(ack.cseq().unwrap().number, 1);
    rig.receive(TRUNK_A, answer(&forwarded, 486, ""));
    assert_eq!(rig.lines().len(), 1, "another ACK and nothing else");
}

#[test]
fn timer_c_cancels_a_call_that_rings_for_too_long() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 180, "")).take();
    rig.wait(Duration::from_secs(100))
        .receive(TRUNK_A, answer(&forwarded, 180, ""))
        .take();
    rig.wait(Duration::from_secs(184));
    assert!(rig.lines().is_empty(), "each 18x begins it anew");
    rig.wait(Duration::from_secs(2));
    let cancel = rig.last_to(TRUNK_A);
    assert_eq!(cancel.method(), Method::Cancel);
    rig.receive(TRUNK_A, answer(&forwarded, 487, ""));
    assert_eq!(rig.last_to(PBX).status(), 408);
    assert_eq!(rig.outcome(), Some(Outcome::NoAnswer));
}

#[test]
fn a_gate_that_never_answers_is_an_unavailable_store() {
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).take();
    rig.wait(Duration::from_secs(33));
    let refusal = rig.last_to(PBX);
    assert_eq!(
        (refusal.status(), refusal.first(Header::Reason)),
        (403, Some("SIP;cause=403;text=\"store.unavailable\""))
    );
    rig.allow();
    assert!(
        rig.take().iter().all(|(to, _)| to == PBX),
        "a grant that comes late sends nothing"
    );
}

#[test]
fn a_call_of_a_trunk_reaches_whose_number_it_is_without_a_question() {
    let mut rig = Rig::new();
    let invite = request(
        "INVITE",
        "sip:+33162001005@10.0.9.9",
        "z9hG4bKin",
        "<sip:+33162001005@10.0.9.9>",
        "",
    );
    rig.receive(TRUNK_A, invite);
    assert!(rig.asked.is_empty());
    assert_eq!(
        rig.lines(),
        [
            "10.0.1.1:5090 100 INVITE",
            "10.0.0.1:5060 INVITE sip:+33162001005@10.0.0.1:5060"
        ]
    );
    let unknown = request(
        "INVITE",
        "sip:+33162009999@10.0.9.9",
        "z9hG4bKin2",
        "<sip:+33162009999@10.0.9.9>",
        "",
    );
    rig.receive(TRUNK_A, unknown);
    assert_eq!(rig.lines(), ["10.0.1.1:5090 404 INVITE"]);
}

#[test]
fn everything_is_forgotten_when_it_is_over() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 486, ""))
        .wait(Duration::from_secs(70));
    assert_eq!(
        (
            rig.proxy.contexts.len(),
            rig.proxy.servers.len(),
            rig.proxy.core.clients.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (
            rig.proxy.core.unheard.len(),
            rig.proxy.core.timers.len(),
            rig.proxy.pending()
        ),
        (0, 0, 0)
    );
    assert_eq!(rig.metrics.transactions.get(), 0);
}

#[test]
fn a_call_that_failed_and_was_acknowledged_still_hears_a_late_ring_and_a_late_answer() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 404, ""));
    let tag = rig.last_to(PBX).to().expect("a To").tag().expect("a tag").to_owned();
    let to = format!("<sip:0612345678@10.0.9.9>;tag={tag}");
    rig.receive(PBX, request("ACK", "sip:0612345678@10.0.9.9", "z9hG4bKinvite", &to, ""));
    assert_eq!(rig.outcome(), Some(Outcome::Failed));
    rig.take();
    rig.wait(Duration::from_secs(20))
        .receive(TRUNK_A, answer(&forwarded, 404, ""));
    let sent = rig.take();
    assert_eq!(sent.len(), 1, "the trunk had not got the ACK");
    assert_eq!((sent[0].0.as_str(), sent[0].1.method()), (TRUNK_A, Method::Ack));
    rig.receive(TRUNK_A, answer(&forwarded, 180, ""));
    assert!(rig.lines().is_empty());
    assert_eq!(rig.outcome(), Some(Outcome::NoAnswer));
    rig.receive(TRUNK_A, answer(&forwarded, 200, ""));
    assert_eq!(rig.lines(), ["10.0.0.1:5060 200 INVITE"]);
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
    assert_eq!(rig.metric("clapet_sip_retransmissions_total{direction=\"in\"}"), 1);
    rig.receive(PBX, invite());
    assert!(rig.lines().is_empty(), "its answer has been acknowledged");
    rig.wait(Duration::from_secs(20));
    assert_eq!((rig.proxy.contexts.len(), rig.proxy.servers.len()), (0, 0));
}

#[test]
fn what_is_left_of_an_answered_call_is_small() {
    use crate::sip::proxy::{context::Context, spent::Spent};
    assert!(size_of::<Spent>() * 3 < size_of::<Context>());
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&forwarded, 200, ""));
    assert_eq!(rig.proxy.contexts.iter().count(), 0, "no INVITE is kept");
    assert_eq!((rig.proxy.contexts.len(), rig.proxy.core.clients.len()), (1, 1));
}

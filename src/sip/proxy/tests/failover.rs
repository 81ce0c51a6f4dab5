//! The next trunk: when, and when not.

use super::*;

#[test]
fn a_503_leads_to_the_next_trunk_and_the_last_503_becomes_500() {
    let mut rig = Rig::new();
    let first = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&first, 503, ""));
    let second = rig.last_to(TRUNK_B);
    assert_eq!(second.request_uri(), "sip:0612345678@10.0.1.2:5090");
    assert_ne!(second.via().unwrap().branch(), first.via().unwrap().branch());
    assert_eq!(rig.outcome(), None);
    rig.receive(TRUNK_B, answer(&second, 503, ""));
    let last = rig.last_to(PBX);
    assert_eq!(last.status(), 500);
    assert!(last.to().unwrap().tag().is_some());
    assert_eq!(rig.outcome(), Some(Outcome::Failed));
}

#[test]
fn silence_until_timer_b_leads_to_the_next_trunk() {
    let mut rig = Rig::new();
    let first = rig.forwarded(&invite());
    rig.wait(Duration::from_secs(31));
    let repeated = rig.lines();
    assert_eq!(repeated.len(), 5, "timer A");
    assert!(repeated.iter().all(|line| line.starts_with(TRUNK_A)));
    rig.wait(Duration::from_secs(2));
    let second = rig.last_to(TRUNK_B);
    rig.receive(TRUNK_B, answer(&second, 486, ""));
    assert_eq!(rig.last_to(PBX).status(), 486);
    assert_eq!(rig.outcome(), Some(Outcome::Busy));
    rig.receive(TRUNK_A, answer(&first, 200, ""));
    assert_eq!(rig.last_to(PBX).status(), 200, "a late 2xx is never held back");
    assert_eq!(rig.outcome(), Some(Outcome::Answered));
}

#[test]
fn a_trunk_that_rings_after_it_was_given_up_is_cancelled_and_the_call_counts() {
    let mut peers = peers();
    peers.trunks.truncate(1);
    let mut rig = Rig::with(settings(), peers);
    let first = rig.forwarded(&invite());
    rig.wait(Duration::from_secs(33));
    assert_eq!(rig.last_to(PBX).status(), 408);
    assert_eq!(rig.outcome(), Some(Outcome::Failed));
    rig.receive(TRUNK_A, answer(&first, 180, ""));
    assert_eq!(rig.last_to(TRUNK_A).method(), Method::Cancel);
    assert_eq!(rig.outcome(), Some(Outcome::NoAnswer));
    rig.receive(TRUNK_A, answer(&first, 487, ""));
    assert_eq!(rig.last_to(TRUNK_A).method(), Method::Ack);
}

#[test]
fn a_send_that_failed_leads_to_the_next_trunk() {
    let mut rig = Rig::new();
    rig.forwarded(&invite());
    rig.proxy.send_failed(rig.now, Rig::flow(TRUNK_A));
    rig.drain();
    rig.last_to(TRUNK_B);
    rig.proxy.send_failed(rig.now, Rig::flow(TRUNK_B));
    rig.drain();
    assert_eq!(rig.last_to(PBX).status(), 500);
    assert_eq!(rig.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_failed_send_after_an_answer_is_about_something_else() {
    let mut rig = Rig::new();
    let first = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&first, 100, ""));
    rig.proxy.send_failed(rig.now, Rig::flow(TRUNK_A));
    rig.drain();
    assert!(rig.lines().is_empty());
}

#[test]
fn no_branch_starts_once_the_window_has_closed() {
    let closing = |closes| {
        let mut decision = decision(None);
        decision.verdict.valid_until = Some(moment(closes));
        decision
    };
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).decide(closing("2025-06-02T09:00:10Z"));
    let first = rig.last_to(TRUNK_A);
    rig.wait(Duration::from_secs(10)).take();
    rig.receive(TRUNK_A, answer(&first, 503, ""));
    assert_eq!(rig.last_to(PBX).status(), 500, "and trunk b is not tried");
    let mut rig = Rig::new();
    rig.receive(PBX, invite()).take();
    rig.decide(closing("2025-06-02T09:00:00Z"));
    let sent = rig.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.status(), 403);
}

#[test]
fn a_phone_that_rang_does_not_ring_again_through_another_trunk() {
    let mut rig = Rig::new();
    let first = rig.forwarded(&invite());
    rig.receive(TRUNK_A, answer(&first, 180, ""))
        .receive(TRUNK_A, answer(&first, 503, ""));
    let sent = rig.take();
    assert!(sent.iter().all(|(to, _)| to != TRUNK_B));
    assert_eq!(rig.outcome(), Some(Outcome::Rejected));
}

#[test]
fn other_refusals_are_final() {
    for status in [404, 480, 486, 500, 603] {
        let mut rig = Rig::new();
        let first = rig.forwarded(&invite());
        rig.receive(TRUNK_A, answer(&first, status, ""));
        assert_eq!(rig.last_to(PBX).status(), status);
    }
}

#[test]
fn without_a_trunk_the_call_ends_with_500() {
    let mut peers = peers();
    peers.trunks.clear();
    let mut rig = Rig::with(settings(), peers);
    rig.receive(PBX, invite()).take();
    rig.allow();
    assert_eq!(rig.lines(), ["10.0.0.1:5060 500 INVITE"]);
}

fn settings_with_tls() -> Settings {
    let mut settings = settings();
    settings.listeners.push(Listener {
        id: ListenerId(1),
        transport: Transport::Tls,
        advertise: Arc::from("10.0.9.9:5061"),
        local: "10.0.9.9:5061".parse().unwrap(),
    });
    settings
}

/// A name whose records lead over UDP first and over TLS next.
#[test]
fn of_a_name_with_several_transports_a_sips_call_tries_the_addresses_over_tls_only() {
    let place = |address: &str, transport, priority| Place {
        address: address.parse().unwrap(),
        transport,
        priority,
        weight: 0,
    };
    let mut peers = peers();
    peers.trunks.truncate(1);
    peers.trunks[0].places = vec![place(TRUNK_A, Transport::Udp, 1), place(TRUNK_B, Transport::Tls, 2)];
    for (invite, first) in [
        (invite(), TRUNK_A),
        (invite().replace("INVITE sip:", "INVITE sips:"), TRUNK_B),
    ] {
        let mut rig = Rig::with(settings_with_tls(), peers.clone());
        rig.receive(PBX, invite).allow();
        let sent = rig.take();
        let onward: Vec<&str> = sent.iter().map(|(to, _)| &**to).filter(|to| *to != PBX).collect();
        assert_eq!(onward, [first]);
    }
}

#[test]
fn a_sips_call_goes_to_trunks_over_tls_only() {
    let secure = invite().replace("INVITE sip:", "INVITE sips:");
    let mut rig = Rig::new();
    rig.receive(PBX, secure.clone()).allow();
    let lines = rig.lines();
    assert!(lines.iter().all(|line| line.starts_with(PBX)), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "10.0.0.1:5060 500 INVITE");

    let mut peers = peers();
    peers.trunks[1].target.transport = Transport::Tls;
    let mut rig = Rig::with(settings_with_tls(), peers);
    rig.receive(PBX, secure).allow();
    let forwarded = rig.last_to(TRUNK_B);
    assert_eq!(forwarded.request_uri(), "sips:0612345678@10.0.1.2:5090");
    assert!(forwarded.via().unwrap().raw.starts_with("SIP/2.0/TLS "));
}

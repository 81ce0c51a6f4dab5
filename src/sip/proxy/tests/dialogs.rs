//! Within a dialog: from either side with our Route, and not at all without it.

use super::*;

/// An answered call: its Record-Route as both sides know it.
fn answered(rig: &mut Rig) -> String {
    let forwarded = rig.forwarded(&invite());
    rig.receive(
        TRUNK_A,
        answer(&forwarded, 200, "Contact: <sip:callee@10.0.1.1:5091>\r\n"),
    );
    let ok = rig.last_to(PBX);
    ok.first(Header::RecordRoute).unwrap().to_owned()
}

const CALLEE: &str = "<sip:0612345678@10.0.9.9>;tag=callee";

fn from_caller(method: &str, uri: &str, branch: &str, route: &str) -> String {
    request(method, uri, branch, CALLEE, &format!("Route: {route}\r\n"))
}

fn from_callee(method: &str, uri: &str, route: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1:5090;branch=z9hG4bKback\r\nRoute: {route}\r\n\
         From: {CALLEE}\r\nTo: \"Acme\" <sip:+33162001000@pbx>;tag=caller\r\nCall-ID: call-1\r\nCSeq: 9 {method}\r\n\r\n"
    )
}

#[test]
fn the_ack_of_a_2xx_is_routed_without_a_transaction() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    let transactions = rig.proxy.contexts.len();
    let ack = from_caller("ACK", "sip:callee@10.0.1.1:5091", "z9hG4bKack", &route);
    rig.receive(PBX, ack.clone()).receive(PBX, ack);
    let sent = rig.take();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        line(&sent[0].0, &sent[0].1),
        "10.0.1.1:5091 ACK sip:callee@10.0.1.1:5091"
    );
    assert_eq!(sent[0].1.first(Header::Route), None);
    assert_eq!(sent[0].1.raw(), sent[1].1.raw(), "a repeated ACK keeps its branch");
    assert_eq!(rig.proxy.contexts.len(), transactions);
}

#[test]
fn an_ack_that_reuses_the_branch_of_its_invite_is_routed_too() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    rig.receive(
        PBX,
        from_caller("ACK", "sip:callee@10.0.1.1:5091", "z9hG4bKinvite", &route),
    );
    assert_eq!(rig.lines(), ["10.0.1.1:5091 ACK sip:callee@10.0.1.1:5091"]);
}

#[test]
fn requests_pass_from_either_side_and_their_responses_come_back() {
    for method in ["BYE", "INFO", "UPDATE", "PRACK", "INVITE", "REFER", "NOTIFY", "MESSAGE"] {
        let mut rig = Rig::new();
        let route = answered(&mut rig);
        rig.receive(
            PBX,
            from_caller(method, "sip:callee@10.0.1.1:5091", "z9hG4bKnext", &route),
        );
        let passed = rig.last_to("10.0.1.1:5091");
        assert!(rig.asked.is_empty(), "{method} is not judged");
        rig.receive(TRUNK_A, answer(&passed, 200, ""));
        assert_eq!(rig.lines(), [format!("10.0.0.1:5060 200 {method}")]);
        rig.receive(TRUNK_A, from_callee(method, "sip:pbx@10.0.0.1:5070", &route));
        let passed = rig.last_to("10.0.0.1:5070");
        assert_eq!(passed.first(Header::Route), None);
        rig.receive(PBX, answer(&passed, 481, ""));
        assert!(rig.lines().contains(&format!("10.0.1.1:5090 481 {method}")), "{method}");
    }
}

#[test]
fn a_name_that_only_the_peer_can_resolve_is_reached_where_the_call_came_from() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    rig.receive(
        PBX,
        from_caller("BYE", "sip:c@sbc-17.carrier.example.net", "z9hG4bKb", &route),
    );
    assert_eq!(rig.lines(), ["10.0.1.1:5090 BYE sip:c@sbc-17.carrier.example.net"]);
    rig.receive(TRUNK_A, from_callee("BYE", "sip:pbx@pbx.internal", &route));
    assert_eq!(rig.lines(), ["10.0.0.1:5060 BYE sip:pbx@pbx.internal"]);
}

#[test]
fn a_side_behind_nat_is_reached_where_the_call_came_from() {
    let mut peers = peers();
    peers.sources[0].addresses = address("198.51.100.0/24");
    let mut rig = Rig::with(settings(), peers);
    let nat = "198.51.100.7:40123";
    rig.receive(nat, invite()).allow();
    let forwarded = rig.last_to(TRUNK_A);
    rig.receive(
        TRUNK_A,
        answer(&forwarded, 200, "Contact: <sip:callee@10.0.1.1:5091>\r\n"),
    );
    let route = rig.last_to(nat).first(Header::RecordRoute).unwrap().to_owned();
    for (turn, (contact, to)) in [
        ("sip:pbx@192.168.1.10", nat),
        ("sip:pbx@10.0.0.1:5070;transport=tcp", nat),
        ("sip:pbx@198.51.100.9:5070", "198.51.100.9:5070"),
    ]
    .into_iter()
    .enumerate()
    {
        let bye = from_callee("BYE", contact, &route).replace("z9hG4bKback", &format!("z9hG4bK{turn}"));
        rig.receive(TRUNK_A, bye);
        assert_eq!(
            rig.lines(),
            [format!("{to} BYE {contact}")],
            "the Request-URI stays as it is"
        );
    }
    // The trunk's own private address is believed: it is seen in that network.
    rig.receive(
        nat,
        from_caller("BYE", "sip:callee@10.0.1.1:5091", "z9hG4bKnat", &route),
    );
    assert_eq!(rig.lines(), ["10.0.1.1:5091 BYE sip:callee@10.0.1.1:5091"]);
}

#[test]
fn further_routes_are_followed_loose_and_strict() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    let loose = format!("{route}, <sip:10.0.1.7:5080;lr>");
    rig.receive(PBX, from_caller("BYE", "sip:c@10.0.1.1", "z9hG4bKl", &loose));
    let sent = rig.take();
    assert_eq!(line(&sent[0].0, &sent[0].1), "10.0.1.7:5080 BYE sip:c@10.0.1.1");
    assert_eq!(sent[0].1.first(Header::Route), Some("<sip:10.0.1.7:5080;lr>"));
    let strict = format!("{route}, <sip:10.0.1.7:5080>, <sip:10.0.1.8;lr>");
    rig.receive(PBX, from_caller("BYE", "sip:c@10.0.1.1", "z9hG4bKs", &strict));
    let sent = rig.take();
    assert_eq!(line(&sent[0].0, &sent[0].1), "10.0.1.7:5080 BYE sip:10.0.1.7:5080");
    assert_eq!(
        sent[0].1.first(Header::Route),
        Some("<sip:10.0.1.8;lr>, <sip:c@10.0.1.1>")
    );
    let ours = route.trim_matches(['<', '>']);
    rig.receive(PBX, from_caller("BYE", ours, "z9hG4bKt", "<sip:c@10.0.1.1:5095>"));
    let sent = rig.take();
    assert_eq!(line(&sent[0].0, &sent[0].1), "10.0.1.1:5095 BYE sip:c@10.0.1.1:5095");
    assert_eq!(sent[0].1.first(Header::Route), None);
}

#[test]
fn a_tag_without_our_route_opens_nothing() {
    for (from, method, routes) in [
        (PBX, "INVITE", String::new()),
        (PBX, "INVITE", "Route: <sip:10.0.9.9;lr>\r\n".to_owned()),
        (PBX, "BYE", "Route: <sip:o00@10.0.9.9;lr>\r\n".to_owned()),
        (PBX, "MESSAGE", "Route: <sip:10.0.1.1:5090;lr>\r\n".to_owned()),
        (TRUNK_A, "INVITE", String::new()),
    ] {
        let mut rig = Rig::new();
        rig.receive(
            from,
            request(method, "sip:0612345678@10.0.1.1", "z9hG4bKx", CALLEE, &routes),
        );
        assert_eq!(
            rig.lines(),
            [format!("{from} 481 {method}").replace(TRUNK_A, "10.0.1.1:5090")]
        );
        assert!(rig.asked.is_empty());
    }
}

#[test]
fn an_ack_without_our_route_is_dropped() {
    let mut rig = Rig::new();
    rig.receive(PBX, request("ACK", "sip:0612345678@10.0.1.1", "z9hG4bKx", CALLEE, ""));
    assert!(rig.lines().is_empty());
}

#[test]
fn the_route_of_one_call_serves_no_other() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    let good = from_caller("INVITE", "sip:c@10.0.1.1", "z9hG4bKx", &route);
    for bad in [
        good.replace("call-1", "call-2"),
        good.replace("tag=caller", "tag=other"),
        good.replace("To: <sip:0612345678@", "To: <sip:0699999999@"),
    ] {
        rig.receive(PBX, bad);
        assert_eq!(rig.lines(), ["10.0.0.1:5060 481 INVITE"]);
    }
    rig.receive(PBX, good);
    assert_eq!(rig.lines()[1], "10.0.1.1:5060 INVITE sip:c@10.0.1.1");
}

#[test]
fn a_route_without_a_to_tag_is_removed_and_the_call_judged() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    let again = invite()
        .replace("z9hG4bKinvite", "z9hG4bKagain")
        .replace("Contact", &format!("Route: {route}\r\nContact"));
    rig.receive(PBX, again);
    assert_eq!(rig.asked.len(), 1);
}

#[test]
fn a_dialog_outlives_the_process_that_opened_it() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    let ok = answer(&forwarded, 200, "");
    let mut successor = Rig::with(
        Settings {
            instance: 8,
            seed: 99,
            ..settings()
        },
        peers(),
    );
    successor.receive(TRUNK_A, ok.clone());
    let passed = successor.last_to(PBX);
    assert_eq!((passed.status(), passed.values(Header::Via).count()), (200, 1));
    let route = passed.first(Header::RecordRoute).unwrap();
    successor.receive(PBX, from_caller("BYE", "sip:c@10.0.1.1:5091", "z9hG4bKbye", route));
    assert_eq!(successor.lines(), ["10.0.1.1:5091 BYE sip:c@10.0.1.1:5091"]);
    successor.receive(TRUNK_A, ok.replace("call-1", "call-2"));
    assert!(
        successor.lines().is_empty(),
        "what no process of ours caused is dropped"
    );
}

#[test]
fn between_two_listeners_each_side_gets_the_one_it_reaches() {
    let mut settings = settings();
    settings.listeners.push(Listener {
        id: ListenerId(1),
        transport: Transport::Tcp,
        advertise: Arc::from("10.0.9.9:5062"),
        local: "10.0.9.9:5062".parse().unwrap(),
    });
    let mut peers = peers();
    peers.trunks[0].target.transport = Transport::Tcp;
    let mut rig = Rig::with(settings, peers);
    let forwarded = rig.forwarded(&invite());
    let records: Vec<&str> = forwarded.values(Header::RecordRoute).collect();
    assert_eq!(records.len(), 2);
    assert!(
        records[0].ends_with("@10.0.9.9:5062;transport=tcp;lr>"),
        "{}",
        records[0]
    );
    assert!(records[1].ends_with("@10.0.9.9:5060;lr>"), "{}", records[1]);
    let routes = format!("{}, {}", records[1], records[0]);
    rig.receive(PBX, from_caller("BYE", "sip:c@10.0.1.1:5091", "z9hG4bKbye", &routes));
    let bye = rig.last_to("10.0.1.1:5091");
    assert_eq!(bye.first(Header::Route), None);
}

#[test]
fn a_non_invite_gets_100_late_and_never_408() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    rig.receive(PBX, from_caller("BYE", "sip:c@10.0.1.1:5091", "z9hG4bKbye", &route))
        .take();
    rig.wait(Duration::from_millis(3_400));
    assert!(rig.take().iter().all(|(to, _)| to != PBX));
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.last_to(PBX).status(), 100, "RFC 4320 §4.1");
    rig.wait(Duration::from_secs(40));
    assert!(rig.take().iter().all(|(to, _)| to != PBX), "RFC 4320 §4.2");
}

#[test]
fn an_answered_bye_gets_its_answer_again_for_64_t1_and_goes_on_once() {
    let mut rig = Rig::new();
    let route = answered(&mut rig);
    let bye = from_caller("BYE", "sip:c@10.0.1.1:5091", "z9hG4bKbye", &route);
    rig.receive(PBX, bye.clone());
    let forwarded = rig.last_to("10.0.1.1:5091");
    rig.receive("10.0.1.1:5091", answer(&forwarded, 200, "X-Kept: 1\r\n"))
        .take();
    let left = rig.proxy.contexts.iter().count();
    assert_eq!(left, 0, "neither request is kept");
    for wait in [1, 30] {
        rig.wait(Duration::from_secs(wait)).receive(PBX, bye.clone());
        let sent = rig.take();
        assert_eq!(sent.len(), 1, "after {wait} s");
        assert_eq!((sent[0].0.as_str(), sent[0].1.status()), (PBX, 200));
        assert_eq!(sent[0].1.named("X-Kept"), Some("1"));
        // Timer K is over the second time.
        rig.receive("10.0.1.1:5091", answer(&forwarded, 200, ""));
        assert!(rig.take().is_empty());
    }
    assert_eq!(rig.metric("clapet_sip_retransmissions_total{direction=\"in\"}"), 3);
    rig.wait(Duration::from_secs(2)).receive(PBX, bye);
    assert_eq!(rig.last_to("10.0.1.1:5091").method(), Method::Bye, "timer J");
}

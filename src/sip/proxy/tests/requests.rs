//! Requests that are not judged calls, strangers, faults, overload, emergency.

use super::*;

fn plain(method: &str, uri: &str, more: &str) -> String {
    request(method, uri, "z9hG4bKp", "<sip:x@y>", more)
}

#[test]
fn strangers_get_403_or_silence() {
    let mut rig = Rig::new();
    rig.receive(STRANGER, invite());
    let answer = rig.last_to(STRANGER);
    assert_eq!(
        (answer.status(), answer.first(Header::Reason)),
        (403, Some("SIP;cause=403;text=\"source.unknown\""))
    );
    let name =
        "clapet_invites_total{professional=\"none\",reason=\"source.unknown\",source=\"unknown\",verdict=\"refuse\"}";
    assert_eq!(rig.metric(name), 1);
    for method in ["OPTIONS", "REGISTER", "BYE"] {
        rig.receive(STRANGER, plain(method, "sip:10.0.9.9", ""));
        assert_eq!(rig.last_to(STRANGER).status(), 403, "{method}");
    }
    let mut silent = peers();
    silent.silence_unknown = true;
    let mut rig = Rig::with(settings(), silent);
    rig.receive(STRANGER, invite())
        .receive(STRANGER, "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n");
    assert!(rig.lines().is_empty());
    assert_eq!(rig.metric(name), 1);
}

#[test]
fn emergency_calls_wait_for_nobody() {
    for uri in ["sip:112@10.0.9.9", "sip:15@10.0.9.9", "urn:service:sos"] {
        let mut rig = Rig::new();
        rig.receive(PBX, request("INVITE", uri, "z9hG4bKe", "<sip:112@h>", ""));
        assert_eq!(rig.asked.len(), 1, "it is told, to be counted");
        let forwarded = rig.last_to(TRUNK_A);
        assert_eq!(forwarded.method(), Method::Invite);
        rig.decide(decision(Some(Reason::SourceSuspended)));
        assert!(rig.lines().is_empty(), "whatever the gate says");
        rig.receive(TRUNK_A, answer(&forwarded, 500, ""));
        rig.last_to(TRUNK_B);
    }
}

#[test]
fn emergency_calls_pass_when_draining_overloaded_or_unknown() {
    let emergency = || {
        request(
            "INVITE",
            "sip:112@10.0.9.9",
            "z9hG4bKe",
            "<sip:112@h>",
            "Proxy-Require: x\r\n",
        )
    };
    let mut rig = Rig::with(
        Settings {
            max_asks: 0,
            max_transactions: 0,
            ..settings()
        },
        peers(),
    );
    rig.proxy.drain();
    rig.receive(PBX, emergency());
    rig.last_to(TRUNK_A);
    assert!(rig.asked.is_empty());
    let mut rig = Rig::new();
    rig.receive("203.0.113.9:5060", emergency());
    rig.last_to(TRUNK_A);
    let mut rig = Rig::new();
    rig.receive("203.0.113.77:5060", emergency());
    assert_eq!(rig.lines(), ["203.0.113.77:5060 403 INVITE"]);
}

#[test]
fn an_emergency_call_falls_back_to_trunks_its_source_may_not_use() {
    let mut peers = peers();
    peers.sources[0].trunks = vec![crate::sip::peer::TrunkIndex(1)];
    let mut rig = Rig::with(settings(), peers);
    rig.receive(
        PBX,
        request("INVITE", "sip:112@10.0.9.9", "z9hG4bKe", "<sip:112@h>", ""),
    );
    let first = rig.last_to(TRUNK_B);
    rig.receive(TRUNK_B, answer(&first, 503, ""));
    rig.last_to(TRUNK_A);
}

#[test]
fn overload_and_drain_are_503_with_retry_after() {
    let mut rig = Rig::with(
        Settings {
            max_asks: 1,
            ..settings()
        },
        peers(),
    );
    rig.receive(PBX, invite()).take();
    let second = invite()
        .replace("z9hG4bKinvite", "z9hG4bKsecond")
        .replace("call-1", "call-2");
    rig.receive(PBX, second.clone());
    let refusal = rig.last_to(PBX);
    assert_eq!(refusal.status(), 503);
    assert!(refusal.first(Header::RetryAfter).is_some());
    assert_eq!(rig.asked.len(), 1);
    rig.allow().take();
    rig.receive(PBX, second.replace("z9hG4bKsecond", "z9hG4bKthird"));
    assert_eq!(rig.asked.len(), 1, "there is room again");
    rig.proxy.drain();
    rig.receive(PBX, second.replace("z9hG4bKsecond", "z9hG4bKfourth"));
    assert_eq!(rig.last_to(PBX).status(), 503);
    let mut full = Rig::with(
        Settings {
            max_transactions: 2,
            ..settings()
        },
        peers(),
    );
    full.forwarded(&invite());
    full.receive(PBX, second);
    assert_eq!(full.last_to(PBX).status(), 503);
}

#[test]
fn faults_get_the_status_that_the_rfc_names() {
    for (message, status) in [
        (
            plain("INVITE", "sip:0612345678@h", "").replace("Max-Forwards: 70", "Max-Forwards: 0"),
            483,
        ),
        (plain("INVITE", "http:0612345678", ""), 416),
        (plain("INVITE", "urn:service:counseling", ""), 416),
        (plain("INVITE", "sip:0612345678@h", "Proxy-Require: nothing\r\n"), 420),
        (
            plain("INVITE", "sip:0612345678@h", "").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
            400,
        ),
        (
            plain("INVITE", "sip:0612345678@h", "").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"),
            505,
        ),
    ] {
        let mut rig = Rig::new();
        rig.receive(PBX, message.clone());
        let answer = rig.last_to(PBX);
        assert_eq!(answer.status(), status, "{message}");
        assert_eq!(answer.first(Header::Unsupported), (status == 420).then_some("nothing"));
        assert!(rig.asked.is_empty());
    }
    let mut rig = Rig::new();
    for junk in ["", "\r\n\r\n", "hello\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"] {
        rig.receive(PBX, junk);
    }
    assert!(rig.lines().is_empty());
    assert_eq!(rig.metric("clapet_parse_errors_total{cause=\"start-line\"}"), 1);
}

#[test]
fn a_loop_is_482_and_a_spiral_is_none() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    let back = String::from_utf8(forwarded.raw().to_vec()).unwrap();
    // As it left, but to the Request-URI that it had come with: the same routing again.
    let looped = back.replace("sip:0612345678@carrier-a.example.net:5090", "sip:0612345678@10.0.9.9");
    rig.receive(
        PBX,
        looped.replace("Via: SIP", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKm\r\nVia: SIP"),
    );
    assert_eq!(rig.lines(), ["10.0.0.1:5060 482 INVITE"]);
    let spiral = back.replace("sip:0612345678@carrier-a.example.net:5090", "sip:+33162001000@10.0.9.9");
    rig.receive(TRUNK_A, spiral);
    assert_eq!(rig.take().last().unwrap().0, PBX);
}

#[test]
fn canvassing_sources_send_nothing_else_out_of_a_dialog() {
    for method in ["MESSAGE", "REFER", "SUBSCRIBE", "PUBLISH", "invite", "Invite"] {
        let mut rig = Rig::new();
        rig.receive(PBX, plain(method, "sip:0612345678@h", ""));
        let refusal = rig.last_to(PBX);
        assert_eq!(refusal.status(), 405, "{method}");
        assert!(refusal.named("Allow").unwrap().contains("INVITE"));
        let mut peers = peers();
        peers.sources[0].canvasses = false;
        let mut rig = Rig::with(settings(), peers);
        rig.receive(PBX, plain(method, "sip:0612345678@h", ""));
        let relayed = rig.last_to(TRUNK_A);
        let stays = matches!(method, "REFER" | "SUBSCRIBE");
        assert_eq!(relayed.first(Header::RecordRoute).is_some(), stays, "{method}");
    }
}

#[test]
fn options_to_us_are_answered_and_others_relayed() {
    let mut rig = Rig::new();
    rig.receive(PBX, plain("OPTIONS", "sip:10.0.9.9:5060", ""));
    assert_eq!(rig.last_to(PBX).status(), 200);
    rig.receive(TRUNK_A, plain("OPTIONS", "sip:10.0.9.9", ""));
    assert_eq!(rig.last_to("10.0.1.1:5090").status(), 200);
    rig.receive(
        PBX,
        plain("OPTIONS", "sip:0612345678@h", "").replace("z9hG4bKp", "z9hG4bKq"),
    );
    let relayed = rig.last_to(TRUNK_A);
    assert_eq!(relayed.method(), Method::Options);
    rig.receive(TRUNK_A, answer(&relayed, 200, ""));
    assert_eq!(rig.lines(), ["10.0.0.1:5060 200 OPTIONS"]);
    rig.receive(PBX, plain("REGISTER", "sip:carrier-a.example.net", ""));
    assert_eq!(rig.lines(), ["10.0.1.1:5090 REGISTER sip:carrier-a.example.net:5090"]);
}

#[test]
fn options_without_hops_left_are_answered_200_by_us_for_us_only() {
    let mut rig = Rig::new();
    for (uri, status) in [
        ("sip:10.0.9.9:5060", 200),
        ("sip:0612345678@h", 483),
        ("sip:10.0.1.1", 483),
    ] {
        for from in [PBX, TRUNK_A] {
            let options = plain("OPTIONS", uri, "").replace("Max-Forwards: 70", "Max-Forwards: 0");
            rig.receive(from, options);
            assert_eq!(rig.lines(), [format!("{from} {status} OPTIONS")], "{uri}");
        }
    }
    assert_eq!(rig.metric("clapet_parse_errors_total{cause=\"too-many-hops\"}"), 4);
}

#[test]
fn each_refusal_before_the_question_is_counted_by_its_cause() {
    let plain = |extra: &str| plain("INVITE", "sip:0612345678@h", extra);
    for (message, cause) in [
        (
            plain("").replace("sip:0612345678@h SIP", "http:0612345678 SIP"),
            "uri-scheme",
        ),
        (
            plain("").replace("Max-Forwards: 70", "Max-Forwards: 0"),
            "too-many-hops",
        ),
        (plain("Max-Breadth: 0\r\n"), "max-breadth"),
        (plain("Proxy-Require: nothing\r\n"), "proxy-require"),
        (plain("").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), "cseq-method"),
        (plain("").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), "version"),
        (plain("Content-Length: 900\r\n"), "content-length"),
    ] {
        let mut rig = Rig::new();
        rig.receive(PBX, message.clone());
        let answered = rig.last_to(PBX).status();
        assert!((400..600).contains(&answered), "{cause}: {answered}");
        let counted = rig.metric(&format!("clapet_parse_errors_total{{cause=\"{cause}\"}}"));
        assert_eq!(counted, 1, "{cause}: {message}");
    }
}

#[test]
fn responses_go_where_the_via_says_or_where_rport_asks() {
    for (via, to) in [
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKv", "10.0.0.1:5062"),
        ("SIP/2.0/UDP pbx.internal;branch=z9hG4bKv", "10.0.0.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bKv", "10.0.0.1:40000"),
        (
            "SIP/2.0/UDP 10.0.0.1:5062;maddr=203.0.113.1;branch=z9hG4bKv",
            "10.0.0.1:5062",
        ),
    ] {
        let mut rig = Rig::new();
        let message = invite().replace("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKinvite;rport", via);
        rig.receive("10.0.0.1:40000", message);
        assert_eq!(rig.lines(), [format!("{to} 100 INVITE")], "{via}");
    }
}

#[test]
fn responses_that_nobody_waits_for_are_dropped() {
    let mut rig = Rig::new();
    let forwarded = rig.forwarded(&invite());
    let ok = answer(&forwarded, 200, "");
    rig.receive(TRUNK_A, ok.replace("call-1", "call-9"));
    rig.receive(TRUNK_A, ok.replace("1 INVITE", "1 BYE"));
    rig.receive(TRUNK_A, ok.replace("z9hG4bK00000007", "z9hG4bK00000009"));
    assert!(rig.lines().is_empty());
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = || {
        let mut rig = Rig::new();
        rig.receive(PBX, invite()).allow().wait(Duration::from_secs(40));
        rig.take()
            .iter()
            .map(|(_, message)| message.raw().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

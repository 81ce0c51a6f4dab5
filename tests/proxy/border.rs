//! Who may send what: sources, trunks, strangers, emergencies; and what is read of whoever may.

use clapet::rules::{Callee, Reason};
use clapet::sip::message::{Header, Message};

use crate::support::gate::Say;
use crate::support::ua::{Invite, tag_of};
use crate::support::world::{NEIGHBOUR, PBX, PROXY, Packet, STRANGER, Setup, TRUNK_A, TRUNK_B, World, socket};
use crate::{request, seconds};

/// Statuses of the final answers that reached an end.
fn finals(world: &World, end: usize) -> Vec<u16> {
    world.ends[end]
        .inbox
        .iter()
        .map(|received| received.message.status())
        .filter(|&status| status >= 200)
        .collect()
}

/// What the proxy sent to an end, read.
fn sent(world: &World, end: usize) -> Vec<Message> {
    let to = world.ends[end].address;
    world
        .wire
        .iter()
        .filter(|packet| packet.from == socket(PROXY) && packet.to == to)
        .filter_map(|packet: &Packet| Message::parse(packet.bytes.clone()).ok())
        .collect()
}

#[test]
fn an_unknown_source_gets_403_source_unknown() {
    let mut world = World::new();
    let now = world.now;
    world.ends[STRANGER].invite(now, Invite::default());
    world.run(seconds(3));
    let answer = world.ends[STRANGER].clients[0].answer();
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.first(Header::Reason),
        Some("SIP;cause=403;text=\"source.unknown\"")
    );
    assert!(world.gate.asked.is_empty());
    assert_eq!(world.invites(TRUNK_A) + world.invites(TRUNK_B), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_unknown_source_may_be_met_with_silence() {
    let mut world = World::with(&Setup {
        silence_unknown: true,
        ..Setup::default()
    });
    let now = world.now;
    world.ends[STRANGER].invite(now, Invite::default());
    world.ends[STRANGER].send(request("OPTIONS", "probe", "Max-Forwards: 70\r\n"));
    world.run(seconds(40));
    assert!(world.sent_to(STRANGER).is_empty(), "{:?}", world.sent_to(STRANGER));
    assert!(world.gate.asked.is_empty());
    world.run_out_and_leave_nothing();
}

#[test]
fn an_emergency_call_passes_from_a_source_even_when_the_gate_never_answers() {
    for uri in [
        "sip:112@192.0.2.1:5060",
        "sip:15@192.0.2.1",
        "urn:service:sos",
        "urn:service:sos.fire",
        "tel:17;phone-context=+33",
    ] {
        let mut world = World::new();
        world.gate.say = Say::Never;
        let client = world.place(Invite {
            uri: Some(uri.into()),
            to: Some(format!("<{uri}>")),
            ..Invite::default()
        });
        world.run(seconds(5));
        assert_eq!(world.statuses(client), [200], "{uri}");
        assert_eq!(world.invites(TRUNK_A), 1);
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn an_emergency_call_passes_whatever_the_gate_says() {
    let mut world = World::new();
    world.gate.say = Say::Refuse(Reason::SourceSuspended, "suspended by the operator");
    let client = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_emergency_call_passes_when_the_gate_has_no_room_for_questions() {
    let mut world = World::with(&Setup {
        max_asks: 1,
        ..Setup::default()
    });
    world.gate.say = Say::Never;
    world.call();
    world.run(seconds(1));
    let client = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
}

#[test]
fn an_emergency_call_passes_from_an_unknown_address_among_those_allowed() {
    let mut world = World::new();
    world.gate.say = Say::Never;
    let now = world.now;
    let call = |callee: &str| Invite {
        callee: callee.into(),
        ..Invite::default()
    };
    let emergency = world.ends[NEIGHBOUR].invite(now, call("112"));
    let ordinary = world.ends[NEIGHBOUR].invite(now, call("0612345678"));
    let short = world.ends[NEIGHBOUR].invite(now, call("3949"));
    let stranger = world.ends[STRANGER].invite(now, call("112"));
    world.run(seconds(5));
    assert_eq!(world.ends[NEIGHBOUR].clients[emergency].statuses(), [200]);
    assert_eq!(world.ends[NEIGHBOUR].clients[ordinary].statuses(), [403]);
    assert_eq!(
        world.ends[NEIGHBOUR].clients[short].statuses(),
        [403],
        "short numbers are for configured sources"
    );
    assert_eq!(world.ends[STRANGER].clients[stranger].statuses(), [403]);
    assert_eq!(world.invites(TRUNK_A), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_emergency_call_fails_over_like_any_other() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(50, 503)]);
    let client = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.invites(TRUNK_B), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_from_a_trunk_reaches_the_pbx_and_is_not_judged() {
    let mut world = World::new();
    let now = world.now;
    let client = world.ends[TRUNK_A].invite(
        now,
        Invite {
            caller: "+33612345678".into(),
            callee: "0162001234".into(),
            ..Invite::default()
        },
    );
    world.run(seconds(5));
    assert_eq!(world.ends[TRUNK_A].clients[client].statuses(), [200]);
    assert_eq!(world.invites(PBX), 1);
    assert!(world.gate.asked.is_empty());
    let call_id = world.ends[TRUNK_A].clients[client].call_id.clone();
    for (from, to) in [(PBX, TRUNK_A), (TRUNK_A, PBX)] {
        let reinvite = world.request(from, &call_id, "INVITE");
        world.run(seconds(1));
        assert_eq!(world.ends[from].clients[reinvite].statuses(), [200]);
        assert_eq!(world.ends[to].requests.last().map(String::as_str), Some("INVITE"));
    }
    world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.ends[TRUNK_A].requests.last().map(String::as_str), Some("BYE"));
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_from_a_trunk_can_be_cancelled_refused_and_left_unanswered() {
    use crate::support::ua::Script;
    let mut world = World::new();
    let call = || Invite {
        callee: "+33162001234".into(),
        ..Invite::default()
    };
    world.ends[PBX]
        .scripts
        .extend([Script::of(&[(50, 486)]), Script::of(&[(50, 180)])]);
    let now = world.now;
    let busy = world.ends[TRUNK_A].invite(now, call());
    world.run(seconds(1));
    let now = world.now;
    let ringing = world.ends[TRUNK_A].invite(now, call());
    world.run(seconds(1));
    let now = world.now;
    world.ends[TRUNK_A].cancel(now, ringing);
    world.run(seconds(1));
    assert_eq!(world.ends[TRUNK_A].clients[busy].statuses(), [486]);
    assert_eq!(world.ends[TRUNK_A].clients[ringing].statuses(), [487]);
    assert!(world.ends[PBX].served[1].cancelled);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_from_a_trunk_to_nobodys_number_gets_404() {
    let mut world = World::new();
    let now = world.now;
    let client = world.ends[TRUNK_A].invite(now, Invite::default());
    world.run(seconds(2));
    assert_eq!(world.ends[TRUNK_A].clients[client].statuses(), [404]);
    assert_eq!(
        world.invites(PBX) + world.invites(TRUNK_B),
        0,
        "no call goes from trunk to trunk"
    );
    world.run_out_and_leave_nothing();
}

#[test]
fn preloaded_routes_of_a_source_are_removed() {
    for route in [
        "Route: <sip:192.0.2.1:5060;lr>, <sip:198.51.100.77:5060;lr>",
        "Route: <sip:198.51.100.77:5060;lr>",
        "route: <sip:198.51.100.77:5060>\r\nRoute:\r\n <sip:192.0.2.21:5060;lr>",
    ] {
        let mut world = World::new();
        let client = world.place(Invite {
            headers: vec![route.into()],
            ..Invite::default()
        });
        world.run(seconds(5));
        assert_eq!(world.statuses(client), [200]);
        assert_eq!(world.gate.asked.len(), 1, "judged like any call");
        assert_eq!(world.ends[TRUNK_A].served[0].request.values(Header::Route).count(), 0);
        assert!(
            world
                .wire
                .iter()
                .all(|packet| packet.to != socket("198.51.100.77:5060"))
        );
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn canvassers_send_no_messages_outside_a_dialog() {
    for method in ["MESSAGE", "REFER", "SUBSCRIBE", "PUBLISH"] {
        let mut world = World::new();
        world.ends[PBX].send(request(method, "lone", "Max-Forwards: 70\r\n"));
        world.run(seconds(1));
        assert_eq!(finals(&world, PBX), [405], "{method}");
        let allow = sent(&world, PBX)
            .last()
            .and_then(|answer| answer.named("Allow").map(str::to_owned));
        assert!(
            allow.is_some_and(|allow| allow.contains("INVITE")),
            "RFC 3261 §8.2.1: a 405 has an Allow"
        );
        assert!(world.sent_to(TRUNK_A).is_empty());
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn the_trunk_learns_who_judged_but_the_trusted_headers_stay_here() {
    let mut world = World::new();
    let client = world.place(Invite {
        headers: vec!["x-professional: acme".into(), "X-Other: stays".into()],
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.gate.asked[0].question.professional.as_deref(), Some("acme"));
    let request = &world.ends[TRUNK_A].served[0].request;
    assert_eq!(request.named("X-Professional"), None);
    assert_eq!(request.named("X-Other"), Some("stays"));
}

#[test]
fn reading_the_caller_follows_the_contract() {
    use clapet::numbering::Number;
    use clapet::rules::CallerId;
    let shown = |caller: CallerId| match caller {
        CallerId::Shown(Number::E164(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    // (From's user or whole From line, further headers, what the gate sees)
    let table: [(&str, &[&str], &str); 12] = [
        ("+33162001234", &[], "+33162001234"),
        ("0162001234", &[], "+33162001234"),
        ("%2B33162001234", &[], "+33162001234"),
        ("33162001234", &[], "+33162001234"),
        (
            "+33162001234",
            &["P-Asserted-Identity: <sip:+33612000000@192.0.2.10>"],
            "+33162001234",
        ),
        (
            "agent7",
            &["P-Asserted-Identity: <sip:+33162001234@192.0.2.10>"],
            "+33162001234",
        ),
        ("agent7", &[], "Unparseable"),
        (
            "anonymous",
            &["P-Asserted-Identity: <sip:+33162001234@192.0.2.10>"],
            "Masked",
        ),
        ("+33162001234", &["Privacy: id"], "Masked"),
        ("+33162001234", &["Privacy: header;critical"], "Masked"),
        ("+33162001234", &["Privacy: user"], "Masked"),
        ("+33162001234", &["Privacy: none"], "+33162001234"),
    ];
    for (caller, headers, expected) in table {
        let mut world = World::new();
        world.place(Invite {
            caller: caller.into(),
            headers: headers.iter().map(|line| (*line).to_owned()).collect(),
            ..Invite::default()
        });
        world.run(seconds(1));
        assert_eq!(
            shown(world.gate.asked[0].question.caller),
            expected,
            "{caller} {headers:?}"
        );
    }
    let mut world = World::new();
    let bare = request("INVITE", "nobody", "Max-Forwards: 70\r\n")
        .replace("<sip:+33162001234@192.0.2.10>", "<sip:192.0.2.10>");
    world.ends[PBX].send(bare);
    let hidden = request("INVITE", "hidden", "Max-Forwards: 70\r\n").replace(
        "<sip:+33162001234@192.0.2.10>",
        "\"Anonymous\" <sip:x@anonymous.invalid>",
    );
    world.ends[PBX].send(hidden);
    world.run(seconds(1));
    assert_eq!(world.gate.asked[0].question.caller, CallerId::Missing);
    assert_eq!(world.gate.asked[1].question.caller, CallerId::Masked);
}

#[test]
fn an_emergency_service_urn_is_told_from_a_number() {
    let mut world = World::new();
    world.place(Invite {
        uri: Some("urn:service:sos".into()),
        to: Some("<urn:service:sos>".into()),
        ..Invite::default()
    });
    world.run(seconds(1));
    let asked: Vec<_> = world.gate.asked.iter().map(|asked| asked.question.callee).collect();
    assert_eq!(asked, [Callee::EmergencyService]);
    let forwarded = &world.ends[TRUNK_A].served[0].request;
    assert!(
        forwarded.request_uri().starts_with("urn:service:sos"),
        "a URN has no host to rewrite: {}",
        forwarded.request_uri()
    );
    assert!(tag_of(forwarded, Header::To).is_none());
}

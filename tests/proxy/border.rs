//! Who may send what: sources, trunks, strangers, emergencies; and requests that a proxy must answer itself.

use clapet::rules::{Callee, Reason};
use clapet::sip::message::{Header, Message};

use crate::seconds;
use crate::support::gate::Say;
use crate::support::ua::{Invite, tag_of};
use crate::support::world::{NEIGHBOUR, PBX, PROXY, Packet, STRANGER, Setup, TRUNK_A, TRUNK_B, World, socket};

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

fn request(method: &str, branch: &str, headers: &str) -> String {
    format!(
        "{method} sip:0612345678@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-{branch}\r\n\
         {headers}From: <sip:+33162001234@192.0.2.10>;tag=a\r\nTo: <sip:0612345678@192.0.2.1:5060>\r\n\
         Call-ID: {branch}@192.0.2.10\r\nCSeq: 1 {method}\r\nContact: <sip:pbx@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n"
    )
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
fn max_forwards_zero_gets_483() {
    let mut world = World::new();
    let client = world.place(Invite {
        max_forwards: 0,
        ..Invite::default()
    });
    world.run(seconds(2));
    assert_eq!(world.statuses(client), [483]);
    assert!(
        world.gate.asked.is_empty(),
        "nothing is reserved for a call that cannot go"
    );
    assert_eq!(world.invites(TRUNK_A), 0);
    world.run_out_and_leave_nothing();
}

#[test]
fn max_forwards_goes_down_by_one_and_is_added_where_it_is_missing() {
    let mut world = World::new();
    world.call();
    world.ends[PBX].send(request("INVITE", "bare", ""));
    world.run(seconds(1));
    let served = &world.ends[TRUNK_A].served;
    let values: Vec<Option<u8>> = served.iter().map(|served| served.request.max_forwards()).collect();
    assert!(values.contains(&Some(69)));
    assert!(values.iter().all(Option::is_some), "RFC 3261 §16.6 3: {values:?}");
}

#[test]
fn a_call_that_comes_back_gets_482() {
    let mut world = World::new();
    let mut script = crate::support::ua::Script::of(&[(10, 100), (50, 180)]);
    script.steps.truncate(2);
    world.ends[TRUNK_A].script = script;
    world.call();
    world.run(seconds(1));
    let forwarded = &world.ends[TRUNK_A].inbox[0];
    // A network behind the trunk sends the call round to the PBX, which sends it to the proxy once more.
    let text = String::from_utf8_lossy(&forwarded.bytes).into_owned();
    let (_, rest) = text.split_once("\r\n").expect("lines");
    let original = String::from_utf8_lossy(&world.ends[PBX].clients[0].request).into_owned();
    let first = original.lines().next().expect("a first line").to_owned();
    let count = world.wire.len();
    world.ends[PBX].send(format!(
        "{first}\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-again\r\n{rest}"
    ));
    world.run(seconds(1));
    let answers: Vec<String> = world.wire[count..]
        .iter()
        .filter(|packet| packet.from == socket(PROXY) && packet.to == world.ends[PBX].address)
        .map(Packet::line)
        .collect();
    assert!(
        answers.iter().any(|line| line.starts_with("SIP/2.0 482")),
        "{answers:?}"
    );
    assert_eq!(world.invites(TRUNK_A), 1);
    assert_eq!(world.gate.asked.len(), 1);
}

#[test]
fn an_extension_asked_of_proxies_gets_420() {
    let mut world = World::new();
    let client = world.place(Invite {
        headers: vec!["Proxy-Require: foo, bar".into()],
        ..Invite::default()
    });
    world.run(seconds(2));
    let answer = world.ends[PBX].clients[client].answer();
    assert_eq!(answer.status(), 420);
    let unsupported: Vec<&str> = answer.values(Header::Unsupported).collect();
    assert_eq!(unsupported, ["foo", "bar"]);
    assert!(world.gate.asked.is_empty());
    world.run_out_and_leave_nothing();
}

#[test]
fn a_require_is_none_of_the_proxys_business() {
    let mut world = World::new();
    let client = world.place(Invite {
        headers: vec!["Require: 100rel, precondition".into()],
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
}

#[test]
fn a_malformed_invite_gets_400_and_is_counted() {
    let mut world = World::new();
    world.ends[PBX]
        .send(request("INVITE", "broken", "Max-Forwards: 70\r\n").replace("CSeq: 1 INVITE", "CSeq: x INVITE"));
    world.run(seconds(1));
    // The answer repeats the CSeq as it came, so that it is looked at as text.
    let answers = world.sent_to(PBX);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].starts_with("SIP/2.0 400"), "{answers:?}");
    assert!(world.gate.asked.is_empty());
    let counted: f64 = world
        .metrics
        .registry
        .gather()
        .iter()
        .filter(|family| family.name() == "clapet_parse_errors_total")
        .flat_map(|family| family.get_metric().to_vec())
        .map(|metric| metric.get_counter().get_value())
        .sum();
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    world.run_out();
    assert_eq!(world.metrics.transactions.get(), 0);
}

#[test]
fn what_is_no_message_is_dropped() {
    let mut world = World::new();
    for garbage in [
        "",
        "\r\n\r\n",
        "\0\0\0\0",
        "hello\r\n\r\n",
        "INVITE",
        "SIP/2.0 200 OK\r\n\r\n",
    ] {
        world.ends[PBX].send(garbage);
    }
    let long = vec![b'a'; 65_000];
    world.ends[PBX].send(&long);
    world.run(seconds(1));
    assert!(world.sent_to(PBX).is_empty());
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200], "and the next call goes");
    world.run_out_and_leave_nothing();
}

#[test]
fn an_ack_that_belongs_to_nothing_is_dropped() {
    let mut world = World::new();
    world.ends[PBX].send(request("ACK", "stray", "Max-Forwards: 70\r\n"));
    world.ends[STRANGER].send(request("ACK", "stray2", "Max-Forwards: 70\r\n"));
    world.run(seconds(1));
    assert!(world.sent_to(PBX).is_empty() && world.sent_to(STRANGER).is_empty());
    assert!(world.sent_to(TRUNK_A).is_empty());
    world.run_out_and_leave_nothing();
}

#[test]
fn a_response_that_belongs_to_nothing_goes_nowhere() {
    let mut world = World::new();
    let trunk = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-made-up\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-x\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: q\r\n\
         CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    world.ends[TRUNK_A].send(trunk);
    world.ends[STRANGER].send(trunk);
    world.run(seconds(1));
    assert!(world.sent_to(PBX).is_empty());
    world.run_out_and_leave_nothing();
}

/// The trunk's 200 to the PBX's first call, with these Via lines.
fn answer_with(world: &World, vias: &str) -> String {
    let call_id = &world.ends[PBX].clients[0].call_id;
    format!(
        "SIP/2.0 200 OK\r\n{vias}From: <sip:+33162001234@192.0.2.10>;tag=pbxf1\r\nTo: <sip:0612345678@192.0.2.1:5060>;tag=evil\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:evil@198.51.100.9>\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn an_answer_with_another_branch_is_nobodys() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(10, 100), (50, 180)]);
    let client = world.call();
    world.run(seconds(1));
    let request = world.ends[TRUNK_A].served[0].request.clone();
    let branch = crate::support::ua::branch_of(&request);
    let vias: Vec<String> = request.values(Header::Via).map(str::to_owned).collect();
    for at in ["z9hG4bK".len(), branch.len() / 2, branch.len() - 1] {
        let other = if branch.as_bytes()[at] == b'0' { '1' } else { '0' };
        let guessed = format!("{}{other}{}", &branch[..at], &branch[at + 1..]);
        let top = vias[0].replace(&branch, &guessed);
        let text = answer_with(&world, &format!("Via: {top}\r\nVia: {}\r\n", vias[1]));
        world.ends[STRANGER].send(text);
        world.run(seconds(1));
        assert!(
            world.statuses(client).is_empty(),
            "byte {at} of the branch is not looked at (RFC 3261 §17.1.3)"
        );
    }
}

#[test]
fn an_answer_without_the_callers_via_goes_nowhere() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(10, 100), (50, 180)]);
    let client = world.call();
    world.run(seconds(1));
    let request = world.ends[TRUNK_A].served[0].request.clone();
    let top = request.values(Header::Via).next().expect("our Via").to_owned();
    let text = answer_with(&world, &format!("Via: {top}\r\n"));
    let count = world.wire.len();
    world.ends[TRUNK_A].send(text);
    world.run(seconds(1));
    let forwarded: Vec<String> = world.wire[count..]
        .iter()
        .filter(|packet| packet.to == world.ends[PBX].address)
        .map(Packet::line)
        .collect();
    assert!(
        forwarded.iter().all(|line| !line.starts_with("SIP/2.0 200")),
        "RFC 3261 §16.7 3: {forwarded:?}"
    );
    assert!(world.ends[PBX].unreadable.is_empty());
    assert!(world.statuses(client).is_empty());
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
fn a_draining_proxy_takes_no_new_calls_and_ends_those_it_has() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(10, 100), (50, 180), (3000, 200)]);
    let first = world.call();
    world.run(seconds(1));
    world.proxy.drain();
    assert_eq!(world.proxy.pending(), 1);
    let second = world.call();
    world.run(seconds(1));
    let answer = world.ends[PBX].clients[second].answer();
    assert_eq!(answer.status(), 503);
    assert!(answer.first(Header::RetryAfter).is_some());
    world.run(seconds(3));
    assert_eq!(world.statuses(first), [200]);
    assert_eq!(world.proxy.pending(), 0);
    let call_id = world.call_id(first);
    let bye = world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.statuses(bye), [200], "in-dialog requests still pass");
    assert_eq!(world.gate.asked.len(), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn more_questions_than_may_wait_get_503_with_retry_after() {
    let mut world = World::with(&Setup {
        max_asks: 3,
        ..Setup::default()
    });
    world.gate.after = seconds(5);
    let clients: Vec<usize> = (0..5).map(|_| world.call()).collect();
    world.run(seconds(1));
    assert_eq!(world.gate.asked.len(), 3);
    for &client in &clients[3..] {
        let answer = world.ends[PBX].clients[client].answer();
        assert_eq!(answer.status(), 503);
        assert!(answer.first(Header::RetryAfter).is_some());
    }
    world.run(seconds(10));
    for &client in &clients[..3] {
        assert_eq!(world.statuses(client), [200]);
    }
    let next = world.call();
    world.run(seconds(8));
    assert_eq!(world.statuses(next), [200], "there is room again");
    world.run_out_and_leave_nothing();
}

#[test]
fn more_transactions_than_there_may_be_get_503_and_emergencies_and_byes_still_pass() {
    let mut world = World::with(&Setup {
        max_transactions: 4,
        ..Setup::default()
    });
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(10, 100), (50, 180), (20_000, 200)]);
    let mut clients: Vec<usize> = Vec::new();
    for _ in 0..6 {
        clients.push(world.call());
        world.run(crate::millis(100));
    }
    let refused = clients
        .iter()
        .filter(|&&client| world.statuses(client) == [503])
        .count();
    assert!(refused >= 2, "{refused} of six");
    let answer = world.ends[PBX].clients[*clients.last().expect("calls")].answer();
    assert!(answer.first(Header::RetryAfter).is_some());
    world.run(seconds(25));
    assert!(clients.iter().any(|&client| world.statuses(client) == [200]));
    world.run_out_and_leave_nothing();
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
    for asked in &world.gate.asked {
        assert_eq!(asked.question.callee, Callee::EmergencyService);
    }
    let forwarded = &world.ends[TRUNK_A].served[0].request;
    assert!(
        forwarded.request_uri().starts_with("urn:service:sos"),
        "a URN has no host to rewrite: {}",
        forwarded.request_uri()
    );
    assert!(tag_of(forwarded, Header::To).is_none());
}

//! Messages that are wrong: requests that a proxy must answer itself, and what belongs to no call.

use clapet::sip::message::Header;

use crate::support::ua::Invite;
use crate::support::world::{PBX, PROXY, Packet, STRANGER, TRUNK_A, World, socket};
use crate::{request, seconds};

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

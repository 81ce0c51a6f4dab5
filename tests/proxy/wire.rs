//! What goes over the wire: untouched bytes stay untouched, and the edits are the ones that RFC 3261 §16.6 asks for.

use clapet::sip::message::{Header, Message};
use clapet::sip::peer::NumberFormat;

use crate::support::ua::{Invite, branch_of};
use crate::support::world::{PBX, PROXY, Setup, TRUNK_A, World, socket};
use crate::{millis, seconds};

/// An INVITE in compact forms, with folding, odd spacing and headers nobody knows.
const ODD: &str = "INVITE sip:06-12.34(56)78;phone-context=+33;odd=%41@192.0.2.1:5060;user=phone SIP/2.0\r\n\
    v:  SIP / 2.0 / UDP 192.0.2.10:5060 ;rport;\r\n  branch=z9hG4bK-odd\r\n\
    f: \"Jean \\\"J\\\" Dupont, <ACME>\"  <sip:+33162001234@192.0.2.10>;tag=odd1\r\n\
    t :<sip:0612345678@192.0.2.1:5060>\r\n\
    i:odd-1@192.0.2.10\r\n\
    CSEQ:   0001\tINVITE\r\n\
    mAx-fOrWaRdS: 70\r\n\
    m: <sip:pbx@192.0.2.10:5060;ob>;expires=60\r\n\
    Subject: folded\r\n\tover\r\n   three lines\r\n\
    X-Bytes: caf\u{e9}, ;;,, \"\r\n\
    x-empty:\r\n\
    k: timer , replaces,path\r\n\
    c: application/sdp\r\n\
    l: 7\r\n\r\nv=0\r\n\n\n";

/// Header lines, folded ones whole, without the start line.
fn lines(text: &str) -> Vec<String> {
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<String> = Vec::new();
    for line in head.split("\r\n").skip(1) {
        if line.starts_with([' ', '\t']) {
            let last = lines.last_mut().expect("a line before a folded one");
            *last += "\r\n";
            *last += line;
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn a_forwarded_invite_is_the_same_but_for_the_edits() {
    let mut world = World::new();
    world.ends[PBX].send(ODD);
    world.run(seconds(1));
    let forwarded = String::from_utf8_lossy(&world.ends[TRUNK_A].inbox[0].bytes).into_owned();
    let before = lines(ODD);
    let after = lines(&forwarded);
    let edited = |line: &String| {
        let name = line.to_ascii_lowercase();
        name.starts_with("v:") || name.starts_with("max-forwards")
    };
    let kept: Vec<&String> = before.iter().filter(|line| !edited(line)).collect();
    let passed: Vec<&String> = after.iter().filter(|line| before.contains(line)).collect();
    assert_eq!(passed, kept, "every other header line is as it was, in its order");
    let added: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    let mut names: Vec<String> = added
        .iter()
        .map(|line| line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["max-breadth", "max-forwards", "record-route", "v", "via"],
        "{added:?}"
    );
    assert!(forwarded.ends_with("\r\n\r\nv=0\r\n\n\n"), "the body is as it was");

    let message = Message::parse(world.ends[TRUNK_A].inbox[0].bytes.clone()).expect("readable");
    assert_eq!(message.max_forwards(), Some(69));
    let vias: Vec<&str> = message.values(Header::Via).collect();
    assert_eq!(vias.len(), 2);
    assert!(vias[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060"), "{}", vias[0]);
    assert!(branch_of(&message).starts_with("z9hG4bK"));
    assert!(vias[1].contains("branch=z9hG4bK-odd"));
    assert!(
        vias[1].contains("rport=5060") && vias[1].contains("received=192.0.2.10"),
        "RFC 3581 §4: {}",
        vias[1]
    );
    let route = message.first(Header::RecordRoute).expect("a Record-Route");
    assert!(route.contains("192.0.2.1:5060") && route.contains(";lr"), "{route}");
    assert!(
        message
            .request_uri()
            .starts_with("sip:06-12.34(56)78;phone-context=+33;odd=%41@"),
        "the user part is as dialled: {}",
        message.request_uri()
    );
}

#[test]
fn an_answer_is_the_same_but_for_our_via() {
    let mut world = World::new();
    let mut script = crate::support::ua::Script::answered();
    script.steps[2].headers = vec!["X-Odd:a,\t\"b\" ,".into(), "Subject: folded\r\n  again".into()];
    script.steps[2].body = "v=0\r\n\0binary";
    world.ends[TRUNK_A].script = script;
    world.call();
    world.run(seconds(4));
    let trunk = world.ends[TRUNK_A].address;
    let pbx = world.ends[PBX].address;
    let sent = |from, to| {
        let packet = world
            .wire
            .iter()
            .find(|packet| packet.from == from && packet.to == to && packet.line().starts_with("SIP/2.0 200"))
            .expect("a 200");
        packet.text()
    };
    let before = sent(trunk, socket(PROXY));
    let after = sent(socket(PROXY), pbx);
    let ours = lines(&before)[0].clone();
    assert!(ours.starts_with("Via: SIP/2.0/UDP 192.0.2.1:5060"));
    assert_eq!(after, before.replacen(&format!("{ours}\r\n"), "", 1));
}

#[test]
fn an_ack_and_a_bye_are_the_same_but_for_via_route_and_max_forwards() {
    let mut world = World::new();
    let call_id = crate::call_up(&mut world);
    let dialog = world.ends[PBX].dialog_of(&call_id).expect("a dialog");
    let now = world.now;
    world.ends[PBX].request(now, dialog, "BYE", "X-Odd:a,\t\"b\" ,\r\n", "");
    world.run(seconds(1));
    let pbx = world.ends[PBX].address;
    let trunk = world.ends[TRUNK_A].address;
    let sent = |from, to| {
        let packet = world
            .wire
            .iter()
            .find(|packet| packet.from == from && packet.to == to && packet.line().starts_with("BYE"))
            .expect("a BYE");
        packet.text()
    };
    let before = sent(pbx, socket(PROXY));
    let after = sent(socket(PROXY), trunk);
    let kept = |text: &str| -> Vec<String> {
        lines(text)
            .into_iter()
            .filter(|line| {
                !["Via:", "Route:", "Max-Forwards:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .collect()
    };
    assert_eq!(kept(&after), kept(&before));
    assert_eq!(
        after.lines().next(),
        before.lines().next(),
        "the Request-URI is the trunk's Contact"
    );
}

#[test]
fn a_request_from_behind_nat_is_answered_where_it_came_from() {
    let mut world = World::new();
    world.gate.say = crate::support::gate::Say::Refuse(clapet::rules::Reason::HoursDay, "Sunday");
    let nat = |rport: &str, branch: &str| {
        format!(
            "INVITE sip:0612345678@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9:7000{rport};branch=z9hG4bK-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+33162001234@10.9.9.9>;tag=n\r\nTo: <sip:0612345678@192.0.2.1>\r\n\
             Call-ID: {branch}\r\nCSeq: 1 INVITE\r\nContact: <sip:pbx@10.9.9.9:7000>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    world.ends[PBX].send(nat(";rport", "with"));
    world.run(seconds(1));
    let answer = &world.ends[PBX]
        .inbox
        .last()
        .expect("an answer at the source's address and port")
        .message;
    let via = answer.via().expect("a Via");
    assert_eq!(
        (via.param("rport"), via.param("received")),
        (Some("5060"), Some("192.0.2.10"))
    );

    let count = world.wire.len();
    world.ends[PBX].send(nat("", "without"));
    world.run(seconds(1));
    let to: Vec<std::net::SocketAddr> = world.wire[count..]
        .iter()
        .filter(|packet| packet.from == socket(PROXY) && packet.text().contains("Call-ID: without"))
        .map(|packet| packet.to)
        .collect();
    assert!(
        !to.is_empty() && to.iter().all(|to| *to == socket("192.0.2.10:7000")),
        "RFC 3261 §18.2.2: received's address, the Via's port: {to:?}"
    );
}

#[test]
fn branches_differ_from_call_to_call_and_from_trunk_to_trunk() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(20, 503)]);
    for _ in 0..20 {
        world.call();
        world.run(millis(100));
    }
    let mut branches: Vec<String> = world
        .ends
        .iter()
        .skip(TRUNK_A)
        .flat_map(|end| end.served.iter().map(|served| branch_of(&served.request)))
        .collect();
    assert_eq!(branches.len(), 40);
    branches.sort();
    branches.dedup();
    assert_eq!(branches.len(), 40);
    assert!(branches.iter().all(|branch| branch.starts_with("z9hG4bK")));
}

#[test]
fn a_trunk_may_want_numbers_in_another_form() {
    for (format, dialled, expected) in [
        (NumberFormat::AsDialled, "0033612345678", "0033612345678"),
        (NumberFormat::AsDialled, "06%2D12345678", "06%2D12345678"),
        (NumberFormat::E164, "0612345678", "+33612345678"),
        (NumberFormat::E164, "+33612345678", "+33612345678"),
        (NumberFormat::National, "+33612345678", "0612345678"),
        (NumberFormat::National, "0033612345678", "0612345678"),
        (NumberFormat::E164, "3949", "3949"),
        (NumberFormat::E164, "112", "112"),
    ] {
        let mut world = World::with(&Setup {
            number_format: format,
            ..Setup::default()
        });
        world.place(Invite {
            callee: dialled.into(),
            ..Invite::default()
        });
        world.run(seconds(1));
        let request = &world.ends[TRUNK_A].served[0].request;
        let uri = clapet::sip::message::Uri::parse(request.request_uri()).expect("a URI");
        assert_eq!(uri.user, Some(expected), "{format:?} {dialled}");
        assert_eq!(
            request.to().and_then(|to| to.uri.user),
            Some(dialled),
            "To is never touched"
        );
    }
}

#[test]
fn a_body_of_many_bytes_passes_whole() {
    let body: String = (0..3000).map(|count| format!("a=line:{count}\r\n")).collect();
    let mut world = World::new();
    let client = world.place(Invite {
        body: body.clone(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.ends[TRUNK_A].served[0].request.body(), body.as_bytes());
}

#[test]
fn a_max_breadth_is_kept_and_one_of_zero_gets_440() {
    let mut world = World::new();
    for (breadth, status) in [("7", 200), ("0", 440), ("00", 440)] {
        let client = world.place(Invite {
            headers: vec![format!("Max-Breadth: {breadth}")],
            ..Invite::default()
        });
        world.run(seconds(5));
        assert_eq!(world.statuses(client), [status], "RFC 5393 §5.3.3");
    }
    assert_eq!(world.invites(TRUNK_A), 1);
    let forwarded = &world.ends[TRUNK_A].served[0].request;
    let breadths: Vec<&str> = forwarded.values(Header::MaxBreadth).collect();
    assert_eq!(breadths, ["7"]);
    world.run_out_and_leave_nothing();
}

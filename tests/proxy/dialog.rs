//! Requests within a dialog: they pass by our own Route, and nothing else walks around the rules.

use clapet::sip::message::{Header, Message};

use crate::support::ua::{SDP, tag_of};
use crate::support::world::{PBX, TRUNK_A, TRUNK_B, World};
use crate::{call_up, seconds};

#[test]
fn requests_of_either_side_pass_in_the_dialog_and_are_not_judged() {
    for (from, to) in [(PBX, TRUNK_A), (TRUNK_A, PBX)] {
        let mut world = World::new();
        let call_id = call_up(&mut world);
        for method in [
            "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "OPTIONS", "BYE",
        ] {
            let client = world.request(from, &call_id, method);
            world.run(seconds(2));
            assert_eq!(world.ends[from].clients[client].statuses(), [200], "{method}");
            assert_eq!(world.ends[to].requests.last().map(String::as_str), Some(method));
        }
        assert_eq!(world.gate.asked.len(), 1);
        assert_eq!(world.ends[to].requests.len(), 8);
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn a_reinvite_that_holds_the_call_is_acknowledged_end_to_end() {
    let mut world = World::new();
    let call_id = call_up(&mut world);
    let dialog = world.ends[PBX].dialog_of(&call_id).expect("a dialog");
    let hold = SDP.replace("RTP/AVP 8\r\n", "RTP/AVP 8\r\na=sendonly\r\n");
    let now = world.now;
    let client = world.ends[PBX].request(now, dialog, "INVITE", "", &hold);
    world.run(seconds(2));
    assert_eq!(world.ends[PBX].clients[client].statuses(), [200]);
    let held = world.ends[TRUNK_A].served.last().expect("a re-INVITE");
    assert!(held.request.body().ends_with(b"a=sendonly\r\n"));
    assert!(held.acked);
    assert_eq!(held.request.values(Header::Via).count(), 2);
    world.run_out_and_leave_nothing();
}

#[test]
fn requests_in_the_dialog_go_where_the_contact_points_without_our_route() {
    let mut world = World::new();
    let call_id = call_up(&mut world);
    world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    let bye = &world.ends[TRUNK_A].inbox.last().expect("a BYE").message;
    assert_eq!(bye.method_name(), "BYE");
    assert_eq!(bye.request_uri(), "sip:trunka@192.0.2.20:5060");
    assert_eq!(bye.values(Header::Route).count(), 0, "our Route is taken off");
    assert_eq!(bye.max_forwards(), Some(69));
}

#[test]
fn a_call_whose_first_trunk_failed_keeps_to_the_second() {
    let mut world = World::new();
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(50, 503)]);
    let call_id = call_up(&mut world);
    world.request(TRUNK_B, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.ends[PBX].requests, ["BYE"]);
    world.run_out_and_leave_nothing();
}

/// The PBX's ACK or BYE of a call that is up, as it would send it.
fn in_dialog(world: &World, call_id: &str, method: &str) -> String {
    let dialog = world.ends[PBX].dialog_of(call_id).expect("a dialog");
    let dialog = &world.ends[PBX].dialogs[dialog];
    let routes: String = dialog
        .routes
        .iter()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    format!(
        "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-forged-{method}\r\nMax-Forwards: 70\r\n{routes}\
         From: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: 50 {method}\r\nContact: <sip:pbx@192.0.2.10:5060>\r\n\
         Content-Length: 0\r\n\r\n",
        dialog.target, dialog.local, dialog.remote
    )
}

/// First lines sent to the PBX and to the trunk since a count of packets.
fn since(world: &World, count: usize) -> (Vec<String>, Vec<String>) {
    let to = |end: usize| {
        let address = world.ends[end].address;
        world.wire[count..]
            .iter()
            .filter(|packet| packet.to == address)
            .map(crate::support::world::Packet::line)
            .collect()
    };
    (to(PBX), to(TRUNK_A))
}

fn forged(change: impl Fn(&World, &str, String) -> String) {
    for method in ["INVITE", "BYE", "INFO", "MESSAGE", "REFER"] {
        let mut world = World::new();
        let call_id = call_up(&mut world);
        let text = change(&world, &call_id, in_dialog(&world, &call_id, method));
        let count = world.wire.len();
        world.ends[PBX].send(text);
        world.run(seconds(1));
        let (pbx, trunk) = since(&world, count);
        assert_eq!(trunk, Vec::<String>::new(), "{method} reached the trunk");
        let finals: Vec<&String> = pbx.iter().filter(|line| !line.starts_with("SIP/2.0 1")).collect();
        assert!(
            !finals.is_empty() && finals.iter().all(|line| line.starts_with("SIP/2.0 481")),
            "{method}: {pbx:?}"
        );
        assert_eq!(world.gate.asked.len(), 1, "{method}: not judged either");
    }
    // There is nothing to answer an ACK with.
    let mut world = World::new();
    let call_id = call_up(&mut world);
    let text = change(&world, &call_id, in_dialog(&world, &call_id, "ACK"));
    let count = world.wire.len();
    world.ends[PBX].send(text);
    world.run(seconds(1));
    let (pbx, trunk) = since(&world, count);
    assert_eq!((pbx, trunk), (Vec::new(), Vec::new()), "an ACK is dropped");
}

/// Without its Route lines.
fn without_routes(text: &str) -> String {
    text.split_inclusive("\r\n")
        .filter(|line| !line.starts_with("Route:"))
        .collect()
}

#[test]
fn a_to_tag_without_our_route_gets_481() {
    forged(|_, _, text| without_routes(&text));
}

#[test]
fn a_route_to_us_without_our_mac_gets_481() {
    forged(|_, _, text| {
        let bare = without_routes(&text);
        bare.replacen("From:", "Route: <sip:192.0.2.1:5060;lr>\r\nFrom:", 1)
    });
}

#[test]
fn a_route_with_a_mac_of_another_call_gets_481() {
    forged(|_, _, text| {
        // The MAC is over the Call-ID: the same Route under another one is worth nothing.
        text.replacen("Call-ID: ", "Call-ID: other-", 1)
    });
}

#[test]
fn a_route_with_the_mac_under_another_callers_tag_gets_481() {
    forged(|_, _, text| text.replacen(";tag=pbxf", ";tag=other", 1));
}

#[test]
fn a_to_that_names_another_callee_gets_481() {
    forged(|_, _, text| text.replacen("To: <sip:0612345678@", "To: <sip:0699999999@", 1));
}

#[test]
fn a_route_with_one_byte_changed_gets_481() {
    // Wherever in the user part the MAC stands, and whatever it covers.
    for part in 0..5 {
        forged(move |_, _, text| {
            let start = text.find("Route: <sip:").expect("a Route") + "Route: <sip:".len();
            let end = start + text[start..].find('@').expect("what we wrote, before the host");
            let at = start + (end - start - 1) * part / 4;
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            format!("{}{other}{}", &text[..at], &text[at + 1..])
        });
    }
}

#[test]
fn the_callers_route_does_not_serve_the_other_direction() {
    // The MAC is over the direction too: what the trunk was given does not open the way for the PBX.
    let mut world = World::new();
    let call_id = call_up(&mut world);
    let pbx = world.ends[PBX].dialogs[world.ends[PBX].dialog_of(&call_id).expect("a dialog")].clone();
    let text = in_dialog(&world, &call_id, "BYE");
    let swapped = text
        .replacen(&format!("From: {}", pbx.local), "From: \u{1}", 1)
        .replacen(&format!("To: {}", pbx.remote), &format!("To: {}", pbx.local), 1)
        .replacen("From: \u{1}", &format!("From: {}", pbx.remote), 1);
    let count = world.wire.len();
    world.ends[PBX].send(swapped);
    world.run(seconds(1));
    let (answers, trunk) = since(&world, count);
    assert_eq!(trunk, Vec::<String>::new());
    assert!(
        answers.iter().all(|line| line.starts_with("SIP/2.0 481")) && !answers.is_empty(),
        "{answers:?}"
    );
}

#[test]
fn the_tag_and_route_of_a_call_open_no_second_callee() {
    let mut world = World::new();
    let call_id = call_up(&mut world);
    // Everything of the dialog is right but the Request-URI, which names someone else at the trunk.
    let text = in_dialog(&world, &call_id, "INVITE").replacen(
        "INVITE sip:trunka@192.0.2.20:5060",
        "INVITE sip:0699999999@192.0.2.20:5060",
        1,
    );
    let count = world.wire.len();
    world.ends[PBX].send(text);
    world.run(seconds(1));
    // RFC 3261 §12.2: within a dialog the trunk acts on the dialog; the proxy may pass it on, but never as a new call.
    let reached: Vec<Message> = world.wire[count..]
        .iter()
        .filter(|packet| packet.to == world.ends[TRUNK_A].address)
        .filter_map(|packet| Message::parse(packet.bytes.clone()).ok())
        .collect();
    assert!(reached.iter().all(|message| tag_of(message, Header::To).is_some()));
    assert_eq!(world.gate.asked.len(), 1);
}

#[test]
fn a_call_is_recognised_after_the_proxy_was_replaced() {
    let mut world = World::new();
    let call_id = call_up(&mut world);
    // The same key, no memory: the Route alone tells the call.
    let mut fresh = World::new();
    std::mem::swap(&mut world.proxy, &mut fresh.proxy);
    let client = world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.ends[PBX].clients[client].statuses(), [200]);
    assert_eq!(world.ends[TRUNK_A].requests, ["BYE"]);
}

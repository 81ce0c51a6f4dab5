//! More than can be carried, or a proxy that drains: new calls are turned away cheaply, everything else is served, and neighbours that
//! ask are told.

use std::time::Duration;

use clapet::sip::message::Header;

use crate::support::ua::Invite;
use crate::support::world::{PBX, Setup, TRUNK_A, World};
use crate::{call_up, millis, seconds};

/// The worker has been busy all of the time for so long.
fn saturate(world: &mut World, period: Duration) {
    for _ in 0..period.as_millis() / 50 {
        world.proxy.worked(millis(50), Duration::ZERO);
    }
}

/// It has had little to do.
fn rest(world: &mut World, period: Duration) {
    for _ in 0..period.as_millis() / 50 {
        world.proxy.worked(millis(5), millis(45));
    }
}

#[test]
fn a_saturated_worker_turns_new_calls_away_and_takes_all_again_when_it_has_time() {
    let mut world = World::new();
    let call_id = call_up(&mut world);
    let pending = world.call();
    world.run(millis(20));
    saturate(&mut world, seconds(10));
    let clients: Vec<_> = (0..200).map(|_| world.call()).collect();
    let emergency = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.cancel(pending);
    let bye = world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    let refused: Vec<_> = clients
        .iter()
        .filter(|&&client| world.statuses(client) == [503])
        .collect();
    assert!(refused.len() >= 180, "{} of 200", refused.len());
    for client in refused {
        let answer = world.ends[PBX].clients[*client].answer();
        assert!(answer.first(Header::RetryAfter).is_some());
    }
    assert_eq!(world.statuses(bye), [200], "calls in progress end");
    assert_eq!(world.statuses(pending), [487], "and are cancelled");
    world.run(seconds(4));
    assert_eq!(world.statuses(emergency), [200]);
    let shed = world.metrics.invites_shed.with_label_values(&["bpo", "load"]).get();
    assert!(shed >= 180);

    rest(&mut world, seconds(4));
    let after: Vec<_> = (0..50).map(|_| world.call()).collect();
    world.run(seconds(4));
    for client in after {
        assert_eq!(world.statuses(client), [200]);
    }
    world.run_out_and_leave_nothing();
}

/// An INVITE with something in its Via.
fn invite(via: &str, number: u32) -> String {
    format!(
        "INVITE sip:0612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-oc{number}{via}\r\n\
         From: <sip:+33162001234@h>;tag=a\r\nTo: <sip:0612345678@h>\r\nCall-ID: oc{number}\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nContact: <sip:pbx@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The topmost Via of every answer the PBX got to that call.
fn vias(world: &World, number: u32) -> Vec<String> {
    world.ends[PBX]
        .inbox
        .iter()
        .map(|one| &one.message)
        .filter(|message| message.call_id() == format!("oc{number}"))
        .map(|message| message.first(Header::Via).expect("a Via").to_owned())
        .collect()
}

#[test]
fn a_neighbour_that_offers_overload_control_is_told_in_every_answer() {
    let mut world = World::new();
    world.ends[PBX].send(invite(";oc;oc-algo=\"loss\"", 1));
    world.run(seconds(3));
    let told = vias(&world, 1);
    assert!(told.len() >= 3, "100, 180, 200: {told:?}");
    for via in &told {
        assert!(via.contains(";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq="), "{via}");
        assert_eq!(via.matches("oc-algo").count(), 1, "{via}");
    }
    saturate(&mut world, seconds(10));
    let mut shed = Vec::new();
    for number in 2..20 {
        world.ends[PBX].send(invite(";oc;oc-algo=\"loss\"", number));
        world.run(millis(10));
        shed.extend(vias(&world, number));
    }
    assert!(!shed.is_empty());
    for via in &shed {
        assert!(
            via.contains(";oc=99;oc-algo=\"loss\";oc-validity=1000;oc-seq="),
            "{via}"
        );
    }
}

#[test]
fn what_is_no_offer_is_left_as_it_is_and_the_trunk_sees_none_of_ours() {
    let mut world = World::new();
    for (number, via) in (1..).zip([
        "",
        ";oc",
        ";oc=50;oc-algo=\"loss\"",
        ";oc;oc-algo=\"rate\"",
        ";oc;oc-algo",
    ]) {
        world.ends[PBX].send(invite(via, number));
        world.run(seconds(3));
        let told = vias(&world, number);
        assert!(!told.is_empty());
        for told in told {
            assert!(!told.contains("oc-seq"), "{via}: {told}");
        }
    }
    let ours = world.ends[TRUNK_A].served[0].request.via().expect("a Via");
    assert_eq!(ours.param("oc"), None);
}

#[test]
fn full_tables_turn_calls_away_until_a_quarter_is_free_again() {
    let mut world = World::with(&Setup {
        max_asks: 8,
        ..Setup::default()
    });
    world.gate.after = seconds(5);
    for number in 0..8 {
        world.call();
        world.run(millis(100 * (number % 2)));
    }
    let ninth = world.call();
    world.run(millis(10));
    assert_eq!(world.statuses(ninth), [503]);
    world.run(millis(4_690));
    assert_eq!(world.gate.asked.len(), 8);
    let between = world.call();
    world.run(millis(1));
    assert_eq!(world.statuses(between).len(), 0, "still under way");
    world.run(seconds(10));
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
    let call_id = call_up(&mut world);
    world.run(seconds(40));
    world.ends[TRUNK_A].script = crate::support::ua::Script::of(&[(10, 100), (50, 180), (20_000, 200)]);
    let mut clients: Vec<usize> = Vec::new();
    for _ in 0..6 {
        clients.push(world.call());
        world.run(millis(100));
    }
    let refused = clients
        .iter()
        .filter(|&&client| world.statuses(client) == [503])
        .count();
    assert!(refused >= 2, "{refused} of six");
    let answer = world.ends[PBX].clients[*clients.last().expect("calls")].answer();
    assert!(answer.first(Header::RetryAfter).is_some());
    let emergency = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    let bye = world.request(PBX, &call_id, "BYE");
    world.run(seconds(25));
    assert_eq!((world.statuses(emergency), world.statuses(bye)), (vec![200], vec![200]));
    assert!(clients.iter().any(|&client| world.statuses(client) == [200]));
    world.run_out_and_leave_nothing();
}

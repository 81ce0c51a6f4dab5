//! Trunks that are probed: down after several silent probes, up after several answers, calls go to those that are up.

use std::time::Duration;

use clapet::sip::peer::Probing;

use crate::seconds;
use crate::support::network::Down;
use crate::support::ua::{Script, Step};
use crate::support::world::{PBX, Setup, TRUNK_A, TRUNK_B, World};

const PROBING: Probing = Probing {
    every: Duration::from_secs(10),
    fail_after: 3,
    up_after: 2,
};

fn world() -> World {
    World::with(&Setup {
        options: Some(PROBING),
        ..Setup::default()
    })
}

fn up(world: &World, trunk: &str) -> i64 {
    world.metrics.trunk_up.with_label_values(&[trunk]).get()
}

fn probes(world: &World, end: usize) -> usize {
    world
        .sent_to(end)
        .iter()
        .filter(|line| line.starts_with("OPTIONS"))
        .count()
}

#[test]
fn a_trunk_that_answers_is_probed_once_a_period_and_stays_up() {
    let mut world = world();
    world.run(seconds(95));
    assert_eq!((probes(&world, TRUNK_A), probes(&world, TRUNK_B)), (10, 10));
    assert_eq!((up(&world, "trunka"), up(&world, "trunkb")), (1, 1));
    assert!(probes(&world, PBX) == 0);
    let probe = world.ends[TRUNK_A].inbox[0].message.clone();
    assert_eq!(probe.request_uri(), "sip:192.0.2.20:5060");
    assert_eq!(probe.max_forwards(), Some(70));
}

#[test]
fn a_silent_trunk_goes_down_after_three_probes_and_calls_pass_it_by() {
    let mut world = world();
    let trunk = world.ends[TRUNK_A].address;
    world.run(seconds(5));
    world.network.set_down(trunk, Down::Silent);
    world.run(seconds(20));
    assert_eq!(up(&world, "trunka"), 1, "two failures are not enough");
    assert_eq!(
        probes(&world, TRUNK_A),
        1 + 4 + 4,
        "each sent again three times: at 0.5, 1.5 and 3.5 seconds"
    );
    world.run(seconds(10));
    assert_eq!(up(&world, "trunka"), 0);
    let client = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200], "at once, not after timer B");
    assert_eq!((world.invites(TRUNK_A), world.invites(TRUNK_B)), (0, 1));

    world.network.set_up(trunk);
    world.run(seconds(7));
    assert_eq!(up(&world, "trunka"), 0, "one answer is not enough");
    world.run(seconds(10));
    assert_eq!(up(&world, "trunka"), 1);
    let client = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!((world.invites(TRUNK_A), world.invites(TRUNK_B)), (1, 1));
}

#[test]
fn an_unreachable_trunk_fails_its_probe_at_once() {
    let mut world = world();
    let trunk = world.ends[TRUNK_A].address;
    world.network.set_down(trunk, Down::Unreachable);
    world.run(seconds(21));
    assert_eq!(up(&world, "trunka"), 0, "the third probe, two periods after the first");
}

#[test]
fn where_every_trunk_is_down_calls_are_tried_in_order_all_the_same() {
    let mut world = world();
    for end in [TRUNK_A, TRUNK_B] {
        let trunk = world.ends[end].address;
        world.network.set_down(trunk, Down::Unreachable);
    }
    world.run(seconds(25));
    assert_eq!((up(&world, "trunka"), up(&world, "trunkb")), (0, 0));
    let trunk = world.ends[TRUNK_B].address;
    world.network.set_up(trunk);
    let client = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
    let tried = world
        .sent_to(TRUNK_A)
        .iter()
        .filter(|line| line.starts_with("INVITE"))
        .count();
    assert_eq!(tried, 1, "A first");
}

#[test]
fn an_emergency_call_falls_back_to_a_trunk_that_is_down() {
    let mut world = world();
    let trunk = world.ends[TRUNK_B].address;
    world.network.set_down(trunk, Down::Unreachable);
    world.run(seconds(25));
    assert_eq!(up(&world, "trunkb"), 0);
    world.network.set_up(trunk);
    world.ends[TRUNK_A].script = Script::of(&[(10, 500)]);
    let client = world.place(crate::support::ua::Invite {
        callee: "112".into(),
        ..Default::default()
    });
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
}

#[test]
fn a_trunks_retry_after_is_honoured() {
    let mut world = World::new();
    world.ends[TRUNK_A].scripts.push_back(Script {
        steps: vec![Step {
            headers: vec!["Retry-After: 60 (maintenance)".into()],
            ..Script::of(&[(10, 503)]).steps.remove(0)
        }],
        ..Script::answered()
    });
    for (after, expected) in [(0, (1, 1)), (30, (1, 2)), (20, (1, 3)), (20, (2, 3))] {
        world.run(seconds(after));
        let client = world.call();
        world.run(seconds(3));
        assert_eq!(world.statuses(client), [200]);
        assert_eq!((world.invites(TRUNK_A), world.invites(TRUNK_B)), expected);
    }
    world.run_out_and_leave_nothing();
}

#[test]
fn a_name_with_several_addresses_is_tried_address_by_address_as_one_call() {
    let mut world = World::with(&Setup {
        trunks: 1,
        further: true,
        ..Setup::default()
    });
    world.ends[TRUNK_A].script = Script::of(&[(10, 503)]);
    let client = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200], "RFC 3263 §4.3");
    assert_eq!((world.invites(TRUNK_A), world.invites(TRUNK_B)), (1, 1));
    assert_eq!(world.gate.asked.len(), 1, "one call, one question");
    // What comes from the second address is the trunk's.
    let call_id = world.call_id(client);
    let bye = world.request(TRUNK_B, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.ends[TRUNK_B].clients[bye].statuses(), [200]);
    world.run_out_and_leave_nothing();
}

//! Any loss, duplication and reordering, any moment of giving up, any answer: each call ends in one consistent state.

use std::time::Duration;

use clapet::ledger::Outcome;
use clapet::rules::Reason;

use crate::support::gate::Say;
use crate::support::network::{Down, Link};
use crate::support::seed::{Printed, Rng, seeds};
use crate::support::ua::{OnCancel, Script};
use crate::support::world::{PBX, Setup, TRUNK_A, TRUNK_B, World};

/// What one call of a run is to be.
struct Plan {
    client: usize,
    say: Say,
    cancelled: bool,
}

/// Lossy by the seed: up to a third lost, up to a third doubled, delays up to 400 ms that overtake each other.
fn lossy(rng: &mut Rng) -> Link {
    let shortest = 1 + rng.below(20);
    Link {
        loss: rng.below(330),
        duplication: rng.below(330),
        delay: (shortest, shortest + rng.below(400)),
    }
}

fn script(rng: &mut Rng, failover: bool) -> Script {
    let finals: &[u16] = if failover {
        &[200, 200, 503, 503, 486]
    } else {
        &[200, 200, 200, 302, 404, 480, 486, 487, 500, 600, 603]
    };
    let status = *rng.pick(finals);
    let mut steps = vec![(5, 100)];
    let rings = 50 + rng.below(3000);
    // A trunk that fails over does so before anything rings.
    if status != 503 && rng.chance(700) {
        steps.push((rings, *rng.pick(&[180, 183])));
    }
    if !rng.chance(100) {
        steps.push((rings + 1 + rng.below(8000), status));
    } else if status != 503 {
        // Rings for ever.
        steps.push((rings, 180));
    }
    let mut script = Script::of(&steps);
    if rng.chance(300) {
        script.on_cancel = OnCancel::AnswerAnyway;
    }
    script
}

fn say(rng: &mut Rng) -> (Say, Duration) {
    let say = match rng.below(10) {
        0 | 1 => Say::Refuse(Reason::FrequencyExhausted, "4 of 4"),
        2 => Say::Observe(Reason::HoursWindow),
        3 => Say::AllowUncounted,
        _ => Say::Allow,
    };
    let late = if rng.chance(300) { rng.below(6000) } else { rng.below(3) };
    (say, Duration::from_millis(late))
}

/// Runs a few calls, some cancelled, and checks what holds of every one of them.
fn run(seed: u64, failover: bool) {
    let _printed = Printed(seed);
    let mut rng = Rng::new(seed);
    let link = lossy(&mut rng);
    let mut world = World::with(&Setup {
        seed,
        link,
        ..Setup::default()
    });
    if failover && rng.chance(300) {
        let trunk = world.ends[TRUNK_A].address;
        let down = *rng.pick(&[Down::Silent, Down::Unreachable]);
        world.network.set_down(trunk, down);
    }
    let mut plans = Vec::new();
    for _ in 0..4 {
        let (what, after) = say(&mut rng);
        let scripts = [script(&mut rng, failover), script(&mut rng, failover)];
        let [first, second] = scripts;
        world.ends[TRUNK_A].script = first;
        world.ends[TRUNK_B].script = second;
        world.gate.say = what;
        world.gate.after = after;
        let client = world.call();
        let cancelled = rng.chance(300);
        world.run(Duration::from_millis(rng.below(9000)));
        if cancelled {
            world.cancel(client);
        }
        // Until the gate has been asked, and the trunks have what the next call would overwrite.
        world.run(Duration::from_secs(60));
        plans.push(Plan {
            client,
            say: what,
            cancelled,
        });
    }
    world.run_out_and_leave_nothing();
    assert_eq!(world.gate.asked.len(), plans.len(), "each call is judged once");
    for (question, plan) in plans.iter().enumerate() {
        check(&world, question, plan, failover);
    }
}

fn check(world: &World, question: usize, plan: &Plan, failover: bool) {
    let call_id = world.call_id(plan.client);
    let statuses = world.statuses(plan.client);
    assert_eq!(
        statuses.len(),
        1,
        "call {question}: exactly one final answer, not {statuses:?}"
    );
    let status = statuses[0];
    let (first, second) = (
        world.ends[TRUNK_A].served_for(&call_id),
        world.ends[TRUNK_B].served_for(&call_id),
    );
    assert!(
        first.len() <= 1 && second.len() <= 1,
        "call {question}: one INVITE transaction a trunk"
    );
    if !failover {
        assert!(first.len() + second.len() <= 1, "call {question}: one branch");
    }
    let outcomes = world.outcomes(question);
    if let Say::Refuse(..) = plan.say {
        assert!(
            status == 403 || (plan.cancelled && status == 487),
            "call {question}: {status}"
        );
        assert!(first.is_empty() && second.is_empty() && outcomes.is_empty());
        return;
    }
    let served: Vec<_> = first.iter().chain(&second).collect();
    if let Some(served) = served.last() {
        if let Some(said) = served.final_status {
            let passed = if said == 503 { 500 } else { said };
            // Where the first trunk failed after the second was tried, or timer C or a CANCEL came between, the caller may have another answer.
            let forced = plan.cancelled || served.cancelled || failover;
            assert!(
                status == passed || forced,
                "call {question}: the trunk said {said}, the caller heard {status}"
            );
        }
        if served.final_status == Some(200) {
            assert!(
                served.acked || status != 200,
                "call {question}: the ACK reaches the trunk"
            );
        }
    } else {
        assert_ne!(status, 200, "call {question}: nobody answered");
    }
    if plan.say == Say::AllowUncounted {
        assert!(outcomes.is_empty());
        return;
    }
    let last = *outcomes.last().expect("every reservation is settled");
    let answered = served.iter().any(|served| served.final_status == Some(200));
    let rung = served
        .iter()
        .any(|served| heard(world, served, |status| matches!(status, 180..=189)));
    if status == 200 {
        assert!(answered);
        assert_eq!(last, Outcome::Answered, "call {question}");
    } else if served.is_empty() && !plan.cancelled {
        assert!(!last.counts(), "call {question}: no trunk ever had it: {outcomes:?}");
    } else if rung {
        assert!(last.counts(), "call {question}: it rang: {outcomes:?}");
    }
}

/// Did an answer of this transaction with such a status reach the caller's side?
fn heard(world: &World, served: &crate::support::ua::Served, wanted: impl Fn(u16) -> bool) -> bool {
    let call_id = served.request.call_id();
    world.ends[PBX]
        .inbox
        .iter()
        .any(|received| received.message.call_id() == call_id && wanted(received.message.status()))
}

#[test]
fn any_loss_duplication_and_reordering_leaves_every_call_consistent() {
    for seed in seeds(1000) {
        run(seed, false);
    }
}

#[test]
fn failover_under_loss_leaves_every_call_consistent() {
    for seed in seeds(1000) {
        run(seed, true);
    }
}

#[test]
fn dialogs_survive_loss_duplication_and_reordering() {
    for seed in seeds(100) {
        let _printed = Printed(seed);
        let mut rng = Rng::new(seed ^ 0xd1a1);
        let link = lossy(&mut rng);
        let mut world = World::with(&Setup {
            seed,
            link,
            ..Setup::default()
        });
        let client = world.call();
        world.run(Duration::from_secs(40));
        assert_eq!(world.statuses(client), [200]);
        let call_id = world.call_id(client);
        let mut sent = [0, 0];
        for _ in 0..4 {
            let (from, to) = if rng.chance(500) {
                (PBX, TRUNK_A)
            } else {
                (TRUNK_A, PBX)
            };
            let method = *rng.pick(&["INVITE", "UPDATE", "INFO"]);
            let request = world.request(from, &call_id, method);
            world.run(Duration::from_secs(40));
            assert_eq!(world.ends[from].clients[request].statuses(), [200], "{method}");
            sent[usize::from(to == PBX)] += 1;
        }
        let bye = world.request(TRUNK_A, &call_id, "BYE");
        world.run(Duration::from_secs(40));
        assert_eq!(world.ends[TRUNK_A].clients[bye].statuses(), [200]);
        assert_eq!(world.ends[TRUNK_A].requests.len(), sent[0], "each request arrives once");
        assert_eq!(world.ends[PBX].requests.len(), sent[1] + 1);
        assert_eq!(world.gate.asked.len(), 1);
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn many_calls_at_once_do_not_mix() {
    for seed in seeds(20) {
        let _printed = Printed(seed);
        let mut rng = Rng::new(seed ^ 0x3a3a);
        let link = lossy(&mut rng);
        let mut world = World::with(&Setup {
            seed,
            link,
            ..Setup::default()
        });
        let clients: Vec<(usize, String)> = (0..50)
            .map(|index| {
                let callee = format!("06{:08}", rng.below(100_000_000));
                let client = world.place(crate::support::ua::Invite {
                    callee: callee.clone(),
                    ..crate::support::ua::Invite::default()
                });
                if index % 5 == 0 {
                    world.run(Duration::from_millis(rng.below(500)));
                }
                (client, callee)
            })
            .collect();
        world.run(Duration::from_secs(60));
        for (client, callee) in &clients {
            assert_eq!(world.statuses(*client), [200]);
            let served = world.ends[TRUNK_A].served_for(&world.call_id(*client));
            assert_eq!(served.len(), 1);
            assert!(served[0].request.request_uri().contains(callee.as_str()));
        }
        world.run_out_and_leave_nothing();
    }
}

//! Never more than the maximum, however calls interleave.

use std::sync::Barrier;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::ledger::Outcome;

#[test]
fn of_many_racing_for_the_last_attempt_one_goes() {
    for round in 0..50 {
        let world = World::new();
        for _ in 0..3 {
            drop(world.admit(&ordinary(), OPEN));
        }
        let start = Barrier::new(8);
        let granted: usize = std::thread::scope(|scope| {
            let calls: Vec<_> = (1..=8)
                .map(|call| {
                    let (world, start) = (&world, &start);
                    scope.spawn(move || {
                        let asked = Question { call, ..ordinary() };
                        start.wait();
                        usize::from(world.admit(&asked, OPEN).forwards())
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).sum()
        });
        assert_eq!(granted, 1, "round {round}");
        assert_eq!(world.store.lock().counted(key(ACME_SIREN)).len(), 4);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A call of this id, so many days on.
    Call(u64, i64),
    /// What became of one of the reservations.
    Settle(usize, Outcome),
    /// Its transaction is gone.
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(vec![
        Outcome::Answered,
        Outcome::NoAnswer,
        Outcome::Busy,
        Outcome::Cancelled,
        Outcome::Rejected,
        Outcome::Failed,
        Outcome::Unsent,
    ]);
    prop_oneof![
        4 => (0u64..6, 0i64..3).prop_map(|(call, days)| Step::Call(call, days)),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, outcome)| Step::Settle(which.index(64), outcome)),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Drop(which.index(64))),
    ]
}

proptest! {
    #[test]
    fn counting_never_exceeds_four_under_any_interleaving(steps in prop::collection::vec(step(), 1..80)) {
        let world = World::new();
        let mut now = at("2023-03-06T10:00:00Z");
        let mut open: Vec<(Arc<Reservation>, bool)> = Vec::new();
        // Calls that a late answer counted again are the one exception the contract knows.
        let mut late = 0;
        for step in steps {
            match step {
                Step::Call(call, days) => {
                    now += TimeDelta::days(days);
                    let decision = ready(world.gate.admit(&Question { call, ..ordinary() }, now));
                    prop_assert_eq!(decision.reservation.is_some(), decision.verdict.allowed);
                    open.extend(decision.reservation.map(|reservation| (reservation, false)));
                }
                Step::Settle(which, outcome) if !open.is_empty() => {
                    let which = which % open.len();
                    let (reservation, given_back) = open[which].clone();
                    late += usize::from(given_back && outcome.counts());
                    reservation.settle(outcome, now);
                    let same = open.iter_mut().filter(|(other, _)| Arc::ptr_eq(other, &reservation));
                    same.for_each(|(_, given)| *given = !outcome.counts());
                }
                Step::Drop(which) if !open.is_empty() => {
                    open.swap_remove(which % open.len());
                }
                Step::Settle(..) | Step::Drop(_) => {}
            }
            let counted = world.store.lock().counted(key(ACME_SIREN));
            for end in &counted {
                let period = counted.iter().filter(|attempt| **attempt <= *end && **attempt > *end - TimeDelta::days(30));
                prop_assert!(period.count() <= 4 + late);
            }
        }
        open.clear();
        prop_assert!(world.gate.core.calls.is_empty());
    }
}

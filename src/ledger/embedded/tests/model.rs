//! Any sequence of operations, with restarts and lost views at any point, gives the answers of a model that is a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        callee: u64,
    },
    Settle {
        attempt: prop::sample::Index,
        outcome: Outcome,
    },
    Refuse {
        callee: u64,
    },
    Consent {
        callee: u64,
    },
    Import {
        callee: u64,
        failed: bool,
    },
    Recover {
        callee: u64,
    },
    Forget {
        callee: u64,
    },
    Checkpoint,
    Restart {
        close: bool,
        lose_view: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(Outcome::ALL.to_vec());
    prop_oneof![
        8 => (0..4u64).prop_map(|callee| Step::Reserve { callee }),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(attempt, outcome)| Step::Settle { attempt, outcome }),
        1 => (0..4u64).prop_map(|callee| Step::Refuse { callee }),
        1 => (0..4u64).prop_map(|callee| Step::Consent { callee }),
        1 => (0..4u64, any::<bool>()).prop_map(|(callee, failed)| Step::Import { callee, failed }),
        1 => (0..4u64).prop_map(|callee| Step::Recover { callee }),
        1 => (0..4u64).prop_map(|callee| Step::Forget { callee }),
        2 => Just(Step::Checkpoint),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(close, lose_view)| Step::Restart { close, lose_view }),
    ]
}

/// One callee in the model: attempts with whether they count, the newest refusal, consents with whether they are withdrawn.
#[derive(Default)]
struct Known {
    attempts: Vec<(DateTime<Utc>, bool)>,
    refused: Option<DateTime<Utc>>,
    consents: Vec<(DateTime<Utc>, bool)>,
}

#[derive(Default)]
struct Model {
    known: BTreeMap<u64, Known>,
    /// Callee, identity, and place among the callee's attempts of those that can still be settled.
    open: Vec<(u64, AttemptId, usize)>,
}

impl Known {
    fn counted(&self) -> Vec<DateTime<Utc>> {
        self.attempts
            .iter()
            .filter(|(_, counts)| *counts)
            .map(|(at, _)| *at)
            .collect()
    }
}

fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let mut model = Model::default();
    for (place, step) in steps.into_iter().enumerate() {
        // A second apart, so that nothing runs out of time in between.
        let at = moment() + TimeDelta::seconds(place.try_into().unwrap());
        match step {
            Step::Reserve { callee } => {
                let known = model.known.entry(callee).or_default();
                let asked = ReserveIf {
                    refusal_known: known.refused,
                    ..ask(key(callee), at, place as u64 + 1)
                };
                let answer = wait(ledger.reserve(asked)).unwrap();
                if known.counted().len() >= 4 {
                    assert_eq!(answer, Reserved::Exhausted);
                } else {
                    let Reserved::Granted(id) = answer else {
                        panic!("{answer:?}")
                    };
                    model.open.push((callee, id, known.attempts.len()));
                    known.attempts.push((at, true));
                }
            }
            Step::Settle { attempt, outcome } => {
                if model.open.is_empty() {
                    continue;
                }
                let (callee, id, place) = *attempt.get(&model.open);
                ledger.settle(key(callee), id, outcome, at);
                model.known.get_mut(&callee).unwrap().attempts[place].1 = outcome.counts();
            }
            Step::Refuse { callee } => {
                wait(ledger.record(vec![refusal(key(callee), at)])).unwrap();
                model.known.entry(callee).or_default().refused = Some(at);
            }
            Step::Consent { callee } => {
                wait(ledger.record(vec![consents(key(callee), consent(at, ConsentScope::Prospecting))])).unwrap();
                model.known.entry(callee).or_default().consents.push((at, false));
            }
            Step::Import { callee, failed } => {
                let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
                for _ in 0..2 {
                    wait(ledger.record(vec![imported(key(callee), at, outcome)])).unwrap();
                }
                model.known.entry(callee).or_default().attempts.push((at, !failed));
            }
            Step::Recover { callee } => {
                ledger.recover(key(callee), at, meta(0));
                model.known.entry(callee).or_default().attempts.push((at, true));
            }
            Step::Forget { callee } => {
                wait(ledger.forget(number(callee), at)).unwrap();
                let known = model.known.entry(callee).or_default();
                known.consents.iter_mut().for_each(|(_, withdrawn)| *withdrawn = true);
                model.open.retain(|(other, ..)| *other != callee);
            }
            Step::Checkpoint => ledger.checkpoint().unwrap(),
            Step::Restart { close, lose_view } => {
                if close {
                    wait(ledger.close()).unwrap();
                }
                drop(ledger);
                if lose_view {
                    let _ = fs::remove_dir_all(folder.path().join("ledger"));
                }
                ledger = open(folder.path());
            }
        }
        for (callee, known) in &model.known {
            let found = history(&ledger, key(*callee));
            assert_eq!(found.attempts.as_slice(), known.counted(), "step {place}");
            assert_eq!(found.refused_at, known.refused, "step {place}");
            let consents: Vec<_> = found
                .consents
                .iter()
                .map(|one| (one.given_at, one.withdrawn_at.is_some()))
                .collect();
            assert_eq!(consents, known.consents, "step {place}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn operations_restarts_and_lost_views_give_the_answers_of_a_list(steps in prop::collection::vec(step(), 1..60)) {
        run(steps);
    }
}

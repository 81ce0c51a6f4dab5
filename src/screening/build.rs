//! A snapshot from a stream of numbers in any order, in bounded memory: sorted runs are packed as they fill and merged at the end.

use std::sync::Arc;

use chrono::NaiveDate;

use super::layer::{Encoder, Layer, Listed};
use super::merge::{merge, newest, opposed_wins};
use crate::numbering::E164;

/// Numbers sorted at a time: eight megabytes.
const RUN: usize = 1 << 20;
/// Runs merged into one when so many have come together, so that any length of file needs few.
const RUNS: usize = 16;

/// Takes the numbers of one import, in any order and as often as they come; an opposed line of a number wins over a clear one.
pub struct SnapshotBuilder {
    plain: bool,
    /// Number, and in the lowest bit whether it is opposed.
    run: Vec<u64>,
    runs: Vec<Arc<Layer>>,
    taken: u64,
}

/// The numbers of one import, sorted and packed, not yet loaded.
#[derive(Clone, Debug)]
pub struct Built {
    pub(super) plain: bool,
    pub(super) layer: Arc<Layer>,
}

impl SnapshotBuilder {
    /// Of a plain list: replaces the last one.
    pub fn plain() -> Self {
        Self::new(true)
    }

    /// Of a screened file: adds up.
    pub fn screened() -> Self {
        Self::new(false)
    }

    fn new(plain: bool) -> Self {
        Self {
            plain,
            run: Vec::new(),
            runs: Vec::new(),
            taken: 0,
        }
    }

    /// Takes a number that may not be called.
    pub fn opposed(&mut self, number: E164) {
        self.push(number.get() << 1 | 1);
    }

    /// Takes a number that was screened and may be called. A plain list holds the opposed only and does not keep it.
    pub fn clear(&mut self, number: E164) {
        if !self.plain {
            self.push(number.get() << 1);
        }
    }

    /// How many numbers were taken, repetitions included.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Sorts what is left and merges.
    pub fn finish(mut self) -> Built {
        self.pack();
        let layer = match self.runs.len() {
            0 => Arc::new(Encoder::new(vec![ANY_DAY], !self.plain).finish()),
            1 => self.runs.swap_remove(0),
            _ => merged(&self.runs),
        };
        Built {
            plain: self.plain,
            layer,
        }
    }

    fn push(&mut self, packed: u64) {
        self.taken += 1;
        self.run.push(packed);
        if self.run.len() == RUN {
            self.pack();
        }
    }

    fn pack(&mut self) {
        if self.run.is_empty() {
            return;
        }
        self.run.sort_unstable();
        let mut encoder = Encoder::new(vec![ANY_DAY], !self.plain);
        for (at, packed) in self.run.iter().enumerate() {
            // The last of a number is opposed if any is.
            if self.run.get(at + 1).is_none_or(|next| next >> 1 != packed >> 1) {
                encoder.push(Listed {
                    number: packed >> 1,
                    opposed: packed & 1 == 1,
                    day: ANY_DAY,
                });
            }
        }
        self.run.clear();
        self.runs.push(Arc::new(encoder.finish()));
        if self.runs.len() == RUNS {
            self.runs = vec![merged(&self.runs)];
        }
    }
}

impl Built {
    /// Different numbers.
    pub fn numbers(&self) -> u64 {
        self.layer.len()
    }

    /// How many of them are opposed.
    pub fn opposed(&self) -> u64 {
        self.layer.opposed()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.layer.bytes()
    }

    /// Is the number among them, and opposed?
    pub fn holds(&self, number: E164) -> Option<bool> {
        self.layer.get(number.get()).map(|listed| listed.opposed)
    }

    /// These numbers with what an answer says of them: where the answer holds a number, the answer decides.
    #[must_use]
    pub fn answered_by(&self, answer: &Built) -> Built {
        let layers = [self.layer.clone(), answer.layer.clone()];
        Built {
            plain: false,
            layer: Arc::new(one_day(&layers, newest)),
        }
    }

    /// The opposed of these numbers as a plain list.
    #[must_use]
    pub fn into_plain(self) -> Built {
        if !self.layer.parts().mixed {
            return Built { plain: true, ..self };
        }
        let mut encoder = Encoder::new(vec![ANY_DAY], false);
        self.layer
            .iter()
            .filter(|listed| listed.opposed)
            .for_each(|listed| encoder.push(listed));
        Built {
            plain: true,
            layer: Arc::new(encoder.finish()),
        }
    }

    /// The packed numbers as of a day.
    pub(super) fn dated(self, day: NaiveDate) -> Layer {
        let mut parts = match Arc::try_unwrap(self.layer) {
            Ok(layer) => layer.into_parts(),
            Err(shared) => shared.parts().clone(),
        };
        parts.days = vec![day];
        Layer::new(parts).unwrap_or_else(|why| panic!("a built layer stays sound: {why}"))
    }
}

/// Stands for the import's day until it is loaded.
const ANY_DAY: NaiveDate = NaiveDate::MIN;

fn merged(runs: &[Arc<Layer>]) -> Arc<Layer> {
    Arc::new(one_day(runs, opposed_wins))
}

fn one_day(layers: &[Arc<Layer>], rule: super::merge::Rule) -> Layer {
    // All hold the one stand-in day, so that there is never a day too many.
    merge(layers, rule).unwrap_or_else(|| Encoder::new(vec![ANY_DAY], true).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> E164 {
        E164::new(n).unwrap()
    }

    #[test]
    fn any_order_and_repetition_gives_each_number_once() {
        let mut builder = SnapshotBuilder::screened();
        let count = 3 * RUN as u64 / 2;
        for n in 0..count {
            let n = 1 + n * 7_919 % count;
            builder.clear(number(n));
            if n.is_multiple_of(3) {
                builder.opposed(number(n));
            }
        }
        let built = builder.finish();
        assert_eq!((built.numbers(), built.opposed()), (count, count / 3));
        for n in [1, 2, 3, count - 1, count] {
            assert_eq!(built.holds(number(n)), Some(n.is_multiple_of(3)), "{n}");
        }
        assert_eq!(built.holds(number(count + 1)), None);
    }

    #[test]
    fn the_answer_decides_over_what_was_sent() {
        let mut sent = SnapshotBuilder::screened();
        (1..=10).for_each(|n| sent.opposed(number(n)));
        let mut answer = SnapshotBuilder::screened();
        (1..=7).for_each(|n| answer.clear(number(n)));
        let built = sent.finish().answered_by(&answer.finish());
        assert_eq!((built.numbers(), built.opposed()), (10, 3));
    }

    #[test]
    fn a_plain_list_keeps_the_opposed_only() {
        let mut builder = SnapshotBuilder::plain();
        builder.clear(number(1));
        builder.opposed(number(2));
        let built = builder.finish();
        assert_eq!((built.holds(number(1)), built.holds(number(2))), (None, Some(true)));
        assert_eq!(SnapshotBuilder::plain().finish().numbers(), 0);
    }
}

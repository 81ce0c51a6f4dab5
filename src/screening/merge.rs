//! Several layers become one: which entry of a number remains is the list's own rule.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::layer::{Encoder, Layer, Listed, MAX_DAYS};

/// Which of two entries of a number remains; the second is the newer.
pub(super) type Rule = fn(Listed, Listed) -> Listed;

/// The newest screening of a number decides.
pub(super) fn newest(_older: Listed, newer: Listed) -> Listed {
    newer
}

/// An opposition holds since the first day on which the number was listed.
pub(super) fn oldest(older: Listed, _newer: Listed) -> Listed {
    older
}

/// Within one file a number that is opposed on any line is opposed.
pub(super) fn opposed_wins(older: Listed, newer: Listed) -> Listed {
    if older.opposed { older } else { newer }
}

/// Merges layers, oldest first. `None`: they hold more days than one layer can.
pub(super) fn merge(layers: &[Arc<Layer>], rule: Rule) -> Option<Layer> {
    let days: BTreeSet<_> = layers
        .iter()
        .flat_map(|layer| layer.parts().days.iter().copied())
        .collect();
    if days.is_empty() || days.len() > MAX_DAYS {
        return None;
    }
    let mixed = layers.iter().any(|layer| layer.parts().mixed);
    let mut encoder = Encoder::new(days.into_iter().collect(), mixed);
    let mut rest: Vec<_> = layers.iter().map(|layer| layer.iter()).collect();
    let mut heads: Vec<Option<Listed>> = rest.iter_mut().map(Iterator::next).collect();
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = heads
        .iter()
        .enumerate()
        .filter_map(|(at, head)| head.map(|head| Reverse((head.number, at))))
        .collect();
    let mut last: Option<Listed> = None;
    // Of one number the older layer's entry comes first: its position is smaller.
    while let Some(Reverse((_, at))) = heap.pop() {
        let Some(entry) = heads[at].take() else { continue };
        heads[at] = rest[at].next();
        if let Some(head) = heads[at] {
            heap.push(Reverse((head.number, at)));
        }
        last = Some(match last {
            Some(held) if held.number == entry.number => rule(held, entry),
            held => {
                if let Some(held) = held {
                    encoder.push(held);
                }
                entry
            }
        });
    }
    if let Some(held) = last {
        encoder.push(held);
    }
    Some(encoder.finish())
}

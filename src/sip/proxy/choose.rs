//! In which order trunks, and the addresses of a name, are tried: by priority, and among equals by chance in proportion to their
//! weights (as RFC 2782 does).

use smallvec::SmallVec;

use super::keys::Chance;
use crate::sip::peer::{Peers, Place, Target, Trunk, TrunkIndex};

/// The trunks for a call, the first to be tried last. `allowed` empty: all of them.
pub(super) fn order(
    peers: &Peers,
    allowed: &[TrunkIndex],
    chance: &mut Chance,
    fits: impl Fn(&Trunk) -> bool,
) -> SmallVec<[TrunkIndex; 4]> {
    let mut left: SmallVec<[(TrunkIndex, u16, u16); 8]> = peers
        .trunks
        .iter()
        .zip(0_u16..)
        .filter(|(trunk, index)| (allowed.is_empty() || allowed.contains(&TrunkIndex(*index))) && fits(trunk))
        .map(|(trunk, index)| (TrunkIndex(index), trunk.priority, trunk.weight))
        .collect();
    draw(&mut left, chance)
}

/// The addresses of a target, whose name has been found to lead to `found`, the first to be tried last; none where it is lost.
pub(super) fn places(target: &Target, found: &[Place], chance: &mut Chance) -> SmallVec<[Place; 4]> {
    if found.is_empty() {
        let own = Place {
            address: target.address,
            transport: target.transport,
            priority: 0,
            weight: 0,
        };
        return (!target.is_lost()).then_some(own).into_iter().collect();
    }
    let mut left: SmallVec<[(Place, u16, u16); 8]> = found
        .iter()
        .map(|place| (*place, place.priority, place.weight))
        .collect();
    draw(&mut left, chance)
}

/// Draws all in order of priority and by weight; the first drawn stands last.
fn draw<T: Copy>(left: &mut SmallVec<[(T, u16, u16); 8]>, chance: &mut Chance) -> SmallVec<[T; 4]> {
    left.sort_by_key(|(_, priority, _)| *priority);
    let mut order = SmallVec::new();
    while let Some(&(_, priority, _)) = left.first() {
        let equals = left.iter().take_while(|(_, other, _)| *other == priority).count();
        // A weight of zero still has a small share, or a trunk so configured would never come first.
        let share = |weight: u16| u64::from(weight) * 1_000 + 1;
        let sum: u64 = left[..equals].iter().map(|(_, _, weight)| share(*weight)).sum();
        let mut drawn = if equals == 1 { 0 } else { chance.below(sum) };
        let at = left[..equals]
            .iter()
            .position(|(_, _, weight)| match drawn.checked_sub(share(*weight)) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(0);
        order.push(left.remove(at).0);
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sip::Transport;
    use crate::sip::peer::{NumberFormat, Target};

    fn peers(trunks: &[(u16, u16)]) -> Peers {
        Peers {
            trunks: trunks
                .iter()
                .map(|&(priority, weight)| Trunk {
                    id: Arc::from("t"),
                    target: Target {
                        uri: Arc::from("sip:192.0.2.1"),
                        address: "192.0.2.1:5060".parse().unwrap(),
                        transport: Transport::Udp,
                    },
                    addresses: Vec::new(),
                    places: Vec::new(),
                    watch: crate::sip::peer::Watch::default(),
                    priority,
                    weight,
                    number_format: NumberFormat::AsDialled,
                    large_over_tcp: false,
                })
                .collect(),
            ..Peers::default()
        }
    }

    fn first_tried(order: &[TrunkIndex]) -> Vec<u16> {
        order.iter().rev().map(|trunk| trunk.0).collect()
    }

    #[test]
    fn lower_priorities_come_first() {
        let peers = peers(&[(2, 10), (1, 10), (3, 10)]);
        let mut chance = Chance::new(1);
        assert_eq!(first_tried(&order(&peers, &[], &mut chance, |_| true)), [1, 0, 2]);
        assert_eq!(
            first_tried(&order(&peers, &[TrunkIndex(0), TrunkIndex(2)], &mut chance, |_| true)),
            [0, 2]
        );
        assert!(order(&peers, &[], &mut chance, |_| false).is_empty());
    }

    #[test]
    fn equals_share_by_weight_and_every_one_is_tried_once() {
        let peers = peers(&[(1, 30), (1, 10), (1, 0)]);
        let mut chance = Chance::new(42);
        let mut firsts = [0; 3];
        for _ in 0..4_000 {
            let tried = first_tried(&order(&peers, &[], &mut chance, |_| true));
            firsts[usize::from(tried[0])] += 1;
            let mut sorted = tried.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        assert!((2_850..3_150).contains(&firsts[0]), "{firsts:?}");
        assert!((850..1_150).contains(&firsts[1]), "{firsts:?}");
    }
}

//! A trie over decimal digits: longest-prefix lookups without allocation. Private to the plan.

/// Most nodes of one trie: positions are `u16`, and a plan that needs more is a mistake in the data.
pub(super) const MAX_NODES: usize = 1 << 15;

/// Maps digit strings to small values. Values are positions in a table of the owner.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Position of the child for each digit; zero (the root, nobody's child): none.
    next: [u16; 10],
    value: Option<u16>,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { nodes: vec![EMPTY] }
    }

    /// The value slot of exactly `digits`, made where it is not there yet; `None` when the trie is full.
    pub(super) fn slot(&mut self, digits: &[u8]) -> Option<&mut Option<u16>> {
        let mut at = 0;
        for &digit in digits {
            let next = self.nodes[at].next[usize::from(digit)];
            at = if next == 0 {
                let fresh = self.nodes.len();
                if fresh >= MAX_NODES {
                    return None;
                }
                self.nodes.push(EMPTY);
                self.nodes[at].next[usize::from(digit)] = u16::try_from(fresh).ok()?;
                fresh
            } else {
                usize::from(next)
            };
        }
        Some(&mut self.nodes[at].value)
    }

    /// Of all prefixes of `digits` that hold a value, the longest for which `pick` answers, with that answer.
    pub(super) fn longest<T>(&self, digits: &[u8], mut pick: impl FnMut(u16) -> Option<T>) -> Option<T> {
        let mut found = None;
        self.walk(digits, |value| {
            if let Some(answer) = pick(value) {
                found = Some(answer);
            }
        });
        found
    }

    /// Shows the value of every prefix of `digits` that holds one, the shortest first.
    pub(super) fn walk(&self, digits: &[u8], mut show: impl FnMut(u16)) {
        let mut node = &self.nodes[0];
        for &digit in digits {
            let next = node.next[usize::from(digit)];
            if next == 0 {
                break;
            }
            node = &self.nodes[usize::from(next)];
            if let Some(value) = node.value {
                show(value);
            }
        }
    }
}

const EMPTY: Node = Node {
    next: [0; 10],
    value: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(entries: &[(&[u8], u16)]) -> Trie {
        let mut trie = Trie::new();
        for (digits, value) in entries {
            *trie.slot(digits).unwrap() = Some(*value);
        }
        trie
    }

    #[test]
    fn the_longest_prefix_with_an_answer_is_found() {
        let trie = trie(&[(&[3, 3], 1), (&[3, 3, 1, 6], 2), (&[3, 3, 1, 6, 2], 3)]);
        assert_eq!(trie.longest(&[3, 3, 1, 6, 2, 0], Some), Some(3));
        assert_eq!(trie.longest(&[3, 3, 1, 6, 3, 0], Some), Some(2));
        assert_eq!(trie.longest(&[3, 3, 9], Some), Some(1));
        assert_eq!(trie.longest(&[3], Some), None);
        assert_eq!(trie.longest(&[4, 4], Some), None);
        assert_eq!(trie.longest(&[3, 3, 1, 6, 2, 0], |v| (v < 3).then_some(v)), Some(2));
    }

    #[test]
    fn a_full_trie_says_so() {
        let mut trie = Trie::new();
        let mut full = false;
        for i in 0..100_000u32 {
            let digits: Vec<u8> = format!("{i:05}").bytes().map(|b| b - b'0').collect();
            full |= trie.slot(&digits).is_none();
        }
        assert!(full);
        assert!(trie.nodes.len() <= MAX_NODES);
    }
}

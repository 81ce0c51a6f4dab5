//! What still binds of erased numbers: attempts and refusals under a keyed hash of the number, so that erasure opens no fifth call and
//! lifts no refusal, and nobody without the store's secret can tell whose they are by trying all numbers.

use std::collections::HashMap;

use super::super::body::Kept;
use super::super::{Key, Siren};
use super::row::Row;
use super::secret::hmac;
use crate::numbering::E164;

/// The keyed hash of a number.
pub(super) type Tag = [u8; 32];

/// Kept state by tag, with the last journal record it reflects.
#[derive(Clone, Debug, Default)]
pub(super) struct Erased {
    pub sequence: u64,
    pub kept: HashMap<Tag, Vec<Kept>>,
}

/// The tag of a number under the key derived for tags.
pub(super) fn tag(key: &[u8; 32], number: E164) -> Tag {
    hmac(key, &number.get().to_be_bytes())
}

impl Erased {
    pub fn find(&self, tag: &Tag, siren: Siren) -> Option<&Kept> {
        self.kept.get(tag)?.iter().find(|kept| kept.siren == siren)
    }

    /// What is kept of a tag once these rows of its number are erased too. `again`: an erasure stopped half-way is done again, and the
    /// rows hold what it had moved here already.
    pub fn joined(&self, tag: &Tag, rows: &[(Key, Row)], since: u32, again: bool) -> Vec<Kept> {
        let mut all = self.kept.get(tag).cloned().unwrap_or_default();
        for (key, row) in rows {
            let place = all.iter().position(|kept| kept.siren == key.siren).unwrap_or_else(|| {
                all.push(Kept {
                    siren: key.siren,
                    attempts: Vec::new(),
                    refused: None,
                });
                all.len() - 1
            });
            let kept = &mut all[place];
            let mut moved = if again { kept.attempts.clone() } else { Vec::new() };
            for at in row.counted() {
                match moved.iter().position(|known| *known == at) {
                    Some(known) => drop(moved.swap_remove(known)),
                    None => kept.attempts.push(at),
                }
            }
            kept.attempts.sort_unstable();
            let refused = row.refused().and_then(chrono::DateTime::from_timestamp_micros);
            kept.refused = kept.refused.max(refused);
        }
        for kept in &mut all {
            kept.attempts.retain(|at| *at >= since);
        }
        all.retain(|kept| !kept.attempts.is_empty() || kept.refused.is_some());
        all
    }

    /// Drops attempts before `since`; refusals stay.
    pub fn tidy(&mut self, since: u32) {
        self.kept.retain(|_, all| {
            for kept in &mut *all {
                kept.attempts.retain(|at| *at >= since);
            }
            all.retain(|kept| !kept.attempts.is_empty() || kept.refused.is_some());
            !all.is_empty()
        });
    }
}

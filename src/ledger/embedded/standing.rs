//! What was recorded about nobody's callee: imported ranges, suspensions, the configuration and screenings last recorded.
//!
//! Small, under one lock. Its snapshot in the view is the list of entries that build it anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::NaiveDate;

use super::super::Siren;
use super::super::record::{Entry, OwnedRange, Standing, Suspended, Suspension};

/// Screenings remembered to tell a repeated one from a new one; all of them are in the journal.
const SCREENINGS: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Screening {
    list: Arc<str>,
    siren: Option<Siren>,
    day: NaiveDate,
    numbers: u64,
    opposed: u64,
    sha256: [u8; 32],
}

/// The state, with the last journal record it reflects.
#[derive(Clone, Debug, Default)]
pub(super) struct StandingState {
    pub sequence: u64,
    ranges: BTreeMap<(u64, u64, Arc<str>, NaiveDate), OwnedRange>,
    suspensions: BTreeMap<(bool, Arc<str>), Suspension>,
    configurations: BTreeMap<Arc<str>, [u8; 32]>,
    screenings: VecDeque<Screening>,
}

impl StandingState {
    /// Takes a fact in; false where it changes nothing. Facts about a callee change nothing here.
    pub fn apply(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Range(range) => {
                // The same range again can only move its end: that is how an ownership ends.
                let id = (
                    range.first.get(),
                    range.last.get(),
                    range.professional.clone(),
                    range.from,
                );
                self.ranges.insert(id, range.clone()).as_ref() != Some(range)
            }
            Entry::Suspension(suspension) => {
                let id = (suspension.what == Suspended::Source, suspension.id.clone());
                if suspension.suspended {
                    self.suspensions.insert(id, suspension.clone()).is_none()
                } else {
                    self.suspensions.remove(&id).is_some()
                }
            }
            Entry::Configuration { what, sha256 } => self.configurations.insert(what.clone(), *sha256) != Some(*sha256),
            Entry::Screening {
                list,
                siren,
                day,
                numbers,
                opposed,
                sha256,
            } => {
                let screening = Screening {
                    list: list.clone(),
                    siren: *siren,
                    day: *day,
                    numbers: *numbers,
                    opposed: *opposed,
                    sha256: *sha256,
                };
                let new = !self.screenings.contains(&screening);
                if new {
                    if self.screenings.len() == SCREENINGS {
                        self.screenings.pop_front();
                    }
                    self.screenings.push_back(screening);
                }
                new
            }
            // An erasure through `record` carries no state: `forget` is what erases.
            Entry::Forgotten { .. } => true,
            Entry::Refusal { .. }
            | Entry::Consent { .. }
            | Entry::ConsentUsed { .. }
            | Entry::Contract { .. }
            | Entry::Attempt { .. } => false,
        }
    }

    /// The entries that build this state from nothing.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let ranges = self.ranges.values().cloned().map(Entry::Range);
        let suspensions = self.suspensions.values().cloned().map(Entry::Suspension);
        let configurations = self.configurations.iter().map(|(what, sha256)| Entry::Configuration {
            what: what.clone(),
            sha256: *sha256,
        });
        let screenings = self.screenings.iter().map(|screening| Entry::Screening {
            list: screening.list.clone(),
            siren: screening.siren,
            day: screening.day,
            numbers: screening.numbers,
            opposed: screening.opposed,
            sha256: screening.sha256,
        });
        ranges.chain(suspensions).chain(configurations).chain(screenings)
    }

    /// What is known now of what an entry was about; `None`: nothing of it is in force any more.
    pub fn as_it_stands(&self, entry: &Entry) -> Option<Entry> {
        match entry {
            Entry::Range(range) => {
                let id = (
                    range.first.get(),
                    range.last.get(),
                    range.professional.clone(),
                    range.from,
                );
                self.ranges.get(&id).cloned().map(Entry::Range)
            }
            Entry::Suspension(suspension) => {
                let id = (suspension.what == Suspended::Source, suspension.id.clone());
                self.suspensions.get(&id).cloned().map(Entry::Suspension)
            }
            Entry::Configuration { what, .. } => self.configurations.get(what).map(|sha256| Entry::Configuration {
                what: what.clone(),
                sha256: *sha256,
            }),
            Entry::Screening { .. } => self.entries().find(|known| known == entry),
            _ => None,
        }
    }

    pub fn standing(&self) -> Standing {
        Standing {
            ranges: self.ranges.values().cloned().collect(),
            suspensions: self.suspensions.values().cloned().collect(),
        }
    }
}

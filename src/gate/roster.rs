//! Who may call for whom, and who owns which caller numbers: built from the configuration and the imported ranges.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use chrono::NaiveDate;
use rustc_hash::FxHashMap;

use crate::law::Sector;
use crate::ledger::{OwnedRange, Siren, Standing, Suspended, Suspension};
use crate::numbering::E164;
use crate::rules::{Dialling, OwnLimits, Purpose};

/// Position of a professional in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfessionalIndex(pub u16);

/// Position of a source in the roster; the same as in [`crate::sip::peer::Peers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceIndex(pub u16);

/// Enforce, or only watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Mode {
    Enforce,
    /// Decide and record, never refuse.
    Observe,
}

/// A range of caller numbers, both ends included, and the local days on which it is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NumberRange {
    pub first: E164,
    pub last: E164,
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
}

/// A legal entity on whose behalf people are called.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Professional {
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub siren: Siren,
    pub sector: Option<Sector>,
    pub numbers: Vec<NumberRange>,
    pub mode: Mode,
    pub own: OwnLimits,
    pub suspended: bool,
}

/// What a source may do; where it is and how it is reached is [`crate::sip::peer::Source`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SourcePolicy {
    pub id: Arc<str>,
    pub professionals: Vec<ProfessionalIndex>,
    pub dialling: Dialling,
    pub purpose: Purpose,
    pub suspended: bool,
}

/// Why professionals and sources do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RosterError {
    #[error("{0} and {1} of different legal entities both own {2}")]
    Overlap(Arc<str>, Arc<str>, E164),
    #[error("two professionals or sources are called {0}")]
    Duplicate(Arc<str>),
    #[error("more than 65,535 professionals or sources")]
    TooMany,
}

/// Everybody, ready for lookups.
#[derive(Clone, Debug)]
pub struct Roster {
    professionals: Vec<Professional>,
    sources: Vec<SourcePolicy>,
    professional_ids: FxHashMap<Arc<str>, u16>,
    source_ids: FxHashMap<Arc<str>, u16>,
    /// By first number.
    owned: Vec<Owned>,
}

/// One range of the lookup.
#[derive(Clone, Copy, Debug)]
struct Owned {
    range: NumberRange,
    owner: ProfessionalIndex,
    /// The highest last number of this range and of all before it: a search backwards ends where it lies below the number sought.
    reaches: E164,
}

impl Roster {
    /// Checks ids and ranges and builds the lookups. Ranges imported at run time (`clapet import numbers`) are in `professionals` already.
    pub fn build(professionals: Vec<Professional>, sources: Vec<SourcePolicy>) -> Result<Self, RosterError> {
        let professional_ids = positions(professionals.iter().map(|professional| &professional.id))?;
        let source_ids = positions(sources.iter().map(|source| &source.id))?;
        let owned = owned(&professionals);
        check_overlaps(&professionals, &owned)?;
        Ok(Self {
            professionals,
            sources,
            professional_ids,
            source_ids,
            owned,
        })
    }

    /// [`Roster::build`] with what was recorded at run time: imported ranges and suspensions in force. Returns with the roster the
    /// imported ranges whose professional is not configured any more.
    pub fn with_standing(
        mut professionals: Vec<Professional>,
        sources: Vec<SourcePolicy>,
        standing: &Standing,
    ) -> Result<(Self, Vec<OwnedRange>), RosterError> {
        let ids = positions(professionals.iter().map(|professional| &professional.id))?;
        let mut strays = Vec::new();
        for range in &standing.ranges {
            match ids.get(&range.professional) {
                Some(index) => professionals[usize::from(*index)].numbers.push(NumberRange {
                    first: range.first,
                    last: range.last,
                    from: Some(range.from),
                    until: range.until,
                }),
                None => strays.push(range.clone()),
            }
        }
        let mut roster = Self::build(professionals, sources)?;
        for suspension in &standing.suspensions {
            roster.suspend(suspension);
        }
        Ok((roster, strays))
    }

    /// Puts a suspension in force, or takes it back; false where nobody has that id.
    pub fn suspend(&mut self, suspension: &Suspension) -> bool {
        let suspended = match suspension.what {
            Suspended::Source => self
                .source(&suspension.id)
                .map(|index| &mut self.sources[usize::from(index.0)].suspended),
            Suspended::Professional => self
                .professional(&suspension.id)
                .map(|index| &mut self.professionals[usize::from(index.0)].suspended),
        };
        suspended.map(|held| *held = suspension.suspended).is_some()
    }

    /// All professionals; positions are [`ProfessionalIndex`].
    pub fn professionals(&self) -> &[Professional] {
        &self.professionals
    }

    /// All sources; positions are [`SourceIndex`].
    pub fn sources(&self) -> &[SourcePolicy] {
        &self.sources
    }

    /// The professional that owns a caller number on a day.
    pub fn owner(&self, caller: E164, on: NaiveDate) -> Option<ProfessionalIndex> {
        let before = self.owned.partition_point(|owned| owned.range.first <= caller);
        let near = self.owned[..before].iter().rev();
        let mut reaching = near.take_while(|owned| caller <= owned.reaches);
        reaching
            .find(|owned| caller <= owned.range.last && owned.range.holds_on(on))
            .map(|owned| owned.owner)
    }

    /// By id.
    pub fn professional(&self, id: &str) -> Option<ProfessionalIndex> {
        self.professional_ids.get(id).copied().map(ProfessionalIndex)
    }

    /// By id.
    pub fn source(&self, id: &str) -> Option<SourceIndex> {
        self.source_ids.get(id).copied().map(SourceIndex)
    }

    /// The legal entity behind a professional's id.
    pub(super) fn siren(&self, index: ProfessionalIndex) -> Option<Siren> {
        Some(self.professionals.get(usize::from(index.0))?.siren)
    }

    /// May the source call for this professional? Ids that share a SIREN are one.
    pub(super) fn may_call_for(&self, source: &SourcePolicy, professional: ProfessionalIndex) -> bool {
        let siren = self.siren(professional);
        siren.is_some() && source.professionals.iter().any(|index| self.siren(*index) == siren)
    }

    /// The source's only professional: its first, where all share one SIREN.
    pub(super) fn only_professional(&self, source: &SourcePolicy) -> Option<ProfessionalIndex> {
        let first = *source.professionals.first()?;
        let siren = self.siren(first)?;
        let one = source
            .professionals
            .iter()
            .all(|index| self.siren(*index) == Some(siren));
        one.then_some(first)
    }
}

impl NumberRange {
    fn holds_on(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }

    /// Do both have a day in common?
    fn meets(&self, other: &Self) -> bool {
        let begins_in_time = |one: &Self, other: &Self| {
            one.from
                .is_none_or(|from| other.until.is_none_or(|until| from <= until))
        };
        begins_in_time(self, other) && begins_in_time(other, self)
    }
}

fn positions<'a>(ids: impl Iterator<Item = &'a Arc<str>>) -> Result<FxHashMap<Arc<str>, u16>, RosterError> {
    let mut positions = FxHashMap::default();
    for (position, id) in ids.enumerate() {
        // The last position stands for "none" in labels.
        let position = u16::try_from(position).ok().filter(|position| *position < u16::MAX);
        let position = position.ok_or(RosterError::TooMany)?;
        match positions.entry(Arc::clone(id)) {
            Entry::Occupied(_) => return Err(RosterError::Duplicate(Arc::clone(id))),
            Entry::Vacant(free) => free.insert(position),
        };
    }
    Ok(positions)
}

fn owned(professionals: &[Professional]) -> Vec<Owned> {
    let mut owned: Vec<Owned> = (0u16..)
        .zip(professionals)
        .flat_map(|(index, professional)| {
            professional.numbers.iter().map(move |range| Owned {
                range: *range,
                owner: ProfessionalIndex(index),
                reaches: range.last,
            })
        })
        .filter(|owned| owned.range.first <= owned.range.last)
        .collect();
    owned.sort_by_key(|owned| (owned.range.first, owned.range.last));
    let mut reaches = None;
    for owned in &mut owned {
        owned.reaches = reaches.map_or(owned.range.last, |reaches| owned.range.last.max(reaches));
        reaches = Some(owned.reaches);
    }
    owned
}

/// No number has owners of different legal entities on the same day.
fn check_overlaps(professionals: &[Professional], owned: &[Owned]) -> Result<(), RosterError> {
    let who = |owned: &Owned| &professionals[usize::from(owned.owner.0)];
    for (position, later) in owned.iter().enumerate() {
        let before = owned[..position].iter().rev();
        for earlier in before.take_while(|earlier| later.range.first <= earlier.reaches) {
            let shares = later.range.first <= earlier.range.last && later.range.meets(&earlier.range);
            if shares && who(earlier).siren != who(later).siren {
                let (one, other) = (&who(earlier).id, &who(later).id);
                return Err(RosterError::Overlap(
                    Arc::clone(one),
                    Arc::clone(other),
                    later.range.first,
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::{number, professional, source};

    fn range(first: u64, last: u64, from: Option<&str>, until: Option<&str>) -> NumberRange {
        let day = |text: &str| text.parse().unwrap();
        NumberRange {
            first: number(first),
            last: number(last),
            from: from.map(day),
            until: until.map(day),
        }
    }

    fn owners(roster: &Roster, caller: u64, on: &str) -> Option<u16> {
        Some(roster.owner(number(caller), on.parse().unwrap())?.0)
    }

    #[test]
    fn a_number_belongs_to_its_range_and_day() {
        let mut acme = professional("acme", 1);
        acme.numbers = vec![
            range(100, 999, None, None),
            range(5_000, 5_000, None, Some("2026-06-30")),
        ];
        let mut beta = professional("beta", 2);
        beta.numbers = vec![
            range(5_000, 5_009, Some("2026-07-01"), None),
            range(1_000, 1_000, None, None),
        ];
        let roster = Roster::build(vec![acme, beta], Vec::new()).unwrap();
        for (caller, on, owner) in [
            (99, "2026-01-01", None),
            (100, "2026-01-01", Some(0)),
            (999, "2026-01-01", Some(0)),
            (1_000, "2026-01-01", Some(1)),
            (1_001, "2026-01-01", None),
            (5_000, "2026-06-30", Some(0)),
            (5_000, "2026-07-01", Some(1)),
            (5_009, "2026-06-30", None),
            (5_009, "2026-07-01", Some(1)),
            (5_010, "2026-07-01", None),
        ] {
            assert_eq!(owners(&roster, caller, on), owner, "{caller} {on}");
        }
    }

    #[test]
    fn a_wide_range_is_found_behind_narrow_ones() {
        let mut acme = professional("acme", 1);
        acme.numbers = vec![range(1, 1_000_000, None, None)];
        let mut branch = professional("branch", 1);
        branch.numbers = (1..200).map(|n| range(n * 10, n * 10, None, None)).collect();
        let roster = Roster::build(vec![acme, branch], Vec::new()).unwrap();
        assert_eq!(owners(&roster, 1_991, "2026-01-01"), Some(0));
        assert_eq!(owners(&roster, 1_990, "2026-01-01"), Some(1));
        assert_eq!(owners(&roster, 1_000_000, "2026-01-01"), Some(0));
    }

    #[test]
    fn ranges_of_different_legal_entities_may_not_share_a_number_and_day() {
        let pair = |siren, from: Option<&str>, until: Option<&str>| {
            let mut acme = professional("acme", 1);
            acme.numbers = vec![range(10, 19, None, Some("2026-06-30"))];
            let mut beta = professional("beta", siren);
            beta.numbers = vec![range(19, 25, from, until)];
            Roster::build(vec![acme, beta], Vec::new()).map(|_| ())
        };
        let overlap = Err(RosterError::Overlap("acme".into(), "beta".into(), number(19)));
        assert_eq!(pair(2, None, None), overlap);
        assert_eq!(pair(2, Some("2026-06-30"), None), overlap);
        assert_eq!(pair(2, Some("2026-07-01"), None), Ok(()));
        assert_eq!(pair(1, None, None), Ok(()));
    }

    #[test]
    fn ids_are_unique() {
        let twice = Roster::build(vec![professional("acme", 1), professional("acme", 2)], Vec::new());
        assert_eq!(twice.map(|_| ()), Err(RosterError::Duplicate("acme".into())));
        let sources = Roster::build(Vec::new(), vec![source("bpo", &[]), source("bpo", &[])]);
        assert_eq!(sources.map(|_| ()), Err(RosterError::Duplicate("bpo".into())));
    }

    #[test]
    fn imported_ranges_and_suspensions_stand_beside_the_configuration() {
        let owned = |professional: &str, first| OwnedRange {
            first: number(first),
            last: number(first + 9),
            professional: professional.into(),
            from: "2026-01-01".parse().unwrap(),
            until: None,
        };
        let suspension = |what, id: &str| Suspension {
            what,
            id: id.into(),
            suspended: true,
        };
        let standing = Standing {
            ranges: vec![owned("acme", 500), owned("gone", 600)],
            suspensions: vec![
                suspension(Suspended::Source, "bpo"),
                suspension(Suspended::Professional, "acme"),
                suspension(Suspended::Source, "gone"),
            ],
        };
        let (mut roster, strays) =
            Roster::with_standing(vec![professional("acme", 1)], vec![source("bpo", &[0])], &standing).unwrap();
        assert_eq!(owners(&roster, 505, "2026-01-01"), Some(0));
        assert_eq!(owners(&roster, 505, "2025-12-31"), None);
        assert_eq!(strays, [owned("gone", 600)]);
        assert!(roster.sources()[0].suspended && roster.professionals()[0].suspended);
        let back = Suspension {
            suspended: false,
            ..suspension(Suspended::Source, "bpo")
        };
        assert!(roster.suspend(&back) && !roster.sources()[0].suspended);
        assert!(!roster.suspend(&suspension(Suspended::Professional, "nobody")));
    }
}

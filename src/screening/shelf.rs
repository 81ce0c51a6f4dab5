//! Everything known of one list for one professional (or for all): the originals by date, and the layers that answer for today.
//!
//! Layers that answer for days from `boundary` on lie in memory, merged as they grow so that few have to be asked; older days are answered
//! from the originals. A shelf is immutable once shown: an import changes a copy.

use std::borrow::Borrow;
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};

use super::List;
use super::file::{Kind, Label, Stamp};
use super::layer::Layer;
use super::merge::{Rule, merge, newest, oldest};
use crate::ledger::Siren;
use crate::rules::Bloctel;

/// Days before the newest import for which memory answers: a territory west of the importer's is still in its yesterday.
const KEPT_DAYS: u64 = 2;
/// An older layer this many times as large as what is newer is left alone, so that a number is rewritten only a few times.
const RATIO: u64 = 4;

/// One import as it was loaded.
#[derive(Debug)]
pub(super) struct Original {
    pub stamp: Stamp,
    pub kind: Kind,
    /// Name of its file.
    pub name: String,
    /// Its numbers, where nothing is kept on disk.
    pub layer: Option<Arc<Layer>>,
}

/// A layer that answers from memory: one original, or a tier of several.
#[derive(Clone, Debug)]
pub(super) struct Hot {
    pub layer: Arc<Layer>,
    pub kind: Kind,
    pub from: Stamp,
    pub upto: Stamp,
    /// Name of a tier's file.
    pub tier: Option<String>,
}

/// Fetches the numbers of an original; `None`: they cannot be read, which was reported.
pub(super) type Fetch<'a> = &'a dyn Fn(&Original) -> Option<Arc<Layer>>;

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub list: List,
    pub siren: Option<Siren>,
    /// Oldest first.
    pub originals: Vec<Arc<Original>>,
    /// Oldest first; together they answer for every day from `boundary` on.
    pub hot: Vec<Hot>,
    pub boundary: NaiveDate,
}

impl Shelf {
    pub(super) fn new(list: List, siren: Option<Siren>) -> Self {
        Self {
            list,
            siren,
            originals: Vec::new(),
            hot: Vec::new(),
            boundary: NaiveDate::MIN,
        }
    }

    /// What Bloctel says of a number as known on `day`.
    pub(super) fn bloctel(&self, number: u64, day: NaiveDate, fetch: Fetch<'_>) -> Bloctel {
        if day >= self.boundary {
            screened(self.hot_until(day), number)
        } else {
            screened(self.originals_until(day, fetch), number)
        }
    }

    /// Since when a number is listed, as known on `day`.
    pub(super) fn listed_since(&self, number: u64, day: NaiveDate, fetch: Fetch<'_>) -> Option<NaiveDate> {
        if day >= self.boundary {
            since(self.hot_until(day), number)
        } else {
            since(self.originals_until(day, fetch), number)
        }
    }

    /// Newest first.
    fn hot_until(&self, day: NaiveDate) -> impl Iterator<Item = (NaiveDate, Kind, &Layer)> {
        let known = self.hot.iter().rev().filter(move |hot| hot.upto.day <= day);
        known.map(|hot| (hot.upto.day, hot.kind, &*hot.layer))
    }

    /// Newest first.
    fn originals_until(&self, day: NaiveDate, fetch: Fetch<'_>) -> impl Iterator<Item = (NaiveDate, Kind, Arc<Layer>)> {
        let known = self
            .originals
            .iter()
            .rev()
            .filter(move |original| original.stamp.day <= day);
        known.filter_map(move |original| Some((original.stamp.day, original.kind, fetch(original)?)))
    }

    /// The newest import.
    pub(super) fn newest(&self) -> Option<&Original> {
        self.originals.last().map(|original| &**original)
    }

    /// Numbers in the layers from the newest plain list on.
    pub(super) fn numbers(&self) -> u64 {
        let floor = self.hot.iter().rposition(|hot| self.replaces(hot.kind)).unwrap_or(0);
        self.hot[floor..].iter().map(|hot| hot.layer.len()).sum()
    }

    /// Adds an import. One dated inside a tier takes the tier apart again, so that every number keeps its order of days.
    pub(super) fn insert(&mut self, original: Arc<Original>, layer: Arc<Layer>, fetch: Fetch<'_>) {
        let stamp = original.stamp;
        while let Some(at) = self.hot.iter().position(|hot| hot.from < stamp && stamp < hot.upto) {
            let parts: Vec<Hot> = self
                .covered(&self.hot[at])
                .filter_map(|original| Some(Hot::of(original, fetch(original)?)))
                .collect();
            self.hot.splice(at..=at, parts);
        }
        let at = self.hot.partition_point(|hot| hot.upto < stamp);
        self.hot.insert(at, Hot::of(&original, layer));
        let at = self.originals.partition_point(|other| other.stamp < stamp);
        self.originals.insert(at, original);
        self.settle();
    }

    /// Moves the boundary and drops what no day from it on can reach.
    pub(super) fn settle(&mut self) {
        let Some(newest) = self.newest().map(|original| original.stamp.day) else {
            return;
        };
        let boundary = newest.checked_sub_days(Days::new(KEPT_DAYS)).unwrap_or(NaiveDate::MIN);
        self.boundary = boundary;
        if let Some(floor) = self.floor() {
            self.hot.drain(..floor);
        }
        let mut replaced_on = None;
        let mut kept = Vec::with_capacity(self.hot.len());
        for hot in self.hot.drain(..).rev() {
            if replaced_on != Some(hot.from.day) {
                if self.list == List::Bloctel && hot.kind == Kind::Plain {
                    replaced_on = Some(hot.from.day);
                }
                kept.push(hot);
            }
        }
        kept.reverse();
        self.hot = kept;
    }

    /// Position of the plain list that answers for the boundary.
    fn floor(&self) -> Option<usize> {
        let reaches = |hot: &Hot| self.replaces(hot.kind) && hot.upto.day <= self.boundary;
        self.hot.iter().rposition(reaches)
    }

    /// Does an import of this kind replace all that is older?
    pub(super) fn replaces(&self, kind: Kind) -> bool {
        self.list == List::Bloctel && kind == Kind::Plain
    }

    /// Merges layers of like size until none are left; `keep` writes each new tier and returns the name of its file, if it has one.
    pub(super) fn compact(&mut self, keep: &dyn Fn(&Label, &Layer) -> Option<String>) {
        let rule: Rule = match self.list {
            List::Bloctel => newest,
            List::Opposition => oldest,
        };
        while let Some((first, last)) = self.mergeable() {
            let layers: Vec<_> = self.hot[first..=last].iter().map(|hot| hot.layer.clone()).collect();
            // A layer can hold more different days than a life of daily imports has.
            let Some(layer) = merge(&layers, rule) else { return };
            let (from, upto) = (self.hot[first].from, self.hot[last].upto);
            let label = Label {
                list: self.list,
                siren: self.siren,
                kind: Kind::Tier,
                from,
                upto,
                digest: self.digest(from, upto),
            };
            let tier = Hot {
                tier: keep(&label, &layer),
                layer: Arc::new(layer),
                kind: Kind::Tier,
                from,
                upto,
            };
            self.hot.splice(first..=last, [tier]);
        }
    }

    /// Names of the files of the tiers that answer now.
    pub(super) fn tiers(&self) -> impl Iterator<Item = &String> {
        self.hot.iter().filter_map(|hot| hot.tier.as_ref())
    }

    /// First and last of the newest run of layers worth merging.
    fn mergeable(&self) -> Option<(usize, usize)> {
        (1..self.hot.len()).rev().find_map(|upto| {
            let group = self.group(&self.hot[upto])?;
            let mut total = self.hot[upto].layer.len().max(1);
            let mut from = upto;
            while from > 0
                && self.group(&self.hot[from - 1]) == Some(group)
                && self.hot[from - 1].layer.len() < RATIO * total
            {
                from -= 1;
                total += self.hot[from].layer.len();
            }
            (from < upto).then_some((from, upto))
        })
    }

    /// Layers of one group may be merged without changing any answer from the boundary on: those before it, and those of one day.
    fn group(&self, hot: &Hot) -> Option<NaiveDate> {
        if self.replaces(hot.kind) {
            None
        } else if hot.upto.day <= self.boundary {
            Some(NaiveDate::MIN)
        } else {
            (hot.from.day == hot.upto.day).then_some(hot.upto.day)
        }
    }

    /// May a tier found on disk answer in the place of its originals?
    pub(super) fn accepts(&self, from: Stamp, upto: Stamp, digest: [u8; 32]) -> bool {
        (upto.day <= self.boundary || from.day == upto.day) && self.digest(from, upto) == digest
    }

    /// Over the names of the originals from one to another: the names hold the beginnings of their sums.
    pub(super) fn digest(&self, from: Stamp, upto: Stamp) -> [u8; 32] {
        let mut sum = Sha256::new();
        for original in self.originals.iter().filter(|o| from <= o.stamp && o.stamp <= upto) {
            sum.update(original.name.as_bytes());
            sum.update([b'\n']);
        }
        sum.finalize().into()
    }

    fn covered(&self, hot: &Hot) -> impl Iterator<Item = &Arc<Original>> {
        let (from, upto) = (hot.from, hot.upto);
        self.originals
            .iter()
            .filter(move |original| from <= original.stamp && original.stamp <= upto)
    }
}

impl Hot {
    pub(super) fn of(original: &Original, layer: Arc<Layer>) -> Self {
        Self {
            layer,
            kind: original.kind,
            from: original.stamp,
            upto: original.stamp,
            tier: None,
        }
    }
}

/// Newest first: the first layer that holds the number answers, and a plain list answers for every number.
fn screened<L: Borrow<Layer>>(layers: impl Iterator<Item = (NaiveDate, Kind, L)>, number: u64) -> Bloctel {
    let mut newest = None;
    for (day, kind, layer) in layers {
        newest = newest.or(Some(day));
        match layer.borrow().get(number) {
            Some(listed) if listed.opposed => return Bloctel::Opposed(listed.day),
            Some(listed) => return Bloctel::Clear(listed.day),
            None if kind == Kind::Plain => return Bloctel::Clear(day),
            None => {}
        }
    }
    newest.map_or(Bloctel::NoList, |day| Bloctel::Unscreened(Some(day)))
}

/// The oldest of the layers that list the number.
fn since<L: Borrow<Layer>>(layers: impl Iterator<Item = (NaiveDate, Kind, L)>, number: u64) -> Option<NaiveDate> {
    let listed = layers.filter_map(|(_, _, layer)| layer.borrow().get(number));
    listed.map(|listed| listed.day).last()
}

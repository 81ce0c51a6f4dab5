//! Do-not-call snapshots (Bloctel and an operator's own lists): kept by date, looked up in memory, millions of numbers in tens of
//! megabytes. This room decides nothing.
//!
//! The gate looks numbers up ([`Screening::bloctel`], [`Screening::opposed_since`]) without a lock; `import` builds snapshots
//! ([`SnapshotBuilder`]) and loads them. Every import is kept as a file of its own, so that a past call is judged by what was known on its
//! day; why it is built so, and what was measured, stands in `docs/decisions/0003-screening.md`.

mod archive;
mod build;
mod file;
mod folder;
mod layer;
mod merge;
mod open;
mod retire;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use chrono::NaiveDate;
use rustc_hash::FxHashMap;

use archive::Archive;
pub use build::{Built, SnapshotBuilder};
use file::{Kind, Label, Stamp};
use folder::Folder;
use layer::Layer;
use shelf::{Original, Shelf};

use crate::ledger::Siren;
use crate::numbering::E164;
use crate::rules::Bloctel;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum List {
    Bloctel,
    Opposition,
}

impl List {
    /// In file names, the journal, metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bloctel => "bloctel",
            Self::Opposition => "opposition",
        }
    }

    /// By its [`List::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Bloctel, Self::Opposition]
            .into_iter()
            .find(|list| list.name() == name)
    }
}

/// What one import brings.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Snapshot {
    /// A plain list: the opposed, replacing the professional's last (or everybody's, without a professional).
    Plain { opposed: Vec<E164> },
    /// A screened file: what was sent and which of it is opposed; adds up, the newest screening of a number deciding.
    Screened { clear: Vec<E164>, opposed: Vec<E164> },
}

/// Age and size of a list, for `list_age_seconds` and `list_numbers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListState {
    pub list: List,
    pub siren: Option<Siren>,
    pub newest: NaiveDate,
    /// Different numbers of each layer since the last plain list; a number screened again counts twice until the layers are merged.
    pub numbers: u64,
}

/// A snapshot that holds a number, for `clapet forget`, which lists what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Held {
    pub list: List,
    pub siren: Option<Siren>,
    pub day: NaiveDate,
    /// Opposed there, or screened and clear.
    pub opposed: bool,
}

/// Why snapshots could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ScreeningError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {why}", path = path.display())]
    Damaged { path: PathBuf, why: String },
}

/// All snapshots, shared by the call path (lookups, lock-free) and imports.
pub struct Screening {
    shelves: ArcSwap<Shelves>,
    /// One import at a time; the next one's sequence number.
    next: Mutex<u64>,
    /// `None`: nothing is kept.
    folder: Option<Folder>,
    archive: Archive,
    /// Days before a list's newest import for which it can still be asked. `None`: all.
    keep: Option<u32>,
}

type Shelves = FxHashMap<(List, Option<Siren>), Arc<Shelf>>;

impl Screening {
    /// Days for which snapshots are kept at least: a list must be fresher than that to be relied on, and today's calls ask no older one.
    pub const LEAST_KEPT: u32 = 60;

    /// Opens the snapshots kept under `<path>/screening`; a damaged one is set aside, named in the second value, and does not stop the start.
    /// The caller holds the store's lock.
    pub fn open(path: &std::path::Path) -> Result<(Self, Vec<ScreeningError>), ScreeningError> {
        let mut faults = Vec::new();
        let (folder, names) = Folder::open(&path.join("screening"), &mut faults)?;
        let next = names
            .last()
            .map_or(1, |(name, _)| name.stamp.sequence.saturating_add(1));
        let shelves = open::shelves(&folder, names, &mut faults);
        let screening = Self {
            shelves: ArcSwap::from_pointee(shelves),
            next: Mutex::new(next),
            folder: Some(folder),
            archive: Archive::default(),
            keep: None,
        };
        Ok((screening, faults))
    }

    /// Keeps what decides from so many days before a list's newest import on, and deletes older snapshots, now and with each import. Without
    /// it all are kept. Below [`Screening::LEAST_KEPT`] it is that.
    #[must_use]
    pub fn keeping(mut self, days: u32) -> Self {
        self.keep = Some(days.max(Self::LEAST_KEPT));
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let owners: Vec<_> = self.shelves.load().keys().copied().collect();
        for (list, siren) in owners {
            self.retire(&self.shelf(list, siren));
        }
        drop(next);
        self
    }

    /// Nothing loaded and nothing kept: for tests and the demo.
    pub fn in_memory() -> Self {
        Self {
            shelves: ArcSwap::default(),
            next: Mutex::new(1),
            folder: None,
            archive: Archive::default(),
            keep: None,
        }
    }

    /// What is known of `callee` for `siren` by the snapshots valid on `day` (only those dated `day` or earlier). The professional's lists
    /// and those that bind everybody both count: opposed by either is opposed, and of two days the newer is told.
    ///
    /// Memory only from two days before a list's newest import on; for earlier days files are read.
    pub fn bloctel(&self, siren: Siren, callee: E164, day: NaiveDate) -> Bloctel {
        let [own, all] = self.both(List::Bloctel, siren, |shelf| {
            shelf.bloctel(callee.get(), day, &|original| self.fetch(original))
        });
        match (own.unwrap_or(Bloctel::NoList), all.unwrap_or(Bloctel::NoList)) {
            (Bloctel::Opposed(a), Bloctel::Opposed(b)) => Bloctel::Opposed(a.max(b)),
            (Bloctel::Opposed(day), _) | (_, Bloctel::Opposed(day)) => Bloctel::Opposed(day),
            (Bloctel::Clear(a), Bloctel::Clear(b)) => Bloctel::Clear(a.max(b)),
            (Bloctel::Clear(day), _) | (_, Bloctel::Clear(day)) => Bloctel::Clear(day),
            (Bloctel::Unscreened(a), Bloctel::Unscreened(b)) => Bloctel::Unscreened(a.max(b)),
            (Bloctel::Unscreened(day), _) | (_, Bloctel::Unscreened(day)) => Bloctel::Unscreened(day),
            (Bloctel::NoList, Bloctel::NoList) => Bloctel::NoList,
        }
    }

    /// Since when the callee stands on the operator's or the professional's own list, as known on `day`; on both: since the later day, so that
    /// what lifts older lists lifts neither by the other.
    pub fn opposed_since(&self, siren: Siren, callee: E164, day: NaiveDate) -> Option<NaiveDate> {
        let [own, all] = self.both(List::Opposition, siren, |shelf| {
            shelf.listed_since(callee.get(), day, &|original| self.fetch(original))
        });
        own.flatten().max(all.flatten())
    }

    fn both<T>(&self, list: List, siren: Siren, ask: impl Fn(&Shelf) -> T) -> [Option<T>; 2] {
        let shelves = self.shelves.load();
        [Some(siren), None].map(|owner| shelves.get(&(list, owner)).map(|shelf| ask(shelf)))
    }

    /// Writes (file, sync, rename, directory sync) and then shows a snapshot in one step. Returns the SHA-256 of its file for the journal.
    /// Blocks while it writes and, now and then, merges.
    ///
    /// Opposition lists only grow, whatever the snapshot's form: who asked never to be called is not forgotten because a later file does not
    /// name them.
    pub fn load(
        &self,
        list: List,
        siren: Option<Siren>,
        day: NaiveDate,
        snapshot: Snapshot,
    ) -> Result<[u8; 32], ScreeningError> {
        let (mut builder, clear, opposed) = match snapshot {
            Snapshot::Plain { opposed } => (SnapshotBuilder::plain(), Vec::new(), opposed),
            Snapshot::Screened { clear, opposed } => (SnapshotBuilder::screened(), clear, opposed),
        };
        for number in clear {
            builder.clear(number);
        }
        for number in opposed {
            builder.opposed(number);
        }
        self.load_built(list, siren, day, builder.finish())
    }

    /// As [`Screening::load`], of a snapshot built from a stream.
    pub fn load_built(
        &self,
        list: List,
        siren: Option<Siren>,
        day: NaiveDate,
        built: Built,
    ) -> Result<[u8; 32], ScreeningError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if built.plain { Kind::Plain } else { Kind::Screened };
        let built = if list == List::Opposition {
            built.into_plain()
        } else {
            built
        };
        let layer = Arc::new(built.dated(day));
        let stamp = Stamp { day, sequence: *next };
        let label = Label {
            list,
            siren,
            kind,
            from: stamp,
            upto: stamp,
            digest: [0; 32],
        };
        let (name, sum) = self.write(&label, &layer)?;
        *next = next.saturating_add(1);
        let original = Original {
            stamp,
            kind,
            name,
            layer: self.folder.is_none().then(|| layer.clone()),
        };
        let before = self.shelf(list, siren);
        let mut shelf = (*before).clone();
        shelf.insert(Arc::new(original), layer, &|original| self.fetch(original));
        self.show(&shelf);
        shelf.compact(&|label, layer| keep_tier(self.folder.as_ref(), label, layer));
        self.show(&shelf);
        if let Some(folder) = &self.folder {
            let current: BTreeSet<_> = shelf.tiers().collect();
            let gone = before.tiers().filter(|tier| !current.contains(tier));
            gone.for_each(|tier| folder.remove(tier));
        }
        self.retire(&shelf);
        Ok(sum)
    }

    /// Deletes the snapshots of a shelf that nothing needs any more. Only with `next` locked.
    fn retire(&self, shelf: &Shelf) {
        let (Some(folder), Some(keep)) = (&self.folder, self.keep) else {
            return;
        };
        let mut left = shelf.clone();
        let gone = left.retire(keep, &|original| self.fetch(original));
        if gone.is_empty() {
            return;
        }
        self.show(&left);
        for original in gone {
            tracing::info!(
                file = original.name,
                "a list that no day kept for needs any more is deleted"
            );
            folder.remove(&original.name);
        }
    }

    /// Every snapshot that holds a number. None is taken out of a list on request: it would become callable. Reads all files: slow.
    pub fn holds(&self, number: E164) -> Vec<Held> {
        let shelves = self.shelves.load_full();
        let mut held: Vec<_> = shelves
            .values()
            .flat_map(|shelf| shelf.originals.iter().map(move |original| (shelf, original)))
            .filter_map(|(shelf, original)| {
                let listed = self.fetch(original)?.get(number.get())?;
                Some(Held {
                    list: shelf.list,
                    siren: shelf.siren,
                    day: listed.day,
                    opposed: listed.opposed,
                })
            })
            .collect();
        held.sort_by_key(|held| (held.list, held.siren, held.day));
        held
    }

    /// Age and size of every list.
    pub fn states(&self) -> Vec<ListState> {
        let shelves = self.shelves.load();
        let mut states: Vec<_> = shelves
            .values()
            .filter_map(|shelf| {
                Some(ListState {
                    list: shelf.list,
                    siren: shelf.siren,
                    newest: shelf.newest()?.stamp.day,
                    numbers: shelf.numbers(),
                })
            })
            .collect();
        states.sort_by_key(|state| (state.list, state.siren));
        states
    }

    /// Bytes that the lists take in memory.
    pub fn bytes(&self) -> usize {
        let shelves = self.shelves.load();
        shelves
            .values()
            .flat_map(|shelf| &shelf.hot)
            .map(|hot| hot.layer.bytes())
            .sum()
    }

    fn shelf(&self, list: List, siren: Option<Siren>) -> Arc<Shelf> {
        let known = self.shelves.load().get(&(list, siren)).cloned();
        known.unwrap_or_else(|| Arc::new(Shelf::new(list, siren)))
    }

    /// Only with `next` locked.
    fn show(&self, shelf: &Shelf) {
        let mut shelves = (**self.shelves.load()).clone();
        shelves.insert((shelf.list, shelf.siren), Arc::new(shelf.clone()));
        self.shelves.store(Arc::new(shelves));
    }

    fn write(&self, label: &Label, layer: &Layer) -> Result<(String, [u8; 32]), ScreeningError> {
        if let Some(folder) = &self.folder {
            return folder.write(label, layer);
        }
        let sum = file::sum(label, layer).map_err(|source| ScreeningError::Io {
            path: PathBuf::new(),
            source,
        })?;
        Ok((folder::name_of(label, &sum), sum))
    }

    fn fetch(&self, original: &Original) -> Option<Arc<Layer>> {
        if let Some(layer) = &original.layer {
            return Some(layer.clone());
        }
        let folder = self.folder.as_ref()?;
        self.archive.get(&original.name, || match folder.read(&original.name) {
            Ok((_, layer)) => Some(layer),
            Err(error) => {
                tracing::error!(%error, "an archived list cannot be read; past days are judged without it");
                None
            }
        })
    }
}

/// Keeps a merged layer on disk, so that the next start need not merge again; without it the originals serve.
fn keep_tier(folder: Option<&Folder>, label: &Label, layer: &Layer) -> Option<String> {
    match folder?.write(label, layer) {
        Ok((name, _)) => Some(name),
        Err(error) => {
            tracing::warn!(%error, "a merged list could not be kept; the next start merges it again");
            None
        }
    }
}

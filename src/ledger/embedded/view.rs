//! The view: pages of the hot state in sled, each with its checksum and the journal record it reflects, plus the position file.
//!
//! It may lag, be deleted or be damaged at any time without losing anything. sled 0.34.7 is open only while it is read or written: it
//! keeps what it touched in memory, and its `flush` is no fsync, so its file is synced here before the position moves.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::compact;
use super::page::{PAGES, Page};
use super::position::Position;
use super::secret::{sync_folder, write_synced};
use super::{Core, until};
use crate::failpoint;

/// Pages in one of sled's batches: its memory grows with the batch, and so does the share of its file that is of use (2.7 times the
/// pages' bytes on the disk at 64, 3.3 times at 16).
const BATCH: usize = 64;
/// Pause after each batch of a checkpoint made in passing, so that it takes neither the disk nor the processor from calls.
const PAUSE: Duration = Duration::from_millis(8);
/// Bytes of pages after which sled's file is synced: much unsynced data in one file makes the journal's next sync wait for all of it.
const SYNC_BYTES: usize = 1 << 20;
/// How long a checkpoint waits for the journal to sync what a page reflects.
const DURABLE_WITHIN: Duration = Duration::from_secs(10);
/// Damaged views that are kept to be looked at.
const SET_ASIDE: usize = 2;

/// How fast a checkpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// In passing, beside calls.
    InPassing,
    /// At the end, or on request.
    AtOnce,
}

/// The view on disk.
pub(super) struct View {
    folder: PathBuf,
    position: Position,
}

impl View {
    fn pages(&self) -> PathBuf {
        self.folder.join("pages")
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One that holds nothing, in a folder that need not be there.
    pub fn empty(folder: PathBuf, spread: u64) -> Self {
        Self {
            folder,
            position: Position::empty(spread),
        }
    }

    /// Goes on with what another, now in this one's folder, reflects.
    pub fn take(&mut self, other: Self) {
        self.position = other.position;
    }
}

/// Removes what sled 0.34.7 leaves when it is stopped while opening, after which it would never open again (its issues 1527, 1533).
/// Under the store's lock nobody else can be generating.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn open_sled(folder: &Path) -> Result<sled::Db, String> {
    remove_leftovers(folder).map_err(|error| error.to_string())?;
    sled::Config::new()
        .path(folder)
        .cache_capacity(16 << 20)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None)
        .open()
        .map_err(|error| error.to_string())
}

/// sled panics on some damage instead of returning an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(text.unwrap_or_else(|| "panic".into()))
    })
}

/// What loading found.
pub(super) enum Loaded {
    /// No view is there.
    Nothing(View),
    /// All pages, with the number of rows of each.
    Pages(View, Vec<(usize, Page, u64)>),
}

/// Reads the view below the store's folder; an error means that it must not be used.
pub(super) fn load(store: &Path, spread: u64, journal_last: u64) -> Result<Loaded, String> {
    compact::settle(store).map_err(|error| error.to_string())?;
    let mut view = View::empty(store.join("ledger"), spread);
    if !view.pages().exists() && !view.folder.join("position").exists() {
        return Ok(Loaded::Nothing(view));
    }
    let bytes = fs::read(view.folder.join("position")).map_err(|error| format!("position: {error}"))?;
    view.position = Position::read(&bytes).ok_or("the position file is damaged or of another format")?;
    if view.position.spread != spread {
        return Err("the view was made under another secret".into());
    }
    let newest = view
        .position
        .standing
        .sequence
        .max(view.position.erased.sequence)
        .max(view.position.floor);
    if newest > journal_last {
        return Err(format!(
            "the view reflects record {newest}, the journal ends at {journal_last}"
        ));
    }
    let pages = guarded(|| load_pages(&view, journal_last))?;
    Ok(Loaded::Pages(view, pages))
}

fn load_pages(view: &View, journal_last: u64) -> Result<Vec<(usize, Page, u64)>, String> {
    let db = open_sled(&view.pages())?;
    let mut found = vec![0; PAGES];
    let mut pages = Vec::with_capacity(PAGES);
    for item in db.iter() {
        let (key, value) = item.map_err(|error| error.to_string())?;
        let index = key
            .as_ref()
            .try_into()
            .map(u16::from_be_bytes)
            .map_err(|_| "a key is none of a page")?;
        let (sequence, bytes) = unpack(index, &value).ok_or_else(|| format!("page {index} has a wrong checksum"))?;
        if sequence > journal_last {
            return Err(format!(
                "page {index} reflects record {sequence}, the journal ends at {journal_last}"
            ));
        }
        let (page, rows) = Page::load(sequence, bytes).ok_or_else(|| format!("page {index} cannot be read"))?;
        found[usize::from(index)] = sequence;
        pages.push((usize::from(index), page, rows));
    }
    match (0..PAGES).find(|index| found[*index] < view.position.sequences[*index]) {
        Some(index) => Err(format!("page {index} is missing or older than it was")),
        None => Ok(pages),
    }
}

/// Renames a damaged view out of the way and begins an empty one.
pub(super) fn set_aside(store: &Path, spread: u64) -> io::Result<(View, PathBuf)> {
    let folder = store.join("ledger");
    let earlier = damaged(store)?;
    let number = earlier.last().map_or(1, |(number, _)| number + 1);
    for (_, path) in earlier.iter().rev().skip(SET_ASIDE - 1) {
        fs::remove_dir_all(path)?;
    }
    let aside = store.join(format!("ledger.damaged-{number}"));
    fs::rename(&folder, &aside)?;
    sync_folder(store)?;
    Ok((View::empty(folder, spread), aside))
}

/// Views set aside, the oldest first.
fn damaged(store: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("ledger.damaged-")?.parse().ok());
        found.extend(number.map(|number: u64| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// Makes the folders of a new view, its position first: a view whose first checkpoint is broken off is behind, not damaged.
fn begin(store: &Path, view: &View) -> io::Result<()> {
    if view.pages().exists() {
        return Ok(());
    }
    fs::create_dir_all(&view.folder)?;
    write_synced(&view.folder, &view.folder.join("position"), &view.position.write())?;
    fs::create_dir_all(view.pages())?;
    sync_folder(&view.folder)?;
    sync_folder(store)
}

fn pack(index: u16, sequence: u64, bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(12 + bytes.len());
    value.extend_from_slice(&checksum(index, sequence, bytes).to_le_bytes());
    value.extend_from_slice(&sequence.to_le_bytes());
    value.extend_from_slice(bytes);
    value
}

fn unpack(index: u16, value: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (crc, rest) = value.split_first_chunk()?;
    let (sequence, bytes) = rest.split_first_chunk()?;
    let sequence = u64::from_le_bytes(*sequence);
    (checksum(index, sequence, bytes) == u32::from_le_bytes(*crc)).then(|| (sequence, bytes.to_vec()))
}

fn checksum(index: u16, sequence: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&index.to_le_bytes());
    crc.update(&sequence.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

impl Core {
    /// Records that a start would have to replay.
    pub fn behind(&self) -> u64 {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        self.taken().saturating_sub(view.position.floor)
    }

    /// Brings the view up to date, page by page, holding no page longer than it takes to copy it.
    pub fn checkpoint(&self, pace: Pace) -> Result<(), String> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        self.checkpoint_of(&mut view, pace)
    }

    /// Makes the view anew, so that nothing of it holds what was erased.
    pub fn rewrite_view(&self) -> Result<(), String> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let store = &self.options.path;
        compact::settle(store).map_err(|error| error.to_string())?;
        let aside = damaged(store).map_err(|error| error.to_string())?;
        for folder in aside.iter().map(|(_, path)| path).chain([&view.folder]) {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
                _ => {}
            }
        }
        view.position = Position::empty(view.position.spread);
        for index in 0..PAGES {
            let mut page = self.pages.lock(index);
            page.dirty |= page.sequence > 0;
        }
        self.checkpoint_of(&mut view, Pace::AtOnce)
    }

    pub fn checkpoint_of(&self, view: &mut View, pace: Pace) -> Result<(), String> {
        let taken = self.taken();
        let floor = taken.min(self.import_first.load(Ordering::SeqCst).saturating_sub(1));
        begin(&self.options.path, view).map_err(|error| error.to_string())?;
        let mut position = view.position.clone();
        let held = guarded(|| {
            let db = open_sled(&view.pages())?;
            let held = self.write_pages(&db, &view.pages().join("db"), &mut position, pace)?;
            db.flush().map_err(|error| error.to_string())?;
            drop(db);
            // What sled calls flushed is with the kernel; the position must not be on the disk before it.
            let synced = File::open(view.pages().join("db")).and_then(|file| file.sync_all());
            synced
                .and_then(|()| sync_folder(&view.pages()))
                .map_err(|error| error.to_string())?;
            Ok(held)
        })
        .inspect_err(|_| {
            // What was copied may not have arrived: write all that the last good position does not vouch for again.
            for (index, sequence) in view.position.sequences.iter().enumerate() {
                let mut page = self.pages.lock(index);
                page.dirty |= page.sequence > *sequence;
            }
        })?;
        position.latest = self.latest.load(Ordering::Relaxed);
        position.standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        position.erased = self.erased.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.wait_durable(position.standing.sequence.max(position.erased.sequence))?;
        if !held {
            position.floor = floor;
        }
        failpoint::reach("view.before-position");
        write_synced(&view.folder, &view.folder.join("position"), &position.write())
            .map_err(|error| error.to_string())?;
        view.position = position;
        Ok(())
    }

    /// Writes the pages that changed. True: some had to be left out, and the floor must stay.
    fn write_pages(&self, db: &sled::Db, file: &Path, position: &mut Position, pace: Pace) -> Result<bool, String> {
        let now = self.latest.load(Ordering::Relaxed);
        let mut held = false;
        let file = File::open(file).map_err(|error| error.to_string())?;
        let mut unsynced = 0;
        let mut batch = sled::Batch::default();
        let (mut size, mut newest) = (0, 0);
        for index in 0..PAGES {
            let copied = self.with_page_at(index, |page| {
                if !page.dirty {
                    return None;
                }
                if page.deferred > 0 {
                    held = true;
                    return None;
                }
                self.pages.count(page.tidy(now, self.since(now)));
                page.dirty = false;
                let number = u16::try_from(index).unwrap_or_default();
                Some((number, page.sequence, pack(number, page.sequence, page.bytes())))
            });
            if let Some((number, sequence, value)) = copied {
                unsynced += value.len();
                batch.insert(&number.to_be_bytes(), value);
                position.sequences[index] = sequence;
                newest = newest.max(sequence);
                size += 1;
            }
            if size == BATCH || (size > 0 && index == PAGES - 1) {
                // A page must never reflect what the journal could still lose.
                self.wait_durable(newest)?;
                db.apply_batch(std::mem::take(&mut batch))
                    .map_err(|error| error.to_string())?;
                size = 0;
                if unsynced >= SYNC_BYTES {
                    file.sync_data().map_err(|error| error.to_string())?;
                    unsynced = 0;
                }
                if pace == Pace::InPassing {
                    if self.signal.stopped() {
                        return Err("the store is closing".into());
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Ok(held)
    }

    /// Waits until a record is durable.
    pub fn wait_durable(&self, sequence: u64) -> Result<(), String> {
        let deadline = until(DURABLE_WITHIN);
        while self.durable() < sequence {
            if let Some(error) = self.journal.failure() {
                return Err(error.to_string());
            }
            if std::time::Instant::now() > deadline {
                return Err("the journal does not keep up".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match self.journal.failure() {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }
}

//! Pages of rows: the unit of locking, of the view's values and of its positions.
//!
//! A page holds all rows whose callee falls into it by a keyed hash, sorted, as bytes. Its `sequence` is that of the last journal record
//! it reflects: whoever changes a page appends to the journal while holding the page's lock, so that order in the page is order in the
//! journal, and a replay skips what the page has already.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::record::Entry;
use super::super::{Key, Siren};
use super::import::Staged;
use super::row::{Reader, Row, put};
use super::signposts::Signposts;
use crate::numbering::E164;

/// Number of pages; part of the view's format. At five million rows a page holds some 76 of them, two kilobytes.
pub(super) const PAGES: usize = 1 << 16;

const CALLEE: usize = 7;
const SIREN: usize = 4;

/// Rows of some callees, as bytes: callee (7 bytes), SIREN (4), length of the row (LEB128), row.
#[derive(Default)]
pub(super) struct Page {
    /// The last journal record reflected.
    pub sequence: u64,
    /// Differs from what the view holds.
    pub dirty: bool,
    /// Changes decided in memory whose records wait for the journal: until they are in it, the view must not hold them.
    pub deferred: u32,
    /// What a large import in progress brings; invisible until it is committed.
    pub staged: Option<Box<Staged>>,
    bytes: Vec<u8>,
    posts: Signposts,
}

/// Where a row is.
struct Place {
    start: usize,
    row: usize,
    end: usize,
}

fn prefix(key: Key) -> [u8; CALLEE + SIREN] {
    let mut prefix = [0; CALLEE + SIREN];
    // An E.164 number is below 2^50.
    prefix[..CALLEE].copy_from_slice(&key.callee.get().to_be_bytes()[8 - CALLEE..]);
    prefix[CALLEE..].copy_from_slice(&key.siren.0.to_be_bytes());
    prefix
}

/// What a key begins with: keys in order have these in order.
fn head(prefix: &[u8]) -> u64 {
    prefix.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

/// Splits the first row off.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (prefix, rest) = bytes.split_at_checked(CALLEE + SIREN)?;
    let mut reader = Reader(rest);
    let length = usize::try_from(reader.number()?).ok()?;
    let (row, rest) = reader.0.split_at_checked(length)?;
    Some((prefix, row, rest))
}

impl Page {
    /// From the view's bytes; `None` where they are no page. All of it is read once here, so that no later reading can fail.
    pub fn load(sequence: u64, bytes: Vec<u8>) -> Option<(Self, u64)> {
        let mut rest = bytes.as_slice();
        let mut before: &[u8] = &[];
        let mut rows = 0;
        while !rest.is_empty() {
            let (prefix, row, after) = split(rest)?;
            key_of(prefix)?;
            Row::read(row)?;
            if prefix <= before {
                return None;
            }
            before = prefix;
            rest = after;
            rows += 1;
        }
        let mut page = Self {
            sequence,
            bytes,
            ..Self::default()
        };
        page.put_up_posts();
        Some((page, rows))
    }

    fn put_up_posts(&mut self) {
        let mut rest = self.bytes.as_slice();
        let rows = std::iter::from_fn(|| {
            let start = self.bytes.len() - rest.len();
            let (prefix, _, after) = split(rest)?;
            rest = after;
            Some((start, head(prefix)))
        });
        self.posts.put_up(rows);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn find(&self, key: Key) -> Result<Place, usize> {
        let wanted = prefix(key);
        let (near, begins) = (head(&wanted), self.posts.before(head(&wanted)));
        let mut rest = self.bytes.get(begins..).unwrap_or_default();
        while let Some((prefix, row, after)) = split(rest) {
            // Nearly all rows on the way differ in these.
            if head(prefix) >= near && *prefix >= wanted[..] {
                let end = self.bytes.len() - after.len();
                let start = self.bytes.len() - rest.len();
                let found = Place {
                    start,
                    row: end - row.len(),
                    end,
                };
                return if *prefix == wanted { Ok(found) } else { Err(start) };
            }
            rest = after;
        }
        Err(self.bytes.len())
    }

    /// The row, empty where nothing is known.
    pub fn get(&self, key: Key) -> Row {
        self.find(key)
            .map(|place| {
                Row::read(&self.bytes[place.row..place.end]).expect("a page's rows are read when it is loaded")
            })
            .unwrap_or_default()
    }

    /// Puts a row in place of what was known of the key. Returns by how much the number of rows changes.
    pub fn put(&mut self, key: Key, row: &Row) -> i64 {
        let mut bytes = Vec::with_capacity(64);
        if !row.is_empty() {
            let mut body = Vec::with_capacity(48);
            row.write(&mut body);
            bytes.extend_from_slice(&prefix(key));
            put(&mut bytes, body.len() as u64);
            bytes.extend_from_slice(&body);
        }
        let (place, before) = match self.find(key) {
            Ok(found) => (found.start..found.end, 1),
            Err(start) => (start..start, 0),
        };
        self.dirty = true;
        let grows = bytes.len().saturating_sub(place.len());
        if self.bytes.capacity() - self.bytes.len() < grows {
            // An eighth ahead rather than twice the size: pages are most of the process's memory.
            self.bytes.reserve_exact(grows + self.bytes.len() / 8);
        }
        let after = i64::from(!bytes.is_empty());
        let (start, old, new) = (place.start, place.len(), bytes.len());
        self.bytes.splice(place, bytes);
        if self.posts.replaced(start, old, new, self.bytes.len()) {
            self.put_up_posts();
        }
        after - before
    }

    /// All rows, by callee and SIREN.
    pub fn rows(&self) -> impl Iterator<Item = (Key, Row)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (prefix, row, after) = split(rest)?;
            rest = after;
            Some((key_of(prefix)?, Row::read(row)?))
        })
    }

    /// Tidies all rows ([`Row::tidy`]). Returns by how much the number of rows changes.
    pub fn tidy(&mut self, now: u32, since: u32) -> i64 {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let (mut changed, mut gone) = (false, 0);
        let mut body = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let Some((prefix, packed, after)) = split(rest) {
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            let mut row = Row::read(packed).expect("a page's rows are read when it is loaded");
            if !row.tidy(now, since) {
                bytes.extend_from_slice(whole);
                continue;
            }
            changed = true;
            if row.is_empty() {
                gone += 1;
                continue;
            }
            body.clear();
            row.write(&mut body);
            bytes.extend_from_slice(prefix);
            put(&mut bytes, body.len() as u64);
            bytes.extend_from_slice(&body);
        }
        if changed {
            self.dirty = true;
            bytes.shrink_to_fit();
            self.bytes = bytes;
            self.put_up_posts();
        }
        -gone
    }
}

fn key_of(prefix: &[u8]) -> Option<Key> {
    let (callee, siren) = prefix.split_at_checked(CALLEE)?;
    let callee = callee.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some(Key {
        callee: E164::new(callee)?,
        siren: Siren(u32::from_be_bytes(siren.try_into().ok()?)),
    })
}

/// All pages, and where a callee's is.
pub(super) struct Pages {
    all: Box<[Mutex<Page>]>,
    key: (u64, u64),
    rows: AtomicU64,
}

impl Pages {
    /// Empty pages. The key spreads callees over pages so that nobody who chooses whom to call can fill one page only.
    pub fn new(key: [u8; 16]) -> Self {
        let (low, high) = key.split_at(8);
        let half = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("eight bytes"));
        Self {
            all: std::iter::repeat_with(Mutex::default).take(PAGES).collect(),
            key: (half(low), half(high)),
            rows: AtomicU64::new(0),
        }
    }

    pub fn index(&self, callee: E164) -> usize {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(callee.get());
        usize::from(u16::from_le_bytes([
            hasher.finish().to_le_bytes()[0],
            hasher.finish().to_le_bytes()[1],
        ]))
    }

    /// The page as it is, without what an import may have committed; [`super::Core::page`] is what operations use.
    pub fn lock(&self, index: usize) -> MutexGuard<'_, Page> {
        self.all[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, difference: i64) {
        self.rows.fetch_add(difference.cast_unsigned(), Ordering::Relaxed);
    }

    /// Rows in all pages.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

/// The key that an entry is about.
pub(super) fn key_of_entry(entry: &Entry) -> Option<Key> {
    match entry {
        Entry::Refusal { key, .. }
        | Entry::Consent { key, .. }
        | Entry::ConsentUsed { key, .. }
        | Entry::Contract { key, .. }
        | Entry::Attempt { key, .. } => Some(*key),
        Entry::Range(_)
        | Entry::Screening { .. }
        | Entry::Suspension(_)
        | Entry::Configuration { .. }
        | Entry::Forgotten { .. } => None,
    }
}

/// What an import brings to one page, in the import's order.
impl Staged {
    pub fn entries(&self) -> impl Iterator<Item = (Key, &Entry)> {
        let entries: &Arc<super::import::Import> = &self.import;
        self.places.iter().filter_map(|place| {
            let entry = entries.entries.get(*place as usize)?;
            Some((key_of_entry(entry)?, entry))
        })
    }
}

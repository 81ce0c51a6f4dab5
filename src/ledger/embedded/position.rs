//! The view's position file: up to where the view reflects the journal, and the little state that is not in pages.
//!
//! Written last in a checkpoint, whole or not at all; with the sequence of every page it tells a view that lost or kept an older page
//! from a good one.

use chrono::{DateTime, Utc};

use super::super::body::{self, Record};
use super::erased::Erased;
use super::page::PAGES;
use super::row::{Reader, put};
use super::standing::StandingState;
use crate::journal::{Kind, Stored};

/// Names the format of the view, pages included; another format is built anew from the journal.
const FORMAT: &[u8; 8] = b"clapetv1";

/// What a checkpoint says of itself.
#[derive(Clone, Debug)]
pub(super) struct Position {
    /// Tells whether pages were spread by the same key.
    pub spread: u64,
    /// All records up to this one are reflected in the pages and the rest.
    pub floor: u64,
    /// Unix seconds of the latest attempt.
    pub latest: u32,
    /// The sequence that each page has at least; a checkpoint broken off later leaves some newer.
    pub sequences: Vec<u64>,
    pub standing: StandingState,
    pub erased: Erased,
}

impl Position {
    /// Of an empty view.
    pub fn empty(spread: u64) -> Self {
        Self {
            spread,
            floor: 0,
            latest: 0,
            sequences: vec![0; PAGES],
            standing: StandingState::default(),
            erased: Erased::default(),
        }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 * PAGES);
        out.extend_from_slice(FORMAT);
        out.extend_from_slice(&[0; 4]);
        put(&mut out, self.spread);
        put(&mut out, self.floor);
        put(&mut out, self.latest.into());
        for sequence in &self.sequences {
            put(&mut out, *sequence);
        }
        put(&mut out, self.standing.sequence);
        let entries: Vec<_> = self.standing.entries().map(|entry| body::entry(&entry, None)).collect();
        put(&mut out, entries.len() as u64);
        for (kind, siren, body) in &entries {
            out.push(*kind as u8);
            put(&mut out, (*siren).into());
            put(&mut out, body.len() as u64);
            out.extend_from_slice(body);
        }
        put(&mut out, self.erased.sequence);
        put(&mut out, self.erased.kept.len() as u64);
        for (tag, kept) in &self.erased.kept {
            let body = body::erasure(tag, kept);
            put(&mut out, body.len() as u64);
            out.extend_from_slice(&body);
        }
        let crc = crc32fast::hash(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(FORMAT)?;
        let (crc, rest) = rest.split_first_chunk()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut r = Reader(rest);
        let mut position = Self::empty(r.number()?);
        position.floor = r.number()?;
        position.latest = u32::try_from(r.number()?).ok()?;
        for sequence in &mut position.sequences {
            *sequence = r.number()?;
        }
        let sequence = r.number()?;
        for _ in 0..r.number()? {
            let kind = standing_kind(u8::try_from(r.number()?).ok()?)?;
            let siren = u32::try_from(r.number()?).ok()?;
            let Record::Entry { entry, .. } = record(kind, siren, r.bytes()?)? else {
                return None;
            };
            position.standing.apply(&entry);
        }
        position.standing.sequence = sequence;
        position.erased.sequence = r.number()?;
        for _ in 0..r.number()? {
            let Record::Erasure { tag, kept } = record(Kind::Forgotten, 0, r.bytes()?)? else {
                return None;
            };
            position.erased.kept.insert(tag, kept);
        }
        r.0.is_empty().then_some(position)
    }
}

fn record(kind: Kind, siren: u32, body: &[u8]) -> Option<Record> {
    let stored = Stored {
        sequence: 0,
        kind,
        at: DateTime::<Utc>::UNIX_EPOCH,
        siren,
        body: Some(body.to_vec()),
    };
    body::read(&stored).ok()
}

/// The kinds of entry that are about nobody's callee.
fn standing_kind(number: u8) -> Option<Kind> {
    [Kind::Range, Kind::Screening, Kind::Suspension, Kind::Configuration]
        .into_iter()
        .find(|kind| *kind as u8 == number)
}

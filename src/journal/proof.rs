//! Proofs that single records are in the chain, for a bundle that shows one professional's records and nobody else's. A proof is
//! checked against a signed checkpoint alone, without the journal.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Lines, PublicKey};
use super::frame::{Frame, Personal, Record};
use super::hash::{self, Hash, SALT, hex, hex_bytes, hex_list};
use super::reader::{self, Chain};
use super::segment::Segment;
use super::{JournalError, Stored};

/// The personal part of a record, which its commitment opens to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Opening {
    #[serde(with = "hex")]
    pub salt: [u8; SALT],
    #[serde(with = "hex_bytes")]
    pub body: Vec<u8>,
}

/// A record, and what it takes to check that a checkpoint covers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    #[allow(missing_docs)]
    pub sequence: u64,
    /// Microseconds since 1970-01-01 UTC.
    pub at: i64,
    #[allow(missing_docs)]
    pub siren: u32,
    /// Number of the record's [`Kind`](super::Kind).
    pub kind: u8,
    #[allow(missing_docs)]
    #[serde(with = "hex")]
    pub commitment: Hash,
    /// `None` once erased.
    pub opening: Option<Opening>,
    /// First sequence and number of records of its batch.
    pub batch_first: u64,
    #[allow(missing_docs)]
    pub batch_count: u32,
    /// The chain's value before its batch.
    #[serde(with = "hex")]
    pub previous: Hash,
    /// From the record to the root of its batch.
    #[serde(with = "hex_list")]
    pub record_path: Vec<Hash>,
    /// Place of its batch among those that the checkpoint covers, from zero.
    pub batch_index: u64,
    /// From the batch to the root in the checkpoint.
    #[serde(with = "hex_list")]
    pub batch_path: Vec<Hash>,
    #[allow(missing_docs)]
    pub checkpoint: Checkpoint,
}

/// What does not hold in a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Salt and body are not what the record's commitment was made from.
    #[error("the record's body is not the one that was committed to")]
    Body,
    /// The record does not lead to the root that the checkpoint names.
    #[error("the record is not in the chain at this place")]
    Place,
    /// The checkpoint was changed, or signed by another key than it names.
    #[error("the checkpoint's signature does not hold")]
    Signature,
    /// The checkpoint's key is none of those given.
    #[error("the checkpoint is signed by an unknown key")]
    Key,
}

impl Proof {
    /// Checks the proof. `keys`: the public keys that are trusted, from a source other than the bundle.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(), ProofError> {
        if let Some(opening) = &self.opening
            && hash::commitment(&opening.salt, &opening.body) != self.commitment
        {
            return Err(ProofError::Body);
        }
        if self.reached_tree() != Some(self.checkpoint.tree) {
            return Err(ProofError::Place);
        }
        if !keys.contains(&self.checkpoint.key) {
            return Err(ProofError::Key);
        }
        if self.checkpoint.is_signed() {
            Ok(())
        } else {
            Err(ProofError::Signature)
        }
    }

    /// The root that the record leads to through its batch.
    fn reached_tree(&self) -> Option<Hash> {
        let leaf = hash::leaf(self.sequence, self.at, self.siren, self.kind, &self.commitment);
        let index = self.sequence.checked_sub(self.batch_first)?;
        let root = hash::root_of(leaf, index, u64::from(self.batch_count), &self.record_path)?;
        let link = hash::link(&self.previous, &root, self.batch_first, self.batch_count);
        let batch = hash::batch_leaf(&link);
        hash::root_of(batch, self.batch_index, self.checkpoint.batches, &self.batch_path)
    }
}

/// Proofs for records, in the order of their sequences, from one pass over the journal. Records that are not there, or that no
/// checkpoint covers yet, have none: [`super::Journal::close`] and rotation sign all that is written.
pub fn prove(folder: &Path, sequences: &[u64]) -> Result<Vec<Proof>, JournalError> {
    let wanted: BTreeSet<u64> = sequences.iter().copied().collect();
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
        return Ok(Vec::new());
    };
    let mut proofs = Vec::new();
    let among = |stored: &Stored| wanted.contains(&stored.sequence);
    prove_each(folder, *first..=*last, among, |proof| {
        proofs.push(proof);
        Ok(())
    })?;
    Ok(proofs)
}

/// Proofs for the records in a range of sequences that are wanted, each handed over as soon as the checkpoint that covers it is read:
/// no more of them are held than one checkpoint covers.
pub fn prove_each<E: From<JournalError>>(
    folder: &Path,
    range: RangeInclusive<u64>,
    wanted: impl Fn(&Stored) -> bool,
    mut take: impl FnMut(Proof) -> Result<(), E>,
) -> Result<(), E> {
    let mut prover = Prover::default();
    let mut chain = Chain::new(folder, range.start().saturating_sub(1))?;
    while chain.step()? {
        let (Some(frame), Some(segment)) = (chain.frame(), chain.segment()) else {
            break;
        };
        if frame.head.first > *range.end() && prover.open.is_empty() {
            break;
        }
        if prover.segment.as_ref() != Some(segment) {
            prover.enter(segment)?;
        }
        let wanted = |record: &Record<'_>| {
            range.contains(&record.sequence) && reader::stored(record, segment).is_ok_and(|stored| wanted(&stored))
        };
        prover.take(&frame, &chain, wanted);
        for proof in prover.done.drain(..) {
            take(proof)?;
        }
    }
    Ok(())
}

/// Collects what the proofs under one checkpoint need.
#[derive(Default)]
struct Prover {
    segment: Option<Segment>,
    due: VecDeque<Checkpoint>,
    /// Batches since the start of what the next checkpoint covers.
    batches: Vec<Hash>,
    /// Index of the batch, record with what its batch gives: the proofs waiting for their checkpoint.
    open: Vec<(usize, Found)>,
    done: Vec<Proof>,
}

/// A wanted record with what its batch gives.
struct Found {
    sequence: u64,
    at: i64,
    siren: u32,
    kind: u8,
    commitment: Hash,
    opening: Option<Opening>,
    batch_first: u64,
    batch_count: u32,
    previous: Hash,
    record_path: Vec<Hash>,
}

impl Prover {
    fn enter(&mut self, segment: &Segment) -> Result<(), JournalError> {
        self.due = Lines::read(segment)?.checkpoints().flatten().collect();
        self.segment = Some(segment.clone());
        self.open.clear();
        Ok(())
    }

    fn take(&mut self, frame: &Frame<'_>, chain: &Chain, wanted: impl Fn(&Record<'_>) -> bool) {
        let (begins, ends) = (frame.head.first, frame.head.last());
        while self.due.front().is_some_and(|due| due.last < begins) {
            self.due.pop_front();
            self.open.clear();
        }
        let Some(due) = self.due.front().filter(|due| due.first <= begins) else {
            return;
        };
        if due.first == begins {
            self.batches.clear();
            self.open.clear();
        }
        let index = self.batches.len();
        self.batches.push(hash::batch_leaf(chain.link()));
        let found = found(frame, *chain.previous(), wanted);
        self.open.extend(found.into_iter().map(|found| (index, found)));
        if due.last == ends
            && let Some(checkpoint) = self.due.pop_front()
        {
            let batches = std::mem::take(&mut self.batches);
            for (index, found) in self.open.drain(..) {
                self.done.push(found.under(&checkpoint, &batches, index));
            }
        }
    }
}

/// The wanted records of a batch.
fn found(frame: &Frame<'_>, previous: Hash, wanted: impl Fn(&Record<'_>) -> bool) -> Vec<Found> {
    let among: Vec<_> = frame
        .records()
        .enumerate()
        .filter(|(_, record)| wanted(record))
        .collect();
    if among.is_empty() {
        return Vec::new();
    }
    let leaves: Vec<Hash> = frame.records().map(|record| record.leaf()).collect();
    among
        .into_iter()
        .map(|(index, record)| Found {
            sequence: record.sequence,
            at: record.at(),
            siren: record.siren(),
            kind: record.kind(),
            commitment: record.commitment(),
            opening: (record.state() == Personal::Present).then(|| Opening {
                salt: record.salt().first_chunk().copied().unwrap_or_default(),
                body: record.body().to_vec(),
            }),
            batch_first: frame.head.first,
            batch_count: frame.head.count,
            previous,
            record_path: hash::path(&leaves, index),
        })
        .collect()
}

impl Found {
    fn under(self, checkpoint: &Checkpoint, batches: &[Hash], index: usize) -> Proof {
        Proof {
            sequence: self.sequence,
            at: self.at,
            siren: self.siren,
            kind: self.kind,
            commitment: self.commitment,
            opening: self.opening,
            batch_first: self.batch_first,
            batch_count: self.batch_count,
            previous: self.previous,
            record_path: self.record_path,
            batch_index: index as u64,
            batch_path: hash::path(batches, index),
            checkpoint: checkpoint.clone(),
        }
    }
}

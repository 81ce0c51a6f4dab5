//! The bytes of a batch: header, public table, seals, personal part (`docs/journal-format.md`). Encodes for the committer, and checks
//! and reads for everybody else; never touches a file. Bytes read are hostile: nothing here panics on them.

use super::Draft;
use super::hash::{self, Hash, Id, SALT, Tree};

/// First bytes of every batch.
pub(super) const MAGIC: [u8; 4] = *b"cBAT";
/// Header of a batch in bytes.
pub(super) const HEAD: usize = 72;
/// The part of the header that says where the batch ends, with a checksum of its own.
pub(super) const FRONT: usize = 32;
/// One record in the public table.
const ENTRY: usize = 52;
/// One seal.
pub(super) const SEAL: usize = 4;
/// Batches start at multiples of this, so that a seal never straddles two sectors of a disk and one write of it is atomic.
pub(super) const ALIGN: usize = 8;

/// Greatest sequence number: no sum of one with a count can overflow.
pub(super) const MAX_SEQUENCE: u64 = u64::MAX >> 1;

/// The seal of a record whose personal part has been erased.
const ERASED: u32 = 0;

/// The bytes that a batch of these records takes.
pub(super) fn length(records: usize, bodies: usize) -> usize {
    (HEAD + records * (ENTRY + SEAL + SALT) + bodies).next_multiple_of(ALIGN)
}

/// Where a batch goes in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub id: &'a Id,
    /// Sequence of the batch's first record.
    pub first: u64,
    /// Highest sequence known to be synced as the batch is written.
    pub synced: u64,
    pub previous: &'a Hash,
}

/// Writes a batch into `out` (emptied first) and gives the chain's value after it. Lengths fit 32 bits: the queue bounds them.
pub(super) fn encode<'a>(
    out: &mut Vec<u8>,
    place: Place<'_>,
    drafts: impl ExactSizeIterator<Item = &'a Draft>,
    mut salt: impl FnMut() -> [u8; SALT],
) -> Hash {
    let records = drafts.len();
    let count = u32::try_from(records).expect("the queue bounds a batch");
    let seals = HEAD + records * ENTRY;
    out.clear();
    out.resize(seals + records * SEAL, 0);
    let mut tree = Tree::default();
    for (index, draft) in drafts.enumerate() {
        let sequence = place.first + index as u64;
        let at = draft.at.timestamp_micros();
        let start = out.len();
        out.extend_from_slice(&salt());
        out.extend_from_slice(&draft.body);
        let seal = seal(&out[start..]);
        let commitment = hash::commitment(&out[start..start + SALT], &draft.body);
        let length = u32::try_from(draft.body.len()).expect("the queue bounds a body");
        let entry = &mut out[HEAD + index * ENTRY..][..ENTRY];
        entry[..8].copy_from_slice(&at.to_le_bytes());
        entry[8..12].copy_from_slice(&draft.siren.to_le_bytes());
        entry[12] = draft.kind as u8;
        entry[16..20].copy_from_slice(&length.to_le_bytes());
        entry[20..].copy_from_slice(&commitment);
        out[seals + index * SEAL..][..SEAL].copy_from_slice(&seal.to_le_bytes());
        tree.push(hash::leaf(sequence, at, draft.siren, draft.kind as u8, &commitment));
    }
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    let link = hash::link(place.previous, &tree.root(), place.first, count);
    let length = u32::try_from(out.len()).expect("the queue bounds a batch");
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[8..16].copy_from_slice(&place.first.to_le_bytes());
    out[16..24].copy_from_slice(&place.synced.to_le_bytes());
    out[24..28].copy_from_slice(&count.to_le_bytes());
    let front = front_checksum(place.id, &out[..28]);
    out[28..32].copy_from_slice(&front.to_le_bytes());
    out[32..64].copy_from_slice(&link);
    let table = table_checksum(&out[..seals]);
    out[68..72].copy_from_slice(&table.to_le_bytes());
    link
}

/// Checksum of a personal part that is there: never the value that means erased.
fn seal(personal: &[u8]) -> u32 {
    match crc32fast::hash(personal) {
        ERASED => u32::MAX,
        sum => sum,
    }
}

/// The journal's identity is part of it, so that bytes which outsiders brought into a body never pass for a batch.
fn front_checksum(id: &Id, front: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id);
    hasher.update(front);
    hasher.finalize()
}

fn table_checksum(public: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&public[FRONT..68]);
    hasher.update(&public[HEAD..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The front of a batch's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of the whole batch, in bytes.
    pub length: usize,
    pub first: u64,
    pub synced: u64,
    pub count: u32,
}

impl Head {
    /// Reads and checks the first [`FRONT`] bytes of a batch.
    pub(super) fn parse(bytes: &[u8], id: &Id) -> Result<Self, &'static str> {
        let Some(front) = bytes.first_chunk::<FRONT>() else {
            return Err("the header is cut short");
        };
        if front[..4] != MAGIC {
            return Err("no batch starts here");
        }
        if u32_at(front, 28) != front_checksum(id, &front[..28]) {
            return Err("the header does not match its checksum");
        }
        let head = Self {
            length: u32_at(front, 4) as usize,
            first: u64_at(front, 8),
            synced: u64_at(front, 16),
            count: u32_at(front, 24),
        };
        let least = length(head.count as usize, 0);
        let sequences = 1..=MAX_SEQUENCE;
        if head.count == 0
            || !sequences.contains(&head.first)
            || !sequences.contains(&head.last())
            || head.length < least
            || !head.length.is_multiple_of(ALIGN)
        {
            return Err("the header holds impossible values");
        }
        Ok(head)
    }

    /// Sequence of the batch's last record.
    pub(super) fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count)) - 1
    }
}

/// A whole batch whose header and public table have been checked; its personal parts are checked one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub head: Head,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks the public part and that all lengths add up. `bytes` is exactly the batch.
    pub(super) fn parse(head: Head, bytes: &'a [u8]) -> Result<Self, &'static str> {
        let frame = Self { head, bytes };
        if bytes.len() != head.length {
            return Err("the batch is cut short");
        }
        if u32_at(bytes, 68) != table_checksum(&bytes[..frame.seals()]) {
            return Err("the public part does not match its checksum");
        }
        let bodies = frame.entries().map(|entry| u32_at(entry, 16) as usize).sum();
        if length(head.count as usize, bodies) != head.length {
            return Err("the lengths of the records do not add up");
        }
        let padding = frame.personal() + head.count as usize * SALT + bodies;
        if bytes[padding..].iter().any(|byte| *byte != 0) {
            return Err("the padding is not zero");
        }
        Ok(frame)
    }

    /// A batch that has passed [`Frame::parse`] before, without checking it anew.
    pub(super) const fn checked(head: Head, bytes: &'a [u8]) -> Self {
        Self { head, bytes }
    }

    const fn seals(&self) -> usize {
        HEAD + self.head.count as usize * ENTRY
    }

    const fn personal(&self) -> usize {
        self.seals() + self.head.count as usize * SEAL
    }

    fn entries(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes[HEAD..self.seals()].chunks_exact(ENTRY)
    }

    /// The chain's value after this batch, as it stands in the file.
    pub(super) fn link(&self) -> Hash {
        self.bytes[FRONT..].first_chunk().copied().unwrap_or_default()
    }

    /// The chain's value after this batch, computed.
    pub(super) fn computed_link(&self, previous: &Hash) -> Hash {
        let mut tree = Tree::default();
        self.records().for_each(|record| tree.push(record.leaf()));
        hash::link(previous, &tree.root(), self.head.first, self.head.count)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let bytes = self.bytes;
        let (first, seals, mut at) = (self.head.first, self.seals(), self.personal());
        self.entries().enumerate().map(move |(index, entry)| {
            let start = at;
            at += SALT + u32_at(entry, 16) as usize;
            let seal_at = seals + index * SEAL;
            Record {
                sequence: first + index as u64,
                entry,
                seal: u32_at(bytes, seal_at),
                seal_at,
                personal: &bytes[start..at],
                personal_at: start,
            }
        })
    }
}

/// What became of a record's personal part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Personal {
    Present,
    Erased,
    /// Marked as erased, but its bytes are not all zero yet: the erasure was cut off.
    Unfinished,
    /// Its bytes do not match its seal.
    Broken,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub sequence: u64,
    entry: &'a [u8],
    seal: u32,
    /// Offset of the seal in its batch.
    pub seal_at: usize,
    /// Salt and body.
    pub personal: &'a [u8],
    /// Offset of the personal part in its batch.
    pub personal_at: usize,
}

impl<'a> Record<'a> {
    /// Microseconds since 1970-01-01 UTC.
    pub(super) fn at(&self) -> i64 {
        u64_at(self.entry, 0).cast_signed()
    }

    pub(super) fn siren(&self) -> u32 {
        u32_at(self.entry, 8)
    }

    pub(super) fn kind(&self) -> u8 {
        self.entry[12]
    }

    pub(super) fn commitment(&self) -> Hash {
        self.entry[20..].first_chunk().copied().unwrap_or_default()
    }

    pub(super) fn salt(&self) -> &'a [u8] {
        &self.personal[..SALT]
    }

    pub(super) fn body(&self) -> &'a [u8] {
        &self.personal[SALT..]
    }

    pub(super) fn leaf(&self) -> Hash {
        hash::leaf(
            self.sequence,
            self.at(),
            self.siren(),
            self.kind(),
            &self.entry[20..ENTRY],
        )
    }

    /// Erased, be it to the last byte or not.
    pub(super) const fn is_erased(&self) -> bool {
        self.seal == ERASED
    }

    pub(super) fn state(&self) -> Personal {
        if self.is_erased() {
            return if self.personal.iter().all(|byte| *byte == 0) {
                Personal::Erased
            } else {
                Personal::Unfinished
            };
        }
        if self.seal == seal(self.personal) {
            Personal::Present
        } else {
            Personal::Broken
        }
    }

    /// Does the commitment in the chain open to this salt and body?
    pub(super) fn opens(&self) -> bool {
        hash::commitment(self.salt(), self.body()) == self.commitment()
    }
}

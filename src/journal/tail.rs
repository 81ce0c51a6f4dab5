//! Is what stands at the end of the last segment a batch whose writing was interrupted, which nobody was promised and which may be
//! cut, or damage to something promised? The rule is in `docs/journal-format.md`. Pure; called by open, read and verify.

use super::frame::{ALIGN, FRONT, HEAD, Head, MAGIC};
use super::hash::Id;

/// The unit in which disks and file systems leave unwritten what they did not get to.
const SECTOR: u64 = 512;

/// What the bad bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// An interrupted write of what was never synced.
    Torn,
    /// Something else, or something that was synced.
    Damaged,
}

/// Where the bad bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect<'a> {
    pub id: &'a Id,
    /// Offset in the file at which the bad batch starts.
    pub offset: u64,
    /// Sequence that the batch should start with.
    pub expected: u64,
    /// Highest sequence that a signed checkpoint says was synced.
    pub durable: u64,
}

/// Judges the bytes of the last segment from a bad batch to the end.
pub(super) fn judge(suspect: Suspect<'_>, rest: &[u8]) -> Tail {
    let head = Head::parse(rest, suspect.id)
        .ok()
        .filter(|head| head.first == suspect.expected);
    if suspect.durable.max(synced_after(suspect, rest)) >= suspect.expected {
        return Tail::Damaged;
    }
    let cut_short = rest.len() < HEAD || head.is_some_and(|head| head.length > rest.len());
    if cut_short || has_hole(suspect.offset, rest) {
        Tail::Torn
    } else {
        Tail::Damaged
    }
}

/// The highest sequence that a later batch says was synced before it was written.
fn synced_after(suspect: Suspect<'_>, rest: &[u8]) -> u64 {
    memchr::memmem::find_iter(rest, &MAGIC)
        .filter(|at| *at > 0 && at % ALIGN == 0 && rest.len() - at >= FRONT)
        .filter_map(|at| Head::parse(&rest[at..], suspect.id).ok())
        .filter(|head| head.first > suspect.expected)
        .map(|head| head.synced)
        .max()
        .unwrap_or(0)
}

/// Is there a sector, or the part of one that the bytes reach, that reads as never written?
fn has_hole(offset: u64, rest: &[u8]) -> bool {
    let first = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(0).min(rest.len());
    let (start, sectors) = rest.split_at(first);
    std::iter::once(start)
        .chain(sectors.chunks(usize::try_from(SECTOR).unwrap_or(1)))
        // A shorter piece may be nothing but padding.
        .any(|piece| piece.len() >= ALIGN && piece.iter().all(|byte| *byte == 0))
}

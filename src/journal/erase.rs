//! Erasing the personal part of records in place. The chain holds commitments only, so it stays valid. Safe beside the committer,
//! which only appends, and beside readers, which take a record whose seal is gone as erased.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::JournalError;
use super::cold;
use super::frame::{Personal, SEAL};
use super::segment::{self, Segment, Source, Start, Step, Walker};

/// Zeros written at a time.
const ZEROS: [u8; 4096] = [0; 4096];

/// One record's places in its file.
struct Place {
    seal: u64,
    personal: u64,
    length: usize,
}

/// Erases those of the records that lie in the folder's segments and are not beyond `written`; says how many were newly erased.
pub(super) fn erase(folder: &Path, sequences: &[u64], written: u64) -> Result<u64, JournalError> {
    let wanted: BTreeSet<u64> = sequences.iter().copied().filter(|wanted| *wanted <= written).collect();
    // A copy of a segment whose move was cut off would keep what is erased in the original.
    cold::clean(folder)?;
    let segments = Segment::list_all(folder)?;
    let mut erased = 0;
    for (index, segment) in segments.iter().enumerate() {
        let end = segments.get(index + 1).map_or(written, |next| next.first - 1);
        if wanted.range(segment.first..=end.max(segment.first)).next().is_some() {
            erased += if segment.cold {
                cold::rewrite(segment, |unpacked| erase_in(unpacked, &wanted, end))?
            } else {
                erase_in(segment, &wanted, end)?
            };
        }
    }
    Ok(erased)
}

fn erase_in(segment: &Segment, wanted: &BTreeSet<u64>, end: u64) -> Result<u64, JournalError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&segment.path)
        .map_err(|source| segment.io(source))?;
    let (places, erased) = find(segment, &file, wanted, end)?;
    wipe(&file, &places).map_err(|source| segment.io(source))?;
    Ok(erased)
}

/// Where the wanted records lie that still hold something, and how many of them are not even marked as erased yet.
fn find(segment: &Segment, file: &File, wanted: &BTreeSet<u64>, end: u64) -> Result<(Vec<Place>, u64), JournalError> {
    let handle = file.try_clone().map_err(|source| segment.io(source))?;
    let mut handle = Source::Hot(handle);
    let Start::Header(header) = segment::read_header(segment, &mut handle)? else {
        return Ok((Vec::new(), 0));
    };
    let mut walker = Walker::new(segment.clone(), handle, header);
    let (mut places, mut erased) = (Vec::new(), 0);
    // Beyond the last wanted record a batch may be under way.
    let last = wanted.range(..=end).next_back().copied().unwrap_or(0);
    while walker.expected <= last {
        let begins = walker.expected;
        match walker.step()? {
            Step::Batch => {}
            Step::End => break,
            Step::Bad { offset, why } => return Err(segment.damaged(begins, format!("at byte {offset}: {why}"))),
        }
        let Some((frame, offset)) = walker.frame() else { break };
        if wanted.range(begins..=frame.head.last()).next().is_none() {
            continue;
        }
        for record in frame.records().filter(|record| wanted.contains(&record.sequence)) {
            match record.state() {
                Personal::Erased => continue,
                Personal::Unfinished => {}
                // Whatever a broken record holds may still be personal data.
                Personal::Present | Personal::Broken => erased += 1,
            }
            places.push(Place {
                seal: offset + record.seal_at as u64,
                personal: offset + record.personal_at as u64,
                length: record.personal.len(),
            });
        }
    }
    Ok((places, erased))
}

/// First the seals, synced; then what they sealed: a stop in between leaves marked records, never ones that look damaged.
fn wipe(file: &File, places: &[Place]) -> io::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    for place in places {
        file.write_all_at(&[0; SEAL], place.seal)?;
    }
    file.sync_data()?;
    for place in places {
        let mut done = 0;
        while done < place.length {
            let piece = ZEROS.len().min(place.length - done);
            file.write_all_at(&ZEROS[..piece], place.personal + done as u64)?;
            done += piece;
        }
    }
    file.sync_data()
}

//! Opening a journal: creates it, finds its end, cuts a batch whose writing was interrupted, and refuses to go on over damage.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::checkpoint::{self, Checkpoint, Interval, Lines, Signatory};
use super::cold;
use super::committer::{self, Standing};
use super::hash::genesis;
use super::segment::{self, HEADER, Header, Segment, Source, Start, Step, Walker};
use super::storage::Storage;
use super::tail::{self, Suspect, Tail};
use super::{JournalError, Opened};

/// Makes the folder ready for the committer.
pub(super) fn open(folder: &Path, storage: &dyn Storage) -> Result<(Standing, Opened), JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .and_then(|()| storage.sync_folder(&checkpoint::above(folder)))
        .map_err(|source| JournalError::io(folder, source))?;
    let signatory = Signatory::load(folder)?;
    cold::clean(folder)?;
    let mut torn = 0;
    loop {
        let Some(segment) = Segment::list(folder)?.pop() else {
            if let Some(cold) = Segment::list_cold(folder)?.pop() {
                return Err(cold.damaged(cold.first, "the segments after it are gone"));
            }
            return Ok((begin(folder, storage, signatory)?, Opened { last: 0, torn }));
        };
        let file = File::open(&segment.path).map_err(|source| segment.io(source))?;
        let mut file = Source::Hot(file);
        match segment::read_header(&segment, &mut file)? {
            Start::Header(header) => {
                let walker = Walker::new(segment, file, header);
                let (standing, cut) = resume(walker, storage, signatory)?;
                let last = standing.last;
                return Ok((standing, Opened { last, torn: torn + cut }));
            }
            Start::Torn => {
                // Stopped while the segment was being created: nothing was written to it, and nothing signed.
                let lines = Lines::read(&segment)?;
                if lines.last().is_some() {
                    return Err(segment.damaged(segment.first, "its header is gone, though checkpoints cover it"));
                }
                torn += file.len().map_err(|source| segment.io(source))?;
                tracing::warn!(segment = %segment.name, "a segment whose creation was interrupted is removed");
                fs::remove_file(&segment.path)
                    .and_then(|()| storage.sync_folder(folder))
                    .map_err(|source| segment.io(source))?;
            }
        }
    }
}

/// The first segment of a new journal.
fn begin(folder: &Path, storage: &dyn Storage, signatory: Signatory) -> Result<Standing, JournalError> {
    let segment = Segment::new(folder, 1);
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| segment.io(std::io::Error::other(error.to_string())))?;
    let header = Header {
        id,
        first: 1,
        previous: genesis(&id),
    };
    let file = committer::create(storage, &segment, &header).map_err(|source| segment.io(source))?;
    Ok(Standing {
        id,
        file,
        segment,
        size: HEADER as u64,
        last: 0,
        chain: header.previous,
        interval: Interval::new(1, header.previous),
        signatory,
    })
}

/// Finds the end of the last segment, checking its frames, seals and chain. Gives the bytes cut from it, too.
fn resume(mut walker: Walker, storage: &dyn Storage, signatory: Signatory) -> Result<(Standing, u64), JournalError> {
    let lines = Lines::read(&walker.segment)?;
    let signed = lines.last();
    let mut chain = walker.header.previous;
    let mut interval = Interval::new(walker.expected, chain);
    let cut = loop {
        let begins = walker.expected;
        if signed.as_ref().is_some_and(|signed| signed.last + 1 == begins) {
            interval = Interval::new(begins, chain);
        }
        let (offset, why) = match walker.step()? {
            Step::End => break 0,
            Step::Bad { offset, why } => (offset, why),
            Step::Batch => match check(&walker, &chain) {
                Ok((link, at)) => {
                    chain = link;
                    interval.add(walker.expected - 1, at, link);
                    continue;
                }
                Err(Fault::Chain) => {
                    return Err(walker.segment.damaged(begins, "the chain does not hold"));
                }
                Err(Fault::Seal { sequence, offset }) => (
                    offset,
                    format!("the personal part of record {sequence} does not match its seal"),
                ),
            },
        };
        let rest = walker.rest(offset)?;
        let suspect = Suspect {
            id: &walker.header.id,
            offset,
            expected: begins,
            durable: signed.as_ref().map_or(0, |signed| signed.last),
        };
        if tail::judge(suspect, &rest) == Tail::Damaged {
            return Err(walker.segment.damaged(begins, format!("at byte {offset}: {why}")));
        }
        tracing::warn!(
            segment = %walker.segment.name, offset, bytes = rest.len(), sequence = begins, why,
            "a batch whose writing was interrupted is cut"
        );
        cut_file(&walker.segment.path, offset)?;
        walker.expected = begins;
        break rest.len() as u64;
    };
    let last = walker.expected - 1;
    agrees(&walker.segment, signed.as_ref(), last)?;
    if lines.torn > 0 {
        cut_file(&checkpoint::path_beside(&walker.segment), lines.whole())?;
    }
    let size = fs::metadata(&walker.segment.path)
        .map_err(|source| walker.segment.io(source))?
        .len();
    let mut file = storage
        .open(&walker.segment.path)
        .map_err(|source| walker.segment.io(source))?;
    // What a stopped process had written but not synced is built upon from now on.
    file.sync().map_err(|source| walker.segment.io(source))?;
    let standing = Standing {
        id: walker.header.id,
        file,
        size,
        last,
        chain,
        interval,
        signatory,
        segment: walker.segment,
    };
    Ok((standing, cut))
}

enum Fault {
    Chain,
    Seal { sequence: u64, offset: u64 },
}

/// Checks seals and chain of the walker's batch; gives the chain's value after it and the time of its last record.
fn check(walker: &Walker, chain: &[u8; 32]) -> Result<([u8; 32], i64), Fault> {
    let Some((frame, offset)) = walker.frame() else {
        return Err(Fault::Chain);
    };
    let mut at = 0;
    for record in frame.records() {
        if record.state() == super::frame::Personal::Broken {
            return Err(Fault::Seal {
                sequence: record.sequence,
                offset,
            });
        }
        at = record.at();
    }
    let link = frame.computed_link(chain);
    if link == frame.link() {
        Ok((link, at))
    } else {
        Err(Fault::Chain)
    }
}

/// Does the journal reach as far as was signed?
fn agrees(segment: &Segment, signed: Option<&Checkpoint>, last: u64) -> Result<(), JournalError> {
    match signed {
        Some(signed) if signed.last > last => Err(segment.damaged(
            last + 1,
            format!("a signed checkpoint says that records up to {} were here", signed.last),
        )),
        _ => Ok(()),
    }
}

fn cut_file(path: &Path, length: u64) -> Result<(), JournalError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(length).and_then(|()| file.sync_all()))
        .map_err(|source| JournalError::io(path, source))
}

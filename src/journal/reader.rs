//! Reading a journal from its folder: through all segments in order, with frames and chain checked on the way. Needs no lock; a
//! batch that is being written ends it.

use std::collections::VecDeque;
use std::path::Path;
use std::vec;

use chrono::DateTime;

use super::checkpoint::Lines;
use super::frame::{Frame, Personal, Record};
use super::hash::{Hash, Id};
use super::segment::{self, Segment, Start, Step, Walker};
use super::tail::{self, Suspect, Tail};
use super::{JournalError, Kind, Stored};

/// Steps through the batches of all segments.
pub(super) struct Chain {
    segments: vec::IntoIter<Segment>,
    walker: Option<Walker>,
    /// The chain's value before and after the batch of the last step.
    previous: Hash,
    link: Hash,
    /// Journal and next sequence, once the first segment is open.
    position: Option<(Id, u64)>,
    /// Batches that end at or before this sequence need not be hashed.
    trusted: u64,
    pub progress: Progress,
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub segments: u64,
    /// Bytes of an interrupted write at the end.
    pub torn: u64,
}

impl Chain {
    /// Starts at the segment that holds the record after this one, or the first one there is.
    pub(super) fn new(folder: &Path, after: u64) -> Result<Self, JournalError> {
        Ok(Self::through(Segment::list_all(folder)?, after))
    }

    /// The same without the cold segments.
    pub(super) fn hot(folder: &Path, after: u64) -> Result<Self, JournalError> {
        Ok(Self::through(Segment::list(folder)?, after))
    }

    fn through(mut segments: Vec<Segment>, after: u64) -> Self {
        let skipped = segments
            .partition_point(|segment| segment.first <= after.saturating_add(1))
            .saturating_sub(1);
        segments.drain(..skipped);
        Self {
            segments: segments.into_iter(),
            walker: None,
            previous: [0; 32],
            link: [0; 32],
            position: None,
            trusted: after,
            progress: Progress::default(),
        }
    }

    /// Goes to the next batch; `false`: there is none.
    pub(super) fn step(&mut self) -> Result<bool, JournalError> {
        loop {
            if self.walker.is_none() {
                self.walker = self.enter()?;
            }
            let Some(walker) = &mut self.walker else {
                return Ok(false);
            };
            let begins = walker.expected;
            match walker.step()? {
                Step::End => {
                    self.walker = None;
                    if self.segments.len() == 0 {
                        return Ok(false);
                    }
                }
                Step::Bad { offset, why } => {
                    self.end(begins, offset, &why)?;
                    return Ok(false);
                }
                Step::Batch => {
                    self.position = Some((walker.header.id, walker.expected));
                    return self.check(begins);
                }
            }
        }
    }

    fn check(&mut self, begins: u64) -> Result<bool, JournalError> {
        let Some(walker) = &mut self.walker else {
            return Ok(false);
        };
        if broken(walker).is_some() {
            walker.reread()?;
        }
        if let Some((sequence, offset)) = broken(walker) {
            let why = format!("the personal part of record {sequence} does not match its seal");
            self.end(begins, offset, &why).map_err(|error| match error {
                // Unlike a damaged header, this names its record.
                JournalError::Damaged { segment, why, .. } => JournalError::Damaged { segment, sequence, why },
                other @ JournalError::Io { .. } => other,
            })?;
            return Ok(false);
        }
        let Some((frame, _)) = walker.frame() else {
            return Ok(false);
        };
        self.previous = self.link;
        self.link = frame.link();
        if frame.head.last() > self.trusted && frame.computed_link(&self.previous) != self.link {
            return Err(walker.segment.damaged(begins, "the chain does not hold"));
        }
        Ok(true)
    }

    /// The batch of the last step.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        self.walker.as_ref().and_then(Walker::frame).map(|(frame, _)| frame)
    }

    /// The segment of the last step.
    pub(super) fn segment(&self) -> Option<&Segment> {
        self.walker.as_ref().map(|walker| &walker.segment)
    }

    /// The journal's identity, once a segment has been entered.
    pub(super) fn id(&self) -> Option<Id> {
        self.position.map(|(id, _)| id)
    }

    /// The chain's value before the batch of the last step.
    pub(super) const fn previous(&self) -> &Hash {
        &self.previous
    }

    /// The chain's value after the batch of the last step.
    pub(super) const fn link(&self) -> &Hash {
        &self.link
    }

    /// Opens the next segment and checks that it goes on where the one before it ended.
    fn enter(&mut self) -> Result<Option<Walker>, JournalError> {
        let Some(mut segment) = self.segments.next() else {
            return Ok(None);
        };
        let mut file = segment.open()?;
        let header = match segment::read_header(&segment, &mut file)? {
            Start::Header(header) => header,
            Start::Torn if self.segments.len() == 0 => {
                self.progress.torn = file.len().map_err(|source| segment.io(source))?;
                return Ok(None);
            }
            Start::Torn => return Err(segment.damaged(segment.first, "its header is gone")),
        };
        match self.position {
            None => self.link = header.previous,
            Some((_, expected)) if expected != header.first => {
                return Err(segment.damaged(
                    expected,
                    format!("the segment starts at {} where {expected} should follow", header.first),
                ));
            }
            Some((id, _)) if id != header.id => {
                return Err(segment.damaged(header.first, "the segment belongs to another journal"));
            }
            Some(_) if header.previous != self.link => {
                return Err(segment.damaged(
                    header.first,
                    "the chain does not hold between this segment and the one before",
                ));
            }
            Some(_) => {}
        }
        self.position = Some((header.id, header.first));
        self.progress.segments += 1;
        Ok(Some(Walker::new(segment, file, header)))
    }

    /// Bad bytes: the end of the journal if an interrupted write left them there, an error otherwise.
    fn end(&mut self, begins: u64, offset: u64, why: &str) -> Result<(), JournalError> {
        let Some(mut walker) = self.walker.take() else {
            return Ok(());
        };
        let rest = walker.rest(offset)?;
        let suspect = Suspect {
            id: &walker.header.id,
            offset,
            expected: begins,
            durable: Lines::read(&walker.segment)?.last().map_or(0, |signed| signed.last),
        };
        if walker.segment.cold || self.segments.len() > 0 || tail::judge(suspect, &rest) == Tail::Damaged {
            return Err(walker.segment.damaged(begins, format!("at byte {offset}: {why}")));
        }
        self.progress.torn = rest.len() as u64;
        Ok(())
    }
}

/// The first record of the walker's batch that does not match its seal, and the batch's offset.
fn broken(walker: &Walker) -> Option<(u64, u64)> {
    let (frame, offset) = walker.frame()?;
    let record = frame.records().find(|record| record.state() == Personal::Broken)?;
    Some((record.sequence, offset))
}

/// A record as those outside this room see it.
pub(super) fn stored(record: &Record<'_>, segment: &Segment) -> Result<Stored, JournalError> {
    let damaged = |why: String| segment.damaged(record.sequence, why);
    let kind = Kind::from_code(record.kind())
        .ok_or_else(|| damaged(format!("kind {} is not known to this program", record.kind())))?;
    let at = DateTime::from_timestamp_micros(record.at())
        .ok_or_else(|| damaged(format!("{} µs is no time", record.at())))?;
    Ok(Stored {
        sequence: record.sequence,
        kind,
        at,
        siren: record.siren(),
        body: (!record.is_erased()).then(|| record.body().to_vec()),
    })
}

/// Iterator behind [`super::read`].
pub(super) struct Records {
    chain: Chain,
    after: u64,
    /// Records of the last batch.
    ready: VecDeque<Stored>,
    done: bool,
}

impl Records {
    pub(super) const fn new(chain: Chain, after: u64) -> Self {
        Self {
            chain,
            after,
            ready: VecDeque::new(),
            done: false,
        }
    }

    fn refill(&mut self) -> Result<bool, JournalError> {
        if !self.chain.step()? {
            return Ok(false);
        }
        let (Some(frame), Some(segment)) = (self.chain.frame(), self.chain.segment()) else {
            return Ok(false);
        };
        for record in frame.records().filter(|record| record.sequence > self.after) {
            self.ready.push_back(stored(&record, segment)?);
        }
        Ok(true)
    }
}

impl Iterator for Records {
    type Item = Result<Stored, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            if self.done {
                return None;
            }
            match self.refill() {
                Ok(true) => {}
                Ok(false) => self.done = true,
                Err(error) => {
                    // A batch is read whole or not at all.
                    self.ready.clear();
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

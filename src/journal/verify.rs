//! Verification of a whole journal by someone who trusts nobody: frames, seals, commitments, chain, checkpoints. Reads only.

use std::collections::VecDeque;
use std::path::Path;

use super::JournalError;
use super::checkpoint::{self, Checkpoint, Interval, Lines, PublicKey};
use super::frame::Personal;
use super::hash::{Hash, Id};
use super::reader::Chain;
use super::segment::Segment;

/// What verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// First and last sequence that are good; zero: none.
    pub first: u64,
    #[allow(missing_docs)]
    pub last: u64,
    #[allow(missing_docs)]
    pub segments: u64,
    #[allow(missing_docs)]
    pub batches: u64,
    #[allow(missing_docs)]
    pub records: u64,
    /// Records whose personal part has been erased.
    pub erased: u64,
    /// Erased records in which bytes are left: erasing them again finishes it.
    pub unfinished: u64,
    /// Bytes of an interrupted write at the end, which opening the journal cuts.
    pub torn: u64,
    /// The chain's value after the last good batch.
    pub head: Hash,
    /// The chain's value before the first batch: where older segments were moved away, compare it with their last.
    pub anchor: Hash,
    /// Checkpoints whose signature holds and which say what is so.
    pub checkpoints: u64,
    /// Last sequence under a good checkpoint.
    pub signed: u64,
    /// Keys that signed them. The journal's own list lies beside it: compare with a copy kept elsewhere.
    pub keys: Vec<PublicKey>,
    /// The first thing that is wrong, by segment and sequence.
    pub bad: Option<JournalError>,
}

/// Verifies the journal in a folder. An error means that it could not be read; what is wrong with it is in [`Report::bad`].
/// Checkpoints must be signed by a key listed in `signing.pub` in the folder above, where there is one.
pub fn verify(folder: &Path) -> Result<Report, JournalError> {
    let mut verifier = Verifier {
        report: Report::default(),
        trusted: checkpoint::public_keys(&checkpoint::above(folder))?,
        segment: None,
    };
    match verifier.walk(folder) {
        Ok(()) => {}
        Err(damaged @ JournalError::Damaged { .. }) => {
            verifier.report.bad.get_or_insert(damaged);
        }
        Err(error) => return Err(error),
    }
    Ok(verifier.report)
}

struct Verifier {
    report: Report,
    trusted: Option<Vec<PublicKey>>,
    segment: Option<Signed>,
}

/// The segment under way, with its checkpoints.
struct Signed {
    segment: Segment,
    /// Those that are still to come.
    due: VecDeque<Checkpoint>,
    /// The batches that the next of them should cover.
    interval: Interval,
    /// Last sequence that one covers.
    covered: u64,
}

impl Verifier {
    fn walk(&mut self, folder: &Path) -> Result<(), JournalError> {
        let segments = Segment::list_all(folder)?;
        let mut chain = Chain::new(folder, 0)?;
        while chain.step()? {
            let (Some(frame), Some(segment), Some(id)) = (chain.frame(), chain.segment(), chain.id()) else {
                break;
            };
            let (mut erased, mut unfinished, mut at) = (0, 0, 0);
            for record in frame.records() {
                at = record.at();
                match record.state() {
                    Personal::Present if record.opens() => {}
                    Personal::Present | Personal::Broken => {
                        return Err(segment.damaged(record.sequence, "its body is not the one that the chain holds"));
                    }
                    Personal::Erased => erased += 1,
                    Personal::Unfinished => unfinished += 1,
                }
            }
            let (begins, ends) = (frame.head.first, frame.head.last());
            if self.segment.as_ref().is_none_or(|signed| signed.segment != *segment) {
                self.leave(true);
                self.enter(segment.clone(), begins, *chain.previous())?;
            }
            let report = &mut self.report;
            if report.batches == 0 {
                report.first = begins;
                report.anchor = *chain.previous();
            }
            report.batches += 1;
            report.records += u64::from(frame.head.count);
            report.erased += erased + unfinished;
            report.unfinished += unfinished;
            report.last = ends;
            report.head = *chain.link();
            self.compare(id, begins, ends, at, &chain);
        }
        self.report.segments = chain.progress.segments;
        self.report.torn = chain.progress.torn;
        let last = segments.last();
        let entered = self.segment.as_ref().map(|signed| signed.segment.first);
        self.leave(last.is_some_and(|last| Some(last.first) != entered));
        if let Some(last) = last.filter(|last| Some(last.first) != entered) {
            // A last segment without a batch is a fresh one, and then nothing of it was signed.
            self.enter(last.clone(), last.first, [0; 32])?;
            self.leave(false);
        }
        Ok(())
    }

    /// Something is wrong with the checkpoints; the records are still worth looking at.
    fn note(&mut self, bad: JournalError) {
        self.report.bad.get_or_insert(bad);
    }

    fn enter(&mut self, segment: Segment, begins: u64, previous: Hash) -> Result<(), JournalError> {
        let mut due = VecDeque::new();
        for (index, line) in Lines::read(&segment)?.checkpoints().enumerate() {
            let why = match line {
                None => "is not signed by the key it names, or is no checkpoint",
                Some(line) if self.trusted.as_ref().is_some_and(|keys| !keys.contains(&line.key)) => {
                    "is signed by a key that is not listed"
                }
                Some(line) => {
                    due.push_back(line);
                    continue;
                }
            };
            self.note(segment.damaged(begins, format!("line {} of its checkpoints {why}", index + 1)));
        }
        self.segment = Some(Signed {
            segment,
            due,
            interval: Interval::new(begins, previous),
            covered: begins - 1,
        });
        Ok(())
    }

    /// Takes a batch into the interval under way, and compares that with the checkpoint that ends here.
    fn compare(&mut self, id: Id, begins: u64, ends: u64, at: i64, chain: &Chain) {
        let Some(signed) = &mut self.segment else {
            return;
        };
        if signed.due.front().is_some_and(|due| due.first == begins) {
            signed.interval = Interval::new(begins, *chain.previous());
        }
        signed.interval.add(ends, at, *chain.link());
        if signed.due.front().is_none_or(|due| due.last > ends) {
            return;
        }
        let Some(due) = signed.due.pop_front() else {
            return;
        };
        let why = if due.journal != id || !signed.interval.matches(&due) {
            Some("a signed checkpoint says otherwise of the records up to here")
        } else if due.first > signed.covered + 1 {
            Some("a checkpoint is missing before this one")
        } else {
            None
        };
        signed.covered = due.last;
        signed.interval = Interval::new(ends + 1, *chain.link());
        if let Some(why) = why {
            let bad = signed.segment.damaged(ends, why);
            return self.note(bad);
        }
        self.report.checkpoints += 1;
        self.report.signed = ends;
        if !self.report.keys.contains(&due.key) {
            self.report.keys.push(due.key);
        }
    }

    /// The segment has no more batches; a closed one ends under a checkpoint.
    fn leave(&mut self, closed: bool) {
        let Some(signed) = self.segment.take() else {
            return;
        };
        let last = self.report.last;
        if let Some(due) = signed.due.back() {
            let why = format!("a signed checkpoint says that records up to {} were here", due.last);
            self.note(signed.segment.damaged(last + 1, why));
        } else if closed && signed.covered < last {
            self.note(
                signed
                    .segment
                    .damaged(last, "the segment is closed, but no checkpoint covers its end"),
            );
        }
    }
}

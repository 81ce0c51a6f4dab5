//! Segment files: their names, their headers, and walking through the batches of one. Used by everything that reads; writes nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::frame::{Frame, HEAD, Head, MAX_SEQUENCE};
use super::hash::{Hash, Id};

/// Header of a segment in bytes.
pub(super) const HEADER: usize = 128;
const MAGIC: [u8; 8] = *b"clapet\x00J";
/// Version of the format that is written; no other is read.
const VERSION: u32 = 1;
const EXTENSION: &str = "seg";
/// Bytes read from a segment at a time.
const CHUNK: usize = 1 << 20;

/// A segment file found in the journal's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub path: PathBuf,
    /// The file's name, as errors show it.
    pub name: String,
    /// Sequence of its first record, from its name.
    pub first: u64,
}

impl Segment {
    pub(super) fn new(folder: &Path, first: u64) -> Self {
        let name = format!("{first:020}.{EXTENSION}");
        Self {
            path: folder.join(&name),
            name,
            first,
        }
    }

    /// All segments of a folder, oldest first. Other files are not looked at.
    pub(super) fn list(folder: &Path) -> Result<Vec<Self>, JournalError> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|source| JournalError::io(folder, source))? {
            let entry = entry.map_err(|source| JournalError::io(folder, source))?;
            let name = entry.file_name();
            let first = name
                .to_str()
                .and_then(|name| name.strip_suffix(".seg"))
                .filter(|digits| digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|first| (1..=MAX_SEQUENCE).contains(first));
            if let Some(first) = first {
                segments.push(Self::new(folder, first));
            }
        }
        segments.sort_unstable_by_key(|segment| segment.first);
        Ok(segments)
    }

    pub(super) fn damaged(&self, sequence: u64, why: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            segment: self.name.clone(),
            sequence,
            why: why.into(),
        }
    }

    pub(super) fn io(&self, source: io::Error) -> JournalError {
        JournalError::io(&self.path, source)
    }
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub id: Id,
    /// Sequence of the first record.
    pub first: u64,
    /// The chain's value before the first batch.
    pub previous: Hash,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.previous);
        let sum = crc32fast::hash(&bytes[..124]);
        bytes[124..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Self, String> {
        if bytes[..8] != MAGIC {
            return Err("this is no segment of a journal".into());
        }
        if bytes[124..] != crc32fast::hash(&bytes[..124]).to_le_bytes() {
            return Err("the segment's header does not match its checksum".into());
        }
        let mut header = Self {
            id: [0; 16],
            first: 0,
            previous: [0; 32],
        };
        let (mut version, mut first) = ([0; 4], [0; 8]);
        version.copy_from_slice(&bytes[8..12]);
        first.copy_from_slice(&bytes[32..40]);
        header.id.copy_from_slice(&bytes[16..32]);
        header.first = u64::from_le_bytes(first);
        header.previous.copy_from_slice(&bytes[40..72]);
        match u32::from_le_bytes(version) {
            VERSION => Ok(header),
            other => Err(format!(
                "format version {other} is not known to this program ({VERSION})"
            )),
        }
    }
}

/// What a header's place in a file holds.
pub(super) enum Start {
    Header(Header),
    /// The file was being created when the process or machine stopped: it holds no batch.
    Torn,
}

/// Reads a segment's header and checks that it stands in the file of its name.
pub(super) fn read_header(segment: &Segment, file: &File) -> Result<Start, JournalError> {
    let mut bytes = [0; HEADER];
    let read = read_up_to(file, &mut bytes, 0).map_err(|source| segment.io(source))?;
    // The header is synced before a batch is written, so a file that holds a batch holds its whole header.
    let length = file.metadata().map_err(|source| segment.io(source))?.len();
    if read < HEADER || (length == HEADER as u64 && bytes.iter().all(|byte| *byte == 0)) {
        return Ok(Start::Torn);
    }
    let header = Header::parse(&bytes).map_err(|why| segment.damaged(segment.first, why))?;
    if header.first != segment.first {
        return Err(segment.damaged(
            segment.first,
            format!("its header says that it starts at {}", header.first),
        ));
    }
    Ok(Start::Header(header))
}

/// Fills a buffer as far as the file reaches.
pub(super) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a step through a segment came upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A good batch: [`Walker::frame`].
    Batch,
    /// The end of the file, just after a batch.
    End,
    /// Bytes that are no good batch, from this offset on.
    Bad { offset: u64, why: String },
}

/// Steps through the batches of one segment, in pieces of bounded size. Checks frames and sequence numbers, not the chain.
pub(super) struct Walker {
    pub segment: Segment,
    pub header: Header,
    file: File,
    /// Sequence that the next batch must start with.
    pub expected: u64,
    buffer: Vec<u8>,
    /// Offset in the file of the buffer's first byte.
    base: u64,
    /// Start in the buffer of the next batch.
    next: usize,
    head: Option<Head>,
}

impl Walker {
    pub(super) fn new(segment: Segment, file: File, header: Header) -> Self {
        Self {
            expected: header.first,
            segment,
            header,
            file,
            buffer: Vec::new(),
            base: HEADER as u64,
            next: 0,
            head: None,
        }
    }

    /// Goes to the next batch.
    pub(super) fn step(&mut self) -> Result<Step, JournalError> {
        self.head = None;
        let available = self.fill(HEAD)?;
        if available == 0 {
            return Ok(Step::End);
        }
        let head = match Head::parse(&self.buffer[self.next..], &self.header.id) {
            Ok(head) if head.first != self.expected => {
                return Ok(self.bad(format!(
                    "record {} stands where {} should follow",
                    head.first, self.expected
                )));
            }
            Ok(head) => head,
            Err(why) => return Ok(self.bad(why)),
        };
        if self.fill(head.length)? < head.length {
            return Ok(self.bad("the batch is cut short"));
        }
        if let Err(why) = Frame::parse(head, &self.buffer[self.next..self.next + head.length]) {
            return Ok(self.bad(why));
        }
        self.next += head.length;
        self.expected = head.last() + 1;
        self.head = Some(head);
        Ok(Step::Batch)
    }

    /// The batch of the last step, with its offset in the file.
    pub(super) fn frame(&self) -> Option<(Frame<'_>, u64)> {
        let head = self.head?;
        let start = self.next - head.length;
        let frame = Frame::checked(head, &self.buffer[start..self.next]);
        Some((frame, self.base + start as u64))
    }

    /// Reads the batch of the last step anew: an erasure may have been under way while it was read.
    pub(super) fn reread(&mut self) -> Result<(), JournalError> {
        if let Some(head) = self.head {
            let start = self.next - head.length;
            let piece = &mut self.buffer[start..self.next];
            read_up_to(&self.file, piece, self.base + start as u64).map_err(|source| self.segment.io(source))?;
        }
        Ok(())
    }

    /// Offset in the file at which the next batch starts.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.next as u64
    }

    /// Everything from an offset to the end of the file.
    pub(super) fn rest(&self, offset: u64) -> Result<Vec<u8>, JournalError> {
        let length = self.file.metadata().map_err(|source| self.segment.io(source))?.len();
        let mut rest = vec![0; usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX)];
        let read = read_up_to(&self.file, &mut rest, offset).map_err(|source| self.segment.io(source))?;
        rest.truncate(read);
        Ok(rest)
    }

    fn bad(&self, why: impl Into<String>) -> Step {
        Step::Bad {
            offset: self.offset(),
            why: why.into(),
        }
    }

    /// Makes `wanted` bytes available from the next batch on where the file has them; says how many there are, up to that.
    fn fill(&mut self, wanted: usize) -> Result<usize, JournalError> {
        let held = self.buffer.len() - self.next;
        if held >= wanted {
            return Ok(wanted);
        }
        self.base = self.offset();
        self.buffer.copy_within(self.next.., 0);
        self.next = 0;
        // A claimed length is believed only as far as the file reaches.
        let length = self.file.metadata().map_err(|source| self.segment.io(source))?.len();
        let left = usize::try_from(length.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.buffer.resize(held.max(left.min(wanted.max(CHUNK))), 0);
        let read = read_up_to(&self.file, &mut self.buffer[held..], self.base + held as u64)
            .map_err(|source| self.segment.io(source))?;
        self.buffer.truncate(held + read);
        Ok(self.buffer.len().min(wanted))
    }
}

//! Segment files: their names, their headers, and walking through the batches of one. Used by everything that reads; writes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::cold;
use super::frame::{Frame, HEAD, Head, MAX_SEQUENCE};
use super::hash::{Hash, Id};

/// Header of a segment in bytes.
pub(super) const HEADER: usize = 128;
const MAGIC: [u8; 8] = *b"clapet\x00J";
/// Version of the format that is written; no other is read.
const VERSION: u32 = 1;
const EXTENSION: &str = "seg";
/// What the name of a compressed one ends in beyond that.
const PACKED: &str = "zst";
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
    /// Compressed, in the cold folder.
    pub cold: bool,
}

impl Segment {
    pub(super) fn new(folder: &Path, first: u64) -> Self {
        let name = format!("{first:020}.{EXTENSION}");
        Self {
            path: folder.join(&name),
            name,
            first,
            cold: false,
        }
    }

    /// The one of this first sequence in the cold folder of a journal.
    pub(super) fn cold(folder: &Path, first: u64) -> Self {
        let name = format!("{first:020}.{EXTENSION}.{PACKED}");
        Self {
            path: cold::folder_in(folder).join(&name),
            name,
            first,
            cold: true,
        }
    }

    /// Where it is once it has gone cold; itself where it is.
    fn twin(&self) -> Option<Self> {
        let folder = self.path.parent().filter(|_| !self.cold)?;
        Some(Self::cold(folder, self.first))
    }

    /// The hot segments of a folder, oldest first. Other files are not looked at.
    pub(super) fn list(folder: &Path) -> Result<Vec<Self>, JournalError> {
        let firsts = firsts(folder, ".seg")?;
        Ok(firsts.into_iter().map(|first| Self::new(folder, first)).collect())
    }

    /// The cold segments of a journal, oldest first.
    pub(super) fn list_cold(folder: &Path) -> Result<Vec<Self>, JournalError> {
        let within = cold::folder_in(folder);
        if !within.exists() {
            return Ok(Vec::new());
        }
        let firsts = firsts(&within, ".seg.zst")?;
        Ok(firsts.into_iter().map(|first| Self::cold(folder, first)).collect())
    }

    /// All of them, oldest first; of one that is in both places, the hot one.
    pub(super) fn list_all(folder: &Path) -> Result<Vec<Self>, JournalError> {
        let mut all = Self::list(folder)?;
        for cold in Self::list_cold(folder)? {
            if all.iter().all(|segment| segment.first != cold.first) {
                all.push(cold);
            }
        }
        all.sort_unstable_by_key(|segment| segment.first);
        Ok(all)
    }

    /// Opens it, also where it has gone cold since it was listed; says then where it is now.
    pub(super) fn open(&mut self) -> Result<Source, JournalError> {
        let opened = match (Source::open(self), self.twin()) {
            (Err(error), Some(twin)) if error.kind() == io::ErrorKind::NotFound => {
                *self = twin;
                Source::open(self)
            }
            (opened, _) => opened,
        };
        opened.map_err(|source| self.io(source))
    }

    /// Its checkpoints' file, also where it has gone cold since it was listed. `None`: there is none.
    pub(super) fn read_beside(&self) -> Result<Option<Vec<u8>>, JournalError> {
        let path = super::checkpoint::path_beside(self);
        match (std::fs::read(&path), self.twin()) {
            (Ok(bytes), _) => Ok(Some(bytes)),
            (Err(error), Some(twin)) if error.kind() == io::ErrorKind::NotFound => twin.read_beside(),
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (Err(source), _) => Err(JournalError::io(&path, source)),
        }
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

/// The first sequences in the names that end so, in order.
fn firsts(folder: &Path, suffix: &str) -> Result<Vec<u64>, JournalError> {
    let mut firsts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| JournalError::io(folder, source))? {
        let entry = entry.map_err(|source| JournalError::io(folder, source))?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_suffix(suffix))
            .filter(|digits| digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|first| (1..=MAX_SEQUENCE).contains(first));
        firsts.extend(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// The bytes of a segment, hot or cold.
pub(super) enum Source {
    Hot(File),
    Cold(Box<Unpacked>),
}

/// A cold segment, unpacked as it is read.
pub(super) struct Unpacked {
    decoder: zstd::Decoder<'static, BufReader<File>>,
    /// How far it has been read.
    at: u64,
    /// Bytes of the segment, as the packed file says.
    length: u64,
}

impl Source {
    fn open(segment: &Segment) -> io::Result<Self> {
        let mut file = File::open(&segment.path)?;
        if !segment.cold {
            return Ok(Self::Hot(file));
        }
        let mut front = [0; 18];
        let read = read_up_to_of(&file, &mut front, 0)?;
        // What says no length is none that we packed: it holds no segment then.
        let length = zstd::zstd_safe::get_frame_content_size(&front[..read]);
        let length = length.ok().flatten().unwrap_or(0);
        file.rewind()?;
        Ok(Self::Cold(Box::new(Unpacked {
            decoder: zstd::Decoder::new(file)?,
            at: 0,
            length,
        })))
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Hot(file) => Ok(file.metadata()?.len()),
            Self::Cold(unpacked) => Ok(unpacked.length),
        }
    }

    /// Fills a buffer as far as the segment reaches. A cold one is read forwards only; where it cannot be unpacked it ends.
    pub(super) fn read_up_to(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Hot(file) => read_up_to_of(file, buffer, offset),
            Self::Cold(unpacked) => Ok(unpacked.read_up_to(buffer, offset)),
        }
    }

    /// Can what was read change? Only where records may be erased in place.
    const fn is_fixed(&self) -> bool {
        matches!(self, Self::Cold(_))
    }
}

impl Unpacked {
    fn read_up_to(&mut self, buffer: &mut [u8], offset: u64) -> usize {
        let Some(skip) = offset.checked_sub(self.at) else {
            return 0;
        };
        let skipped = io::copy(&mut (&mut self.decoder).take(skip), &mut io::sink()).unwrap_or(0);
        self.at += skipped;
        if skipped < skip {
            return 0;
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match self.decoder.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        self.at += filled as u64;
        filled
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
pub(super) fn read_header(segment: &Segment, file: &mut Source) -> Result<Start, JournalError> {
    let mut bytes = [0; HEADER];
    let read = file.read_up_to(&mut bytes, 0).map_err(|source| segment.io(source))?;
    // The header is synced before a batch is written, so a file that holds a batch holds its whole header.
    let length = file.len().map_err(|source| segment.io(source))?;
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
fn read_up_to_of(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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
    file: Source,
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
    pub(super) fn new(segment: Segment, file: Source, header: Header) -> Self {
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
        if let Some(head) = self.head
            && !self.file.is_fixed()
        {
            let start = self.next - head.length;
            let piece = &mut self.buffer[start..self.next];
            let offset = self.base + start as u64;
            let read = self.file.read_up_to(piece, offset);
            read.map_err(|source| self.segment.io(source))?;
        }
        Ok(())
    }

    /// Offset in the file at which the next batch starts.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.next as u64
    }

    /// Everything from an offset to the end of the file.
    pub(super) fn rest(&mut self, offset: u64) -> Result<Vec<u8>, JournalError> {
        if self.file.is_fixed() {
            // A cold segment was closed: nothing of it can be an interrupted write.
            return Ok(Vec::new());
        }
        let length = self.file.len().map_err(|source| self.segment.io(source))?;
        let mut rest = vec![0; usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX)];
        let read = self.file.read_up_to(&mut rest, offset);
        let read = read.map_err(|source| self.segment.io(source))?;
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
        let length = self.file.len().map_err(|source| self.segment.io(source))?;
        let left = usize::try_from(length.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.buffer.resize(held.max(left.min(wanted.max(CHUNK))), 0);
        let read = self.file.read_up_to(&mut self.buffer[held..], self.base + held as u64);
        let read = read.map_err(|source| self.segment.io(source))?;
        self.buffer.truncate(held + read);
        Ok(self.buffer.len().min(wanted))
    }
}

//! A layer as a file: a checksummed header, the packed numbers in chunks with a CRC-32 each, a SHA-256 over everything before it.
//!
//! All integers are little-endian. Header (112 bytes): magic, version, list, kind, SIREN, first and last (day, sequence), the
//! digest of the originals' names, days, mixed, numbers, opposed, blocks, words, CRC-32. Body: days as `i32`, then the firsts, places and
//! words of [`Parts`] as `u64`, cut in chunks of [`CHUNK`] bytes (the last shorter), each followed by its CRC-32. Trailer: SHA-256.
//! The layout is described for operators in `docs/decisions/0003-screening.md`.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::layer::{Layer, MAX_DAYS, Parts};
use super::{List, ScreeningError};
use crate::ledger::Siren;

const MAGIC: [u8; 8] = *b"CLAPSCR1";
const VERSION: u16 = 1;
const HEADER: usize = 112;
/// Body bytes under one CRC.
const CHUNK: usize = 64 << 10;
/// In the SIREN's place: binds every professional.
const EVERYBODY: u32 = u32::MAX;
const TRAILER: usize = 32;

/// What kind of layer a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Plain,
    Screened,
    /// Several originals merged: derived, may be deleted at any time.
    Tier,
}

/// Position of an import: its day, then the order of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub day: NaiveDate,
    pub sequence: u64,
}

/// What a file says of itself before its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub list: List,
    pub siren: Option<Siren>,
    pub kind: Kind,
    /// First and last original; the same for an original.
    pub from: Stamp,
    pub upto: Stamp,
    /// For a tier: over the names of the originals it was merged from.
    pub digest: [u8; 32],
}

/// Writes a layer to a new file and syncs it. Returns the SHA-256 of the whole file.
pub(super) fn write(path: &Path, label: &Label, layer: &Layer) -> io::Result<[u8; 32]> {
    let mut file = File::create(path)?;
    let sum = encode(BufWriter::with_capacity(CHUNK, &mut file), label, layer)?;
    file.sync_all()?;
    Ok(sum)
}

/// The SHA-256 that a layer's file would have.
pub(super) fn sum(label: &Label, layer: &Layer) -> io::Result<[u8; 32]> {
    encode(io::sink(), label, layer)
}

fn encode(out: impl Write, label: &Label, layer: &Layer) -> io::Result<[u8; 32]> {
    let mut out = Summed {
        out,
        sum: Sha256::new(),
    };
    let parts = layer.parts();
    out.put(&header(label, parts))?;
    let mut chunk = Vec::with_capacity(CHUNK + 4);
    for day in &parts.days {
        push(&mut chunk, &day.to_epoch_days().to_le_bytes(), &mut out)?;
    }
    for word in parts.firsts.iter().chain(&parts.places).chain(&parts.words) {
        push(&mut chunk, &word.to_le_bytes(), &mut out)?;
    }
    flush(&mut chunk, &mut out)?;
    let trailer: [u8; TRAILER] = out.sum.clone().finalize().into();
    out.put(&trailer)?;
    out.out.flush()?;
    Ok(out.sum.finalize().into())
}

/// Reads a file whole, checking every sum on the way. Returns also the SHA-256 of the whole file.
pub(super) fn read(path: &Path) -> Result<(Label, Layer, [u8; 32]), ScreeningError> {
    let io = |source| ScreeningError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = |why: String| ScreeningError::Damaged {
        path: path.to_owned(),
        why,
    };
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut sum = Sha256::new();
    let mut head = [0; HEADER];
    fill(&mut file, &mut head)
        .map_err(io)?
        .then_some(())
        .ok_or_else(|| damaged("the header is cut short".into()))?;
    sum.update(head);
    let (label, shape) = parse_header(&head).map_err(|why| damaged(why.into()))?;
    let body = shape
        .body()
        .ok_or_else(|| damaged("the header claims an impossible size".into()))?;
    let expected = HEADER as u64 + body + 4 * body.div_ceil(CHUNK as u64) + TRAILER as u64;
    if size != expected {
        return Err(damaged(format!("{size} bytes where the header says {expected}")));
    }
    let mut body = Body {
        file: &mut file,
        left: body,
        chunk: Vec::new(),
        at: 0,
        number: 0,
        sum: &mut sum,
    };
    let mut parts = Parts {
        mixed: shape.mixed,
        len: shape.len,
        opposed: shape.opposed,
        ..Parts::default()
    };
    let mut raw = Vec::new();
    for _ in 0..shape.days {
        let day: [u8; 4] = body.take().map_err(|fault| fault.at(path))?;
        raw.push(i32::from_le_bytes(day));
    }
    for (into, count) in [
        (&mut parts.firsts, shape.blocks),
        (&mut parts.places, shape.blocks),
        (&mut parts.words, shape.words),
    ] {
        // The size of the file bounds it: checked above.
        into.reserve_exact(usize::try_from(count).unwrap_or(0));
        for _ in 0..count {
            into.push(u64::from_le_bytes(body.take().map_err(|fault| fault.at(path))?));
        }
    }
    let mut trailer = [0; TRAILER];
    fill(&mut file, &mut trailer)
        .map_err(io)?
        .then_some(())
        .ok_or_else(|| damaged("the trailer is cut short".into()))?;
    if <[u8; 32]>::from(sum.clone().finalize()) != trailer {
        return Err(damaged("the SHA-256 does not match".into()));
    }
    sum.update(trailer);
    parts.days = raw
        .into_iter()
        .map(NaiveDate::from_epoch_days)
        .collect::<Option<_>>()
        .ok_or_else(|| damaged("a day is impossible".into()))?;
    let layer = Layer::new(parts).map_err(|why| damaged(why.into()))?;
    Ok((label, layer, sum.finalize().into()))
}

/// Sizes that the header announces.
struct Shape {
    days: u32,
    mixed: bool,
    len: u64,
    opposed: u64,
    blocks: u64,
    words: u64,
}

impl Shape {
    /// Bytes of the body; `None`: more than can be.
    fn body(&self) -> Option<u64> {
        let numbers = self.blocks.checked_mul(2)?.checked_add(self.words)?;
        numbers
            .checked_mul(8)?
            .checked_add(4 * u64::from(self.days))
            .filter(|body| *body < 1 << 40)
    }
}

fn header(label: &Label, parts: &Parts) -> [u8; HEADER] {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.push(match label.list {
        List::Bloctel => 1,
        List::Opposition => 2,
    });
    bytes.push(match label.kind {
        Kind::Plain => 1,
        Kind::Screened => 2,
        Kind::Tier => 3,
    });
    bytes.extend(label.siren.map_or(EVERYBODY, |siren| siren.0).to_le_bytes());
    for stamp in [label.from, label.upto] {
        bytes.extend(stamp.day.to_epoch_days().to_le_bytes());
        bytes.extend(stamp.sequence.to_le_bytes());
    }
    bytes.extend(label.digest);
    #[allow(clippy::cast_possible_truncation)] // `MAX_DAYS` bounds it
    bytes.extend((parts.days.len() as u32 | u32::from(parts.mixed) << 31).to_le_bytes());
    let (blocks, words) = (parts.firsts.len() as u64, parts.words.len() as u64);
    for count in [parts.len, parts.opposed, blocks, words] {
        bytes.extend(count.to_le_bytes());
    }
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let mut header = [0; HEADER];
    header.copy_from_slice(&bytes);
    header
}

fn parse_header(header: &[u8; HEADER]) -> Result<(Label, Shape), &'static str> {
    let mut at = Cursor(header);
    if at.take() != MAGIC {
        return Err("it is no list of clapet's");
    }
    if u16::from_le_bytes(at.take()) != VERSION {
        return Err("its version of the format is unknown");
    }
    if crc32fast::hash(&header[..HEADER - 4]).to_le_bytes() != header[HEADER - 4..] {
        return Err("the header's checksum does not match");
    }
    let list = match at.take() {
        [1] => List::Bloctel,
        [2] => List::Opposition,
        [_] => return Err("the header names no known list"),
    };
    let kind = match at.take() {
        [1] => Kind::Plain,
        [2] => Kind::Screened,
        [3] => Kind::Tier,
        [_] => return Err("the header names no known kind"),
    };
    let siren = Some(u32::from_le_bytes(at.take()))
        .filter(|siren| *siren != EVERYBODY)
        .map(Siren);
    let from = at.stamp().ok_or("the header's day is impossible")?;
    let upto = at.stamp().ok_or("the header's day is impossible")?;
    let digest = at.take();
    let days = u32::from_le_bytes(at.take());
    let shape = Shape {
        days: days & !(1 << 31),
        mixed: days >> 31 == 1,
        len: at.word(),
        opposed: at.word(),
        blocks: at.word(),
        words: at.word(),
    };
    if shape.days as usize > MAX_DAYS {
        return Err("the header claims too many days");
    }
    let label = Label {
        list,
        siren,
        kind,
        from,
        upto,
        digest,
    };
    Ok((label, shape))
}

/// Takes fields off a header, which is long enough for all of them.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .map_or(([0; N], &[][..]), |(field, rest)| (*field, rest));
        self.0 = rest;
        field
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn stamp(&mut self) -> Option<Stamp> {
        let day = NaiveDate::from_epoch_days(i32::from_le_bytes(self.take()));
        let sequence = self.word();
        day.map(|day| Stamp { day, sequence })
    }
}

struct Summed<W> {
    out: W,
    sum: Sha256,
}

impl<W: Write> Summed<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.out.write_all(bytes)
    }
}

fn push<W: Write>(chunk: &mut Vec<u8>, bytes: &[u8], out: &mut Summed<W>) -> io::Result<()> {
    // Four-byte days may leave a chunk four bytes short of its end: a word then straddles two chunks.
    for half in bytes.chunks(4) {
        chunk.extend_from_slice(half);
        if chunk.len() == CHUNK {
            flush(chunk, out)?;
        }
    }
    Ok(())
}

fn flush<W: Write>(chunk: &mut Vec<u8>, out: &mut Summed<W>) -> io::Result<()> {
    if !chunk.is_empty() {
        let crc = crc32fast::hash(chunk);
        chunk.extend_from_slice(&crc.to_le_bytes());
        out.put(chunk)?;
        chunk.clear();
    }
    Ok(())
}

/// The chunks of a file as one stream of bytes.
struct Body<'a> {
    file: &'a mut File,
    left: u64,
    chunk: Vec<u8>,
    at: usize,
    number: u64,
    sum: &'a mut Sha256,
}

enum Fault {
    Io(io::Error),
    Damaged(String),
}

impl Fault {
    fn at(self, path: &Path) -> ScreeningError {
        let path = path.to_owned();
        match self {
            Fault::Io(source) => ScreeningError::Io { path, source },
            Fault::Damaged(why) => ScreeningError::Damaged { path, why },
        }
    }
}

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        if let Some(bytes) = self.chunk.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            self.at += N;
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        for half in bytes.chunks_mut(4) {
            if self.at == self.chunk.len() {
                self.next_chunk()?;
            }
            let source = self.chunk.get(self.at..self.at + half.len());
            half.copy_from_slice(source.ok_or_else(|| Fault::Damaged("the body ends early".into()))?);
            self.at += half.len();
        }
        Ok(bytes)
    }

    fn next_chunk(&mut self) -> Result<(), Fault> {
        #[allow(clippy::cast_possible_truncation)] // `CHUNK` at most
        let length = self.left.min(CHUNK as u64) as usize;
        self.left -= length as u64;
        self.chunk.resize(length + 4, 0);
        let number = self.number;
        self.number += 1;
        if !fill(self.file, &mut self.chunk).map_err(Fault::Io)? {
            return Err(Fault::Damaged(format!("chunk {number} is cut short")));
        }
        self.sum.update(&self.chunk);
        let (bytes, crc) = self.chunk.split_at(length);
        if crc32fast::hash(bytes).to_le_bytes() != crc {
            return Err(Fault::Damaged(format!("the checksum of chunk {number} does not match")));
        }
        self.chunk.truncate(length);
        self.at = 0;
        Ok(())
    }
}

/// Fills the buffer; false where the file ends before.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::layer::{Encoder, Listed};

    fn sample() -> (Label, Layer) {
        let day = |n| NaiveDate::from_epoch_days(19_500 + n).unwrap();
        let stamp = |n, sequence| Stamp { day: day(n), sequence };
        let label = Label {
            list: List::Bloctel,
            siren: Some(Siren(552_100_554)),
            kind: Kind::Tier,
            from: stamp(0, 7),
            upto: stamp(2, 9),
            digest: [9; 32],
        };
        // Three days of four bytes each put every word astride of the chunks' ends.
        let mut encoder = Encoder::new((0..3).map(day).collect(), true);
        for n in 0..120_000u64 {
            encoder.push(Listed {
                number: 33_600_000_000 + n * n % 13 + 13 * n,
                opposed: n % 3 == 0,
                day: day(i32::try_from(n % 3).unwrap()),
            });
        }
        (label, encoder.finish())
    }

    #[test]
    fn what_is_written_is_read_and_the_sum_is_the_file_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.list");
        let (label, layer) = sample();
        let sum = write(&path, &label, &layer).unwrap();
        assert_eq!(sum, <[u8; 32]>::from(Sha256::digest(std::fs::read(&path).unwrap())));
        let (read_label, read_layer, read_sum) = read(&path).unwrap();
        assert_eq!((read_label, read_sum), (label, sum));
        assert!(read_layer.iter().eq(layer.iter()));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.list");
        let (label, layer) = sample();
        write(&path, &label, &layer).unwrap();
        let good = std::fs::read(&path).unwrap();
        assert!(good.len() > 2 * CHUNK, "several chunks");
        let edges = (0..good.len()).filter(|at| {
            *at < HEADER + 16
                || (*at - HEADER) % (CHUNK + 4) < 4
                || (*at - HEADER) % (CHUNK + 4) >= CHUNK
                || at + 40 > good.len()
                || at % 997 == 0
        });
        for at in edges {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(read(&path), Err(ScreeningError::Damaged { .. })), "byte {at}");
        }
    }

    #[test]
    fn a_file_cut_short_or_grown_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.list");
        let (label, layer) = sample();
        write(&path, &label, &layer).unwrap();
        let good = std::fs::read(&path).unwrap();
        for length in (0..good.len()).filter(|n| *n < 200 || n % 1_009 == 0 || n + 40 > good.len()) {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(
                matches!(read(&path), Err(ScreeningError::Damaged { .. })),
                "{length} bytes"
            );
        }
        std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(matches!(read(&path), Err(ScreeningError::Damaged { .. })));
    }
}

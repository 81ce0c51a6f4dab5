//! The cold folder: closed segments, compressed and out of the way of a start. `<journal>/cold/N.seg.zst` with `N.sig` beside it.
//!
//! A segment is moved by writing the compressed copy whole, reading it back, and only then removing the original, so that a stop in
//! between leaves both, the original being the one that counts. Whoever moves one has made sure that nothing in it is needed to
//! rebuild the ledger. Readers go through [`super::segment::Source`], which unpacks on the way.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::checkpoint;
use super::segment::Segment;
use crate::failpoint;

/// Name of the folder in the journal's.
const FOLDER: &str = "cold";
/// What a file that is being written ends in.
const UNFINISHED: &str = "tmp";
/// Level of compression: higher ones gain little on salts and hashes, which are most of a record.
const LEVEL: i32 = 3;
/// Bytes copied at a time.
const PIECE: usize = 1 << 16;
/// Bytes after which a copy is synced: much unsynced data in one file makes the journal's next sync, and so a call, wait for all of it.
const SYNC_BYTES: usize = 1 << 20;

/// A file that is synced as it grows.
struct Steady {
    file: File,
    unsynced: usize,
}

impl Steady {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: create(path)?,
            unsynced: 0,
        })
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

pub(super) fn folder_in(journal: &Path) -> PathBuf {
    journal.join(FOLDER)
}

/// Compresses a closed segment into the cold folder and removes it where it was.
pub(super) fn archive(journal: &Path, segment: &Segment) -> Result<(), JournalError> {
    let folder = folder_in(journal);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .and_then(|()| sync(journal))
        .map_err(|source| JournalError::io(&folder, source))?;
    let cold = Segment::cold(journal, segment.first);
    let signatures = checkpoint::path_beside(segment);
    copy_whole(&signatures, &checkpoint::path_beside(&cold)).map_err(|source| JournalError::io(&signatures, source))?;
    pack(&segment.path, &cold.path).map_err(|source| segment.io(source))?;
    failpoint::reach("cold.packed");
    fs::remove_file(&segment.path)
        .and_then(|()| {
            failpoint::reach("cold.removed");
            fs::remove_file(&signatures)
        })
        .and_then(|()| sync(journal))
        .map_err(|source| segment.io(source))
}

/// Removes what a move that was cut off left: unfinished copies, copies whose original is still there, checkpoints without a segment.
pub(super) fn clean(journal: &Path) -> Result<(), JournalError> {
    let hot = Segment::list(journal)?;
    for segment in Segment::list_cold(journal)? {
        if hot.iter().any(|one| one.first == segment.first) {
            remove(&segment)?;
        }
    }
    let cold = folder_in(journal);
    for folder in [journal, &cold] {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(JournalError::io(folder, source)),
        };
        for entry in entries {
            let path = entry.map_err(|source| JournalError::io(folder, source))?.path();
            let gone = match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => true,
                // Never the only copy: it may be all that tells of a segment that was taken away.
                Some("sig") if folder == journal => {
                    !path.with_extension("seg").exists()
                        && path.file_name().is_some_and(|name| cold.join(name).exists())
                }
                Some("sig") => !path.with_extension("seg.zst").exists(),
                _ => false,
            };
            if gone {
                fs::remove_file(&path).map_err(|source| JournalError::io(&path, source))?;
            }
        }
    }
    Ok(())
}

/// Deletes a cold segment. Its checkpoints go last: without it they say nothing.
pub(super) fn remove(cold: &Segment) -> Result<(), JournalError> {
    let signatures = checkpoint::path_beside(cold);
    fs::remove_file(&cold.path)
        .and_then(|()| match fs::remove_file(&signatures) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .and_then(|()| cold.path.parent().map_or(Ok(()), sync))
        .map_err(|source| cold.io(source))
}

/// Works on the unpacked bytes of a cold segment and packs them again where the work changed something.
pub(super) fn rewrite(
    cold: &Segment,
    work: impl FnOnce(&Segment) -> Result<u64, JournalError>,
) -> Result<u64, JournalError> {
    let unpacked = Segment {
        path: cold.path.with_extension(UNFINISHED),
        ..cold.clone()
    };
    let done = (|| {
        let mut from = BufReader::new(File::open(&cold.path)?);
        let mut to = BufWriter::with_capacity(PIECE, Steady::create(&unpacked.path)?);
        zstd::stream::copy_decode(&mut from, &mut to)?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync_all()
    })()
    .map_err(|source| cold.io(source))
    .and_then(|()| work(&unpacked))
    .and_then(|changed| {
        if changed > 0 {
            pack(&unpacked.path, &cold.path).map_err(|source| cold.io(source))?;
        }
        Ok(changed)
    });
    let removed = fs::remove_file(&unpacked.path);
    let changed = done?;
    removed.map_err(|source| cold.io(source))?;
    Ok(changed)
}

/// Writes a compressed copy that is there whole or not at all, and reads it back before it is believed.
fn pack(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::disk("cold.write")?;
    let unfinished = to.with_extension("new.tmp");
    let mut source = File::open(from)?;
    let length = source.metadata()?.len();
    let mut encoder = zstd::Encoder::new(BufWriter::with_capacity(PIECE, Steady::create(&unfinished)?), LEVEL)?;
    encoder.set_pledged_src_size(Some(length))?;
    encoder.include_contentsize(true)?;
    io::copy(&mut source, &mut encoder)?;
    let copy = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    copy.file.sync_all()?;
    drop(copy);
    if !same(from, &unfinished)? {
        return Err(io::Error::other(
            "the compressed copy does not read back as it was written",
        ));
    }
    failpoint::reach("cold.written");
    fs::rename(&unfinished, to)?;
    to.parent().map_or(Ok(()), sync)
}

/// Does the compressed file hold the bytes of the other?
fn same(plain: &Path, packed: &Path) -> io::Result<bool> {
    let mut one = BufReader::with_capacity(PIECE, File::open(plain)?);
    let mut other = zstd::Decoder::new(File::open(packed)?)?;
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let read = fill(&mut one, &mut left)?;
        if fill(&mut other, &mut right)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A small file, there whole or not at all.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let unfinished = to.with_extension("new.tmp");
    let mut file = create(&unfinished)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, to)?;
    to.parent().map_or(Ok(()), sync)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

//! The journal's files and the bodies of its records.

use std::path::Path;

use clapet::journal::{Kind, Stored, read, verify};
use clapet::ledger::body;

/// The files of a folder. First byte 0: the rest is a segment as it stands; 1: the rest is checkpoints beside a good segment. Else the
/// rest is damage to a good segment: bytes to flip at three-byte positions, and where the first byte is odd, the last position is
/// where it is cut.
pub fn journal(input: &[u8]) {
    let [mode, rest @ ..] = input else { return };
    FOLDER.with(|folder| {
        let folder = folder.path().join("journal");
        match mode {
            0 => walk(&folder, rest, b""),
            1 => walk(&folder, SEGMENT, rest),
            _ => walk(&folder, &damaged(rest, mode % 2 == 1), b""),
        }
    });
}

thread_local! {
    /// Written over for each input: making a folder costs more than reading one.
    static FOLDER: tempfile::TempDir = {
        let folder = tempfile::tempdir_in(quick_folder()).expect("a folder");
        std::fs::create_dir(folder.path().join("journal")).expect("a folder");
        folder
    };
}

fn walk(journal: &Path, segment: &[u8], checkpoints: &[u8]) {
    let path = journal.join("00000000000000000001.seg");
    std::fs::write(&path, segment).expect("a written segment");
    let beside = path.with_extension("sig");
    std::fs::write(&beside, checkpoints).expect("written checkpoints");
    let report = verify(journal).expect("a folder that can be read");
    let mut good = 0;
    let mut bad = false;
    let mut last = 0;
    for record in read(journal, 0).expect("a folder that can be read") {
        match record {
            Ok(stored) => {
                assert!(
                    !bad && stored.sequence > last,
                    "records come in order, and none after an error"
                );
                last = stored.sequence;
                good += 1;
                check(&stored);
            }
            Err(_) => bad = true,
        }
    }
    if report.bad.is_none() {
        assert_eq!(report.records, good, "a journal that verifies is read whole");
    }
}

/// The body of one record. First byte: its kind.
pub fn record(input: &[u8]) {
    let [kind, body @ ..] = input else { return };
    let Some(kind) = Kind::from_code(kind % 18) else { return };
    check(&Stored {
        sequence: 1,
        kind,
        at: chrono::DateTime::UNIX_EPOCH,
        siren: 552_100_554,
        body: Some(body.to_vec()),
    });
}

fn check(stored: &Stored) {
    if let Err(error) = body::read(stored) {
        assert!(!error.to_string().is_empty());
    }
}

fn damaged(rest: &[u8], cut: bool) -> Vec<u8> {
    let mut bytes = SEGMENT.to_vec();
    let whole = bytes.len();
    let at = |three: &[u8]| usize::from(u16::from_le_bytes([three[0], three[1]])) % whole;
    for three in rest.chunks_exact(3).take(64) {
        bytes[at(three)] ^= three[2];
    }
    if let Some(three) = rest.chunks_exact(3).next_back().filter(|_| cut) {
        bytes.truncate(at(three));
    }
    bytes
}

/// A segment with four batches of ten records, one of which is erased.
pub const SEGMENT: &[u8] = include_bytes!("good.seg");

/// In memory where the system has such a folder.
fn quick_folder() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

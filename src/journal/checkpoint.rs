//! Signed heads of the chain: what they say, the key that signs them, and the file beside each segment that holds them. Made by the
//! committer, only over what is synced; checked by open, verify and proofs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::frame::MAX_SEQUENCE;
use super::hash::{Hash, Id, Tree, batch_leaf, hex};
use super::segment::Segment;

const STATEMENT: &[u8] = b"clapet journal checkpoint 1\n";
const SECRET: &str = "signing.key";
const PUBLIC: &str = "signing.pub";

/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// A signed head of the chain. It covers some batches of one segment, from just after the checkpoint before it or the segment's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Checkpoint {
    #[serde(with = "hex")]
    pub journal: Id,
    /// First and last sequence covered.
    pub first: u64,
    pub last: u64,
    /// Batches covered.
    pub batches: u64,
    /// The chain's value before `first`.
    #[serde(with = "hex")]
    pub previous: Hash,
    /// The chain's value after `last`.
    #[serde(with = "hex")]
    pub head: Hash,
    /// Root of the Merkle tree over the chain's values after each batch covered.
    #[serde(with = "hex")]
    pub tree: Hash,
    /// The time of record `last`, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Who signed.
    #[serde(with = "hex")]
    pub key: PublicKey,
    #[serde(with = "hex")]
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// The bytes that are signed.
    fn statement(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STATEMENT.len() + 144);
        bytes.extend_from_slice(STATEMENT);
        bytes.extend_from_slice(&self.journal);
        for number in [self.first, self.last, self.batches] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for hash in [&self.previous, &self.head, &self.tree] {
            bytes.extend_from_slice(hash);
        }
        bytes.extend_from_slice(&self.at.to_le_bytes());
        bytes
    }

    /// Was this signed by the key that it names? Whether that key is to be trusted is for the caller to know.
    pub fn is_signed(&self) -> bool {
        VerifyingKey::from_bytes(&self.key).is_ok_and(|key| {
            key.verify_strict(&self.statement(), &Signature::from_bytes(&self.signature))
                .is_ok()
        })
    }
}

/// What has been written since the last checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    first: u64,
    last: u64,
    at: i64,
    previous: Hash,
    head: Hash,
    tree: Tree,
}

impl Interval {
    /// Starts where the chain stands: `next` is the sequence of the next record.
    pub(super) fn new(next: u64, head: Hash) -> Self {
        Self {
            first: next,
            last: next - 1,
            at: 0,
            previous: head,
            head,
            tree: Tree::default(),
        }
    }

    pub(super) fn add(&mut self, last: u64, at: i64, link: Hash) {
        self.last = last;
        self.at = at;
        self.head = link;
        self.tree.push(batch_leaf(&link));
    }

    /// Records since the last checkpoint.
    pub(super) const fn records(&self) -> u64 {
        self.last + 1 - self.first
    }

    /// Does a checkpoint say of these batches what is so?
    pub(super) fn matches(&self, checkpoint: &Checkpoint) -> bool {
        self.first == checkpoint.first
            && self.last == checkpoint.last
            && self.at == checkpoint.at
            && self.previous == checkpoint.previous
            && self.head == checkpoint.head
            && self.tree.size() == checkpoint.batches
            && self.tree.root() == checkpoint.tree
    }
}

/// The key that signs checkpoints.
pub(super) struct Signatory(SigningKey);

impl Signatory {
    #[cfg(test)]
    pub(super) fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads `signing.key` in the folder above the journal's, or makes a new one; sees to it that `signing.pub` beside it names it.
    pub(super) fn load(folder: &Path) -> Result<Self, JournalError> {
        let above = above(folder);
        let path = above.join(SECRET);
        let seed = match fs::read_to_string(&path) {
            Ok(text) => hex::array(text.trim()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(source) => return Err(JournalError::io(&path, source)),
        };
        let signatory = if let Some(seed) = seed {
            Self(SigningKey::from_bytes(&seed))
        } else {
            Self::create(&above, &path)?
        };
        signatory.publish(&above)?;
        Ok(signatory)
    }

    fn create(above: &Path, path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::io(path, source);
        if path.exists() {
            // Nothing that was signed with it is lost: its public half stays listed.
            let aside = path.with_extension("unreadable");
            tracing::error!(key = %path.display(), aside = %aside.display(), "the signing key cannot be read; a new one is made");
            fs::rename(path, aside).map_err(failed)?;
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| failed(io::Error::other(error.to_string())))?;
        // Under another name first, so that a stop in between leaves no half a key.
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(failed)?;
        writeln!(file, "{}", hex::encode(&seed))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&fresh, path))
            .and_then(|()| fs::File::open(above)?.sync_all())
            .map_err(failed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    fn publish(&self, above: &Path) -> Result<(), JournalError> {
        let key = self.public();
        if public_keys(above)?.is_some_and(|keys| keys.contains(&key)) {
            return Ok(());
        }
        let path = above.join(PUBLIC);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{}", hex::encode(&key)).and_then(|()| file.sync_all()))
            .and_then(|()| fs::File::open(above)?.sync_all())
            .map_err(|source| JournalError::io(&path, source))
    }

    pub(super) fn public(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, journal: Id, interval: &Interval) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            journal,
            first: interval.first,
            last: interval.last,
            batches: interval.tree.size(),
            previous: interval.previous,
            head: interval.head,
            tree: interval.tree.root(),
            at: interval.at,
            key: self.public(),
            signature: [0; 64],
        };
        checkpoint.signature = self.0.sign(&checkpoint.statement()).to_bytes();
        checkpoint
    }
}

/// The folder that holds the journal's.
pub(super) fn above(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        Some(_) => PathBuf::from("."),
        None => folder.to_path_buf(),
    }
}

/// The public keys listed in a folder, oldest first; `None`: there is no list.
pub(super) fn public_keys(above: &Path) -> Result<Option<Vec<PublicKey>>, JournalError> {
    let path = above.join(PUBLIC);
    match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(Some(text.lines().filter_map(|line| hex::array(line.trim())).collect()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JournalError::io(&path, source)),
    }
}

/// The file of a segment's checkpoints.
pub(super) fn path_beside(segment: &Segment) -> PathBuf {
    segment.path.with_file_name(format!("{:020}.sig", segment.first))
}

/// A checkpoint as a line of its file.
pub(super) fn line(checkpoint: &Checkpoint) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(checkpoint)?;
    line.push(b'\n');
    Ok(line)
}

/// The file of checkpoints beside a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Whole lines.
    bytes: Vec<u8>,
    /// Bytes of a last line whose writing was interrupted.
    pub torn: u64,
}

impl Lines {
    pub(super) fn read(segment: &Segment) -> Result<Self, JournalError> {
        let mut bytes = segment.read_beside()?.unwrap_or_default();
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let torn = (bytes.len() - whole) as u64;
        bytes.truncate(whole);
        Ok(Self { bytes, torn })
    }

    /// Bytes up to the end of the last whole line.
    pub(super) fn whole(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What each line holds; `None`: no checkpoint that is signed by the key it names.
    pub(super) fn checkpoints(&self) -> impl DoubleEndedIterator<Item = Option<Checkpoint>> {
        let lines = self
            .bytes
            .strip_suffix(b"\n")
            .map(|bytes| bytes.split(|byte| *byte == b'\n'));
        lines.into_iter().flatten().map(|line| {
            serde_json::from_slice::<Checkpoint>(line)
                .ok()
                .filter(|line| 0 < line.first && line.first <= line.last && line.last <= MAX_SEQUENCE)
                .filter(Checkpoint::is_signed)
        })
    }

    /// The last good one: what it covers was synced.
    pub(super) fn last(&self) -> Option<Checkpoint> {
        self.checkpoints().rev().flatten().next()
    }
}

//! Bundles: one professional's records with their proofs, in a folder that verifies without clapet or its store.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::export::Asked;
use super::record::{details, hex, kind_name, time};
use super::{EvidenceError, What};
use crate::journal::{self, Checkpoint, Kind, Proof, PublicKey, Stored};
use crate::ledger::Siren;

const RECORDS: &str = "records.jsonl";
const CHECKPOINTS: &str = "checkpoints.jsonl";
const KEYS: &str = "public-keys.txt";
const MANIFEST: &str = "manifest.json";
const README: &str = include_str!("bundle_readme.txt");
const VERIFIER: &str = include_str!("verifier.py");
/// Version of the bundle's form.
const FORMAT: u32 = 1;
/// Longest line of a bundle that is read.
const MAX_LINE: u64 = 64 << 20;

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Bundled {
    pub records: u64,
    /// Sequences of the first and last record.
    pub first: u64,
    pub last: u64,
    /// Records whose personal part has been erased.
    pub erased: u64,
    pub checkpoints: u64,
}

/// What verification of a bundle found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BundleReport {
    pub bundled: Bundled,
    /// Keys that signed.
    pub keys: Vec<PublicKey>,
    /// The keys were given from elsewhere rather than taken from the bundle.
    pub trusted: bool,
    /// The first thing that is wrong.
    pub bad: Option<String>,
}

/// A record as a bundle shows it: the checkpoint by its last sequence rather than whole.
#[derive(Serialize, Deserialize)]
struct Shown {
    says: Said,
    proof: Value,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Said {
    at: String,
    kind: String,
    details: Value,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    clapet_bundle: u32,
    professional: String,
    siren: String,
    since: Option<String>,
    until: Option<String>,
    records: u64,
    first: u64,
    last: u64,
    exported_at: String,
}

/// Writes a bundle into a folder that is not there yet or empty. Records that no checkpoint covers yet are not in it: sign first.
pub fn bundle(journal: &Path, asked: &Asked, now: DateTime<Utc>, to: &Path) -> Result<Bundled, EvidenceError> {
    let whole = Asked {
        what: What::Journal,
        ..asked.clone()
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .map_err(EvidenceError::io(to))?;
    if fs::read_dir(to).map_err(EvidenceError::io(to))?.next().is_some() {
        return Err(EvidenceError::refused(to, "expected an empty folder, or none"));
    }
    let create = |name: &str| create(&to.join(name));
    let (mut records, mut checkpoints) = (create(RECORDS)?, create(CHECKPOINTS)?);
    let mut bundled = Bundled::default();
    let mut keys: Vec<PublicKey> = Vec::new();
    let mut under = 0;
    let wanted = |stored: &Stored| {
        whole.concerns(stored)
            && whole.since.is_none_or(|since| since <= stored.at)
            && whole.until.is_none_or(|until| stored.at < until)
    };
    journal::prove_each::<EvidenceError>(journal, 1..=u64::MAX >> 1, wanted, |proof| {
        if proof.checkpoint.last != under {
            under = proof.checkpoint.last;
            serde_json::to_writer(&mut checkpoints, &proof.checkpoint).map_err(io::Error::from)?;
            checkpoints.write_all(b"\n")?;
            bundled.checkpoints += 1;
            if !keys.contains(&proof.checkpoint.key) {
                keys.push(proof.checkpoint.key);
            }
        }
        let mut shown = serde_json::to_value(&proof).map_err(io::Error::from)?;
        shown["checkpoint"] = proof.checkpoint.last.into();
        let shown = Shown {
            says: says(&proof).map_err(|why| EvidenceError::refused(journal, why))?,
            proof: shown,
        };
        serde_json::to_writer(&mut records, &shown).map_err(io::Error::from)?;
        records.write_all(b"\n")?;
        bundled.take(&proof);
        Ok(())
    })?;
    for file in [records, checkpoints] {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
    }
    let listed: String = keys.iter().map(|key| hex(key) + "\n").collect();
    let manifest = Manifest {
        clapet_bundle: FORMAT,
        professional: asked.professional.to_string(),
        siren: asked.siren.to_string(),
        since: asked.since.map(time),
        until: asked.until.map(time),
        records: bundled.records,
        first: bundled.first,
        last: bundled.last,
        exported_at: time(now),
    };
    let manifest = serde_json::to_string_pretty(&manifest).map_err(io::Error::from)? + "\n";
    let texts = [
        (KEYS, listed.as_str()),
        ("README.txt", README),
        ("verify.py", VERIFIER),
        // Last: a folder without it is no bundle.
        (MANIFEST, &manifest),
    ];
    for (name, text) in texts {
        let mut file = create(name)?;
        file.write_all(text.as_bytes())?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    }
    Ok(bundled)
}

/// Does a folder hold a bundle rather than a journal?
pub fn is_bundle(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file() && folder.join(RECORDS).is_file()
}

/// Verifies a bundle. `keys`: public keys trusted from elsewhere; without any, the bundle's own are taken and the report says so. An
/// error means that it could not be read.
pub fn verify_bundle(folder: &Path, keys: &[PublicKey]) -> Result<BundleReport, EvidenceError> {
    let manifest = fs::read(folder.join(MANIFEST)).map_err(EvidenceError::io(folder))?;
    let mut report = BundleReport {
        trusted: !keys.is_empty(),
        ..BundleReport::default()
    };
    report.bad = match serde_json::from_slice::<Manifest>(&manifest) {
        Err(error) => Some(format!("{MANIFEST}: {error}")),
        Ok(manifest) if manifest.clapet_bundle != FORMAT => Some(format!(
            "form {} is not known to this program ({FORMAT})",
            manifest.clapet_bundle
        )),
        Ok(manifest) => check(folder, keys, &manifest, &mut report)?.err(),
    };
    Ok(report)
}

/// The inner error says what is wrong with the bundle.
fn check(
    folder: &Path,
    keys: &[PublicKey],
    manifest: &Manifest,
    report: &mut BundleReport,
) -> Result<Result<(), String>, EvidenceError> {
    let listed = fs::read_to_string(folder.join(KEYS)).map_err(EvidenceError::io(folder))?;
    let listed: Vec<PublicKey> = listed.lines().filter_map(|line| public_key(line.trim())).collect();
    let trusted = if keys.is_empty() { &listed } else { keys };
    let mut checkpoints = lines(folder, CHECKPOINTS)?;
    let mut under: Option<Checkpoint> = None;
    for line in lines(folder, RECORDS)? {
        let line = line.map_err(EvidenceError::io(folder))?;
        let place = report.bundled.records + 1;
        let Ok(Shown {
            says: said,
            proof: mut shown,
        }) = serde_json::from_str::<Shown>(&line)
        else {
            return Ok(Err(format!("{RECORDS}: line {place} is no record")));
        };
        let last = shown["checkpoint"].as_u64();
        while under.as_ref().map(|under| under.last) != last {
            let Some(line) = checkpoints.next().transpose().map_err(EvidenceError::io(folder))? else {
                return Ok(Err(format!("{RECORDS}: line {place}: its checkpoint is missing")));
            };
            match serde_json::from_str(&line) {
                Ok(next) => under = Some(next),
                Err(error) => return Ok(Err(format!("{CHECKPOINTS}: {error}"))),
            }
            report.bundled.checkpoints += 1;
        }
        shown["checkpoint"] = serde_json::to_value(&under).map_err(io::Error::from)?;
        let proof: Proof = match serde_json::from_value(shown) {
            Ok(proof) => proof,
            Err(error) => return Ok(Err(format!("{RECORDS}: line {place}: {error}"))),
        };
        let sequence = proof.sequence;
        if sequence <= report.bundled.last {
            return Ok(Err(format!("record {sequence} is out of order")));
        }
        if let Err(error) = proof.verify(trusted) {
            return Ok(Err(format!("record {sequence}: {error}")));
        }
        match says(&proof) {
            Ok(proved) if proved == said => {}
            Ok(_) => {
                return Ok(Err(format!(
                    "record {sequence} is said to be otherwise than it was proved"
                )));
            }
            Err(why) => return Ok(Err(format!("record {sequence}: {why}"))),
        }
        if Siren(proof.siren).to_string() != manifest.siren && proof.siren != 0 {
            return Ok(Err(format!("record {sequence} is another professional's")));
        }
        if !report.keys.contains(&proof.checkpoint.key) {
            report.keys.push(proof.checkpoint.key);
        }
        report.bundled.take(&proof);
    }
    let Bundled {
        records, first, last, ..
    } = report.bundled;
    let all = (manifest.records, manifest.first, manifest.last);
    Ok(if (records, first, last) == all {
        Ok(())
    } else {
        Err(format!(
            "{records} records from {first} to {last} where the manifest says {} from {} to {}",
            all.0, all.1, all.2
        ))
    })
}

impl Bundled {
    fn take(&mut self, proof: &Proof) {
        if self.records == 0 {
            self.first = proof.sequence;
        }
        self.records += 1;
        self.last = proof.sequence;
        self.erased += u64::from(proof.opening.is_none());
    }
}

/// What a proved record says, from its body alone.
fn says(proof: &Proof) -> Result<Said, String> {
    let kind = Kind::from_code(proof.kind).ok_or_else(|| format!("kind {} is not known", proof.kind))?;
    let at = DateTime::from_timestamp_micros(proof.at).ok_or_else(|| format!("{} µs is no time", proof.at))?;
    let stored = Stored {
        sequence: proof.sequence,
        kind,
        at,
        siren: proof.siren,
        body: proof.opening.as_ref().map(|opening| opening.body.clone()),
    };
    Ok(Said {
        at: time(at),
        kind: kind_name(kind).to_owned(),
        details: details(&stored),
    })
}

/// A public key as 64 hexadecimal digits.
pub fn public_key(text: &str) -> Option<PublicKey> {
    let mut key = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

fn create(path: &Path) -> Result<BufWriter<File>, EvidenceError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map(BufWriter::new).map_err(EvidenceError::io(path))
}

/// Lines of bounded length.
fn lines(folder: &Path, name: &str) -> Result<impl Iterator<Item = io::Result<String>> + use<>, EvidenceError> {
    let path = folder.join(name);
    let mut reader = BufReader::new(File::open(&path).map_err(EvidenceError::io(&path))?);
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        match io::Read::take(&mut reader, MAX_LINE).read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error)),
        }
    }))
}

//! Backups: a copy of the store's truth, made beside a running server, and putting it back where no server runs.
//!
//! Copied are the journal with its keys and checkpoints, the secret, the lists, and what a failed journal left aside. The view is not: it
//! is built anew from the journal. Checkpoints are copied before the segment that they sign, so that the copy never claims more than
//! it holds; a last batch that was being written is cut when the copy is opened, as after a crash. The copy is verified before it is
//! said to be one.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::EvidenceError;
use crate::journal::{self, Report};

/// In the store's folder: the journal, and what lies beside it.
const JOURNAL: &str = "journal";
const LISTS: &str = "screening";
/// `secret` is the one file without which what was erased could not be found again.
const FILES: [&str; 5] = ["secret", "signing.key", "signing.pub", "recovered", "erasing"];
/// Most replaced stores kept beside the one in use.
const MAX_REPLACED: u32 = 1000;
/// How often a copy is made anew that an erasure or a move of segments came between.
const TRIES: u32 = 5;

/// What was backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct BackedUp {
    /// Last record in it.
    pub last: u64,
    pub records: u64,
    pub files: u64,
    pub bytes: u64,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Restored {
    pub last: u64,
    pub records: u64,
    /// Where the store that was there is kept.
    pub replaced: Option<PathBuf>,
}

/// Copies a store into a folder that is not there yet or empty. A running server is not disturbed.
pub fn backup(store: &Path, to: &Path) -> Result<BackedUp, EvidenceError> {
    make(to)?;
    if fs::read_dir(to).map_err(EvidenceError::io(to))?.next().is_some() {
        return Err(EvidenceError::refused(to, "expected an empty folder, or none"));
    }
    if !store.join(JOURNAL).is_dir() {
        return Err(EvidenceError::refused(store, "there is no store"));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match copied(store, to) {
            Ok((done, report)) => match report.bad {
                None => return Ok(done),
                // The store itself may be damaged: then every copy is.
                Some(bad) if tries == TRIES => return Err(bad.into()),
                Some(_) => {}
            },
            Err(error) if tries == TRIES => return Err(error),
            // A file was moved away while it was copied.
            Err(EvidenceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::remove_dir_all(to).map_err(EvidenceError::io(to))?;
        make(to)?;
    }
}

fn copied(store: &Path, to: &Path) -> Result<(BackedUp, Report), EvidenceError> {
    let mut done = BackedUp::default();
    // First what may be removed once its content is in the journal: then it is in one of the two.
    for name in FILES {
        done.copy_if_there(&store.join(name), &to.join(name))?;
    }
    let (from, journal) = (store.join(JOURNAL), to.join(JOURNAL));
    done.copy_journal(&from, &journal)?;
    let lists = store.join(LISTS);
    if lists.is_dir() {
        make(&to.join(LISTS))?;
        for name in names(&lists)? {
            if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "list")
            {
                done.copy_if_there(&lists.join(&name), &to.join(LISTS).join(&name))?;
            }
        }
    }
    sync(to)?;
    let report = journal::verify(&journal)?;
    (done.last, done.records) = (report.last, report.records);
    Ok((done, report))
}

impl BackedUp {
    fn copy_journal(&mut self, from: &Path, to: &Path) -> Result<(), EvidenceError> {
        let (cold, cold_to) = (from.join("cold"), to.join("cold"));
        make(to)?;
        if cold.is_dir() {
            make(&cold_to)?;
            for name in names(&cold)? {
                if let Some(first) = name.strip_suffix(".seg.zst") {
                    let signatures = format!("{first}.sig");
                    self.copy(&cold.join(&signatures), &cold_to.join(&signatures))?;
                    self.copy(&cold.join(&name), &cold_to.join(&name))?;
                }
            }
        }
        for name in names(from)? {
            if let Some(first) = name.strip_suffix(".seg") {
                let signatures = format!("{first}.sig");
                self.copy_if_there(&from.join(&signatures), &to.join(&signatures))?;
                self.copy(&from.join(&name), &to.join(&name))?;
            }
        }
        if cold_to.is_dir() {
            sync(&cold_to)?;
        }
        sync(to)
    }

    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), EvidenceError> {
        let mut source = File::open(from).map_err(EvidenceError::io(from))?;
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)
            .and_then(|mut file| {
                let bytes = io::copy(&mut source, &mut file)?;
                file.sync_all()?;
                Ok(bytes)
            });
        self.bytes += written.map_err(EvidenceError::io(to))?;
        self.files += 1;
        Ok(())
    }

    fn copy_if_there(&mut self, from: &Path, to: &Path) -> Result<(), EvidenceError> {
        match self.copy(from, to) {
            Err(EvidenceError::Io { path, source }) if source.kind() == io::ErrorKind::NotFound && path == from => {
                Ok(())
            }
            done => done,
        }
    }
}

/// Puts a backup in the place of a store. The caller has made sure that no process holds it. A store that is there is kept beside it; one
/// of the same journal with newer records is replaced only by `force`, since calls placed after the backup would be forgotten.
pub fn restore(from: &Path, store: &Path, force: bool) -> Result<Restored, EvidenceError> {
    let whole = journal::verify(&from.join(JOURNAL))?;
    if let Some(bad) = whole.bad {
        return Err(bad.into());
    }
    if !from.join("secret").is_file() {
        return Err(EvidenceError::refused(from, "this is no backup: the secret is missing"));
    }
    let there = store.join(JOURNAL).is_dir();
    if there && !force {
        let last = journal::read_hot(&store.join(JOURNAL), 0)?
            .map_while(Result::ok)
            .last()
            .map_or(0, |stored| stored.sequence);
        if last > whole.last {
            let why = format!(
                "it holds records up to {last}, the backup up to {}: calls placed since would be forgotten and could be placed a fifth time \
                 (--force restores all the same)",
                whole.last
            );
            return Err(EvidenceError::refused(store, why));
        }
    }
    let unfinished = sibling(store, "restoring")?;
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(EvidenceError::io(&unfinished))?;
    }
    make(&unfinished)?;
    let (copied, report) = copied(from, &unfinished)?;
    if let Some(bad) = report.bad {
        return Err(bad.into());
    }
    let mut replaced = None;
    if store.exists() {
        let aside = (1..=MAX_REPLACED)
            .map(|number| sibling(store, &format!("replaced-{number}")))
            .find(|path| path.as_ref().map_or(true, |path| !path.exists()))
            .transpose()?;
        let aside = aside.ok_or_else(|| EvidenceError::refused(store, "too many replaced stores beside it"))?;
        fs::rename(store, &aside).map_err(EvidenceError::io(store))?;
        replaced = Some(aside);
    }
    fs::rename(&unfinished, store).map_err(EvidenceError::io(store))?;
    if let Some(above) = store.parent().filter(|above| *above != Path::new("")) {
        sync(above)?;
    }
    Ok(Restored {
        last: copied.last,
        records: copied.records,
        replaced,
    })
}

/// `<store>.<what>`, beside the store and so on its file system.
fn sibling(store: &Path, what: &str) -> Result<PathBuf, EvidenceError> {
    let Some(name) = store.file_name() else {
        return Err(EvidenceError::refused(store, "expected a folder with a name"));
    };
    let mut name = name.to_owned();
    name.push(format!(".{what}"));
    Ok(store.with_file_name(name))
}

fn make(folder: &Path) -> Result<(), EvidenceError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(EvidenceError::io(folder))
}

fn sync(folder: &Path) -> Result<(), EvidenceError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(EvidenceError::io(folder))
}

/// File names of a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, EvidenceError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(EvidenceError::io(folder))? {
        let entry = entry.map_err(EvidenceError::io(folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

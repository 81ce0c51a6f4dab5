//! The folder that keeps the snapshots: names, writing so that a crash leaves either nothing or the whole, setting damaged files aside.
//!
//! `LIST.OWNER.DAY.SEQUENCE.KIND.SUM.list`: the owner is a SIREN or `all`, the sum the beginning of the file's SHA-256 in hexadecimal.
//! Tiers (`KIND` = `tier`) are derived and may be deleted at any time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{self, Kind, Label, Stamp};
use super::layer::Layer;
use super::{List, ScreeningError};
use crate::ledger::Siren;

const SUFFIX: &str = ".list";
const UNFINISHED: &str = "unfinished.tmp";
/// Most times that a file of one name is set aside.
const MAX_ASIDE: u32 = 10_000;

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub list: List,
    pub siren: Option<Siren>,
    pub stamp: Stamp,
    pub kind: Kind,
    pub sum: String,
}

impl Name {
    fn text(&self) -> String {
        let list = self.list.name();
        let owner = self.siren.map_or_else(|| "all".to_owned(), |siren| siren.to_string());
        let kind = match self.kind {
            Kind::Plain => "plain",
            Kind::Screened => "screened",
            Kind::Tier => "tier",
        };
        let Stamp { day, sequence } = self.stamp;
        format!("{list}.{owner}.{day}.{sequence:08}.{kind}.{}{SUFFIX}", self.sum)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(SUFFIX)?.split('.');
        let mut next = || parts.next();
        let name = Self {
            list: List::from_name(next()?)?,
            siren: match next()? {
                "all" => None,
                siren => Some(Siren(siren.parse().ok()?)),
            },
            stamp: Stamp {
                day: next()?.parse().ok()?,
                sequence: next()?.parse().ok()?,
            },
            kind: match next()? {
                "plain" => Kind::Plain,
                "screened" => Kind::Screened,
                "tier" => Kind::Tier,
                _ => return None,
            },
            sum: next()?.to_owned(),
        };
        (name.text() == text).then_some(name)
    }
}

/// The folder; one process holds it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Creates it where it is missing and lists it, oldest sequence first. Files whose names say nothing are set aside.
    pub(super) fn open(
        path: &Path,
        faults: &mut Vec<ScreeningError>,
    ) -> Result<(Self, Vec<(Name, String)>), ScreeningError> {
        let io = |source| ScreeningError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(io)?;
        let folder = Self(path.to_owned());
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.file_name();
            let text = file.to_string_lossy();
            if file == OsStr::new(UNFINISHED) {
                // An import that a crash cut off: nothing was acknowledged.
                fs::remove_file(path.join(UNFINISHED)).map_err(io)?;
            } else if let Some(name) = Name::parse(&text) {
                names.push((name, text.into_owned()));
            } else if text.ends_with(SUFFIX) {
                let why = "its name is not one that clapet gives".to_owned();
                folder.set_aside(&text);
                faults.push(ScreeningError::Damaged {
                    path: path.join(&file),
                    why,
                });
            }
        }
        names.sort_by_key(|(name, _)| name.stamp.sequence);
        Ok((folder, names))
    }

    /// Writes a layer under its name: whole and durable, or not at all. Returns name and SHA-256.
    pub(super) fn write(&self, label: &Label, layer: &Layer) -> Result<(String, [u8; 32]), ScreeningError> {
        let unfinished = self.0.join(UNFINISHED);
        let written = file::write(&unfinished, label, layer).and_then(|sum| {
            let text = name_of(label, &sum);
            fs::rename(&unfinished, self.0.join(&text))?;
            self.sync()?;
            Ok((text, sum))
        });
        written.map_err(|source| {
            // Whatever is left of it is removed now or at the next start.
            let _ = fs::remove_file(&unfinished);
            ScreeningError::Io {
                path: self.0.clone(),
                source,
            }
        })
    }

    /// Reads a file and checks that it is what its name says. A damaged one is set aside.
    pub(super) fn read(&self, text: &str) -> Result<(Label, Arc<Layer>), ScreeningError> {
        let path = self.0.join(text);
        let read = file::read(&path).and_then(|(label, layer, sum)| {
            let told = name_of(&label, &sum);
            if told == text {
                Ok((label, Arc::new(layer)))
            } else {
                let why = format!("it says that it is {told}");
                Err(ScreeningError::Damaged { path, why })
            }
        });
        read.inspect_err(|error| {
            if matches!(error, ScreeningError::Damaged { .. }) {
                self.set_aside(text);
            }
        })
    }

    /// Deletes a file that is derived, or that nothing needs any more.
    pub(super) fn remove(&self, text: &str) {
        if let Err(error) = fs::remove_file(self.0.join(text)) {
            tracing::warn!(file = text, %error, "a list that is no longer needed could not be deleted");
        }
    }

    /// Renames a file so that it is kept but not read again.
    fn set_aside(&self, text: &str) {
        let free = (1..MAX_ASIDE)
            .map(|n| self.0.join(format!("{text}.damaged-{n}")))
            .find(|path| !path.exists());
        let moved = free.map_or_else(
            || Err(io::Error::other("too many damaged files of this name")),
            |aside| fs::rename(self.0.join(text), aside).and_then(|()| self.sync()),
        );
        if let Err(error) = moved {
            tracing::error!(file = text, %error, "a damaged list could not be set aside");
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

/// The name that a file with this label and SHA-256 has.
pub(super) fn name_of(label: &Label, sum: &[u8; 32]) -> String {
    let beginning = sum
        .iter()
        .take(8)
        .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    let name = Name {
        list: label.list,
        siren: label.siren,
        stamp: label.upto,
        kind: label.kind,
        sum: format!("{beginning:016x}"),
    };
    name.text()
}

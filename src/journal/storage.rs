//! The disk as the committer sees it: append, sync, create, sync a folder. A trait, so that tests can make it fail where disks do.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failpoint;

/// Journal files hold personal data: for their owner alone.
const FILE_MODE: u32 = 0o600;

/// A file that is only appended to.
pub(super) trait Medium: Send {
    /// Appends all bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where files come from.
pub(super) trait Storage: Send {
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
    /// Opens a file at its end, creating it where it is absent.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
    /// Makes the names in a folder survive a loss of power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The real disk.
pub(super) struct Disk;

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        failpoint::disk("journal.write")?;
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        failpoint::disk("journal.sync")?;
        self.sync_data()
    }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        failpoint::disk("journal.create")?;
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

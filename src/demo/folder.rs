//! A folder for the demonstration's store, removed with everything in it when it is dropped.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one below the system's folder for temporary files, for this user alone.
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|fault| io::Error::other(fault.to_string()))?;
        let path = std::env::temp_dir().join(format!("clapet-demo-{:016x}", u64::from_le_bytes(random)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, which empties the folder of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

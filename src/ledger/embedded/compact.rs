//! Making the view anew beside the old one where sled's file has grown far beyond what it holds: sled 0.34.7 never gives space back, and
//! opens the slower the longer it was written to. Runs on the view's thread; a stop anywhere leaves one of the two whole.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::Core;
use super::page::PAGES;
use super::secret::sync_folder;
use super::view::{Pace, View};
use crate::failpoint;

/// A view is made anew once it takes this many times its pages' bytes; steady rewriting takes 2.7 times,
const SPARSE: u64 = 3;
/// and this much more, below which it is not worth while.
const SLACK: u64 = 64 << 20;

/// The view under construction, and the one that it replaced.
fn beside(store: &Path) -> [PathBuf; 2] {
    [store.join("ledger.new"), store.join("ledger.old")]
}

/// Finishes what a stop cut off: the view that was in use counts, unless the new one had taken its place already.
pub(super) fn settle(store: &Path) -> io::Result<()> {
    let [new, old] = beside(store);
    if old.exists() && !store.join("ledger").exists() {
        fs::rename(&old, store.join("ledger"))?;
        sync_folder(store)?;
    }
    remove(&new)?;
    remove(&old)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_sparse(disk: u64, live: u64) -> bool {
    disk > SLACK + SPARSE * live
}

/// Bytes that a folder takes on the disk: sled leaves holes.
fn on_disk(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() {
            on_disk(&entry.path())?
        } else {
            found.blocks() * 512
        };
    }
    Ok(bytes)
}

impl Core {
    /// Makes the view anew where it takes far more than it holds. True: it was.
    pub fn compact_if_sparse(&self) -> Result<bool, String> {
        let folder = self.options.path.join("ledger");
        let disk = on_disk(&folder).map_err(|error| error.to_string())?;
        if disk <= SLACK {
            return Ok(false);
        }
        let live: u64 = (0..PAGES)
            .map(|index| self.pages.lock(index).bytes().len() as u64)
            .sum();
        if !is_sparse(disk, live) {
            return Ok(false);
        }
        tracing::info!(disk, live, "the view takes far more than it holds and is made anew");
        self.compact(Pace::InPassing).map(|()| true)
    }

    /// Writes all pages into a new folder, then puts that in the place of the old one.
    pub fn compact(&self, pace: Pace) -> Result<(), String> {
        let store = &self.options.path;
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        settle(store).map_err(|error| error.to_string())?;
        let [new, old] = beside(store);
        let mut fresh = View::empty(new.clone(), view.position().spread);
        for index in 0..PAGES {
            let mut page = self.pages.lock(index);
            page.dirty |= page.sequence > 0;
        }
        let done = self.checkpoint_of(&mut fresh, pace).and_then(|()| {
            if fresh.position().floor < view.position().floor {
                return Err("changes wait for the journal".into());
            }
            let swapped = fs::rename(view.folder(), &old).and_then(|()| {
                failpoint::reach("view.swapping");
                fs::rename(&new, view.folder())?;
                sync_folder(store)
            });
            swapped.map_err(|error| error.to_string())
        });
        match done {
            Ok(()) => {
                view.take(fresh);
                remove(&old).map_err(|error| error.to_string())
            }
            Err(why) => {
                // What went into the new one only has to be written to the old one, too.
                for (index, sequence) in view.position().sequences.iter().enumerate() {
                    let mut page = self.pages.lock(index);
                    page.dirty |= page.sequence > *sequence;
                }
                settle(store).map_err(|error| error.to_string())?;
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_sparse_only_well_beyond_what_steady_rewriting_takes() {
        let live = 130 << 20;
        assert!(!is_sparse(27 * live / 10, live), "steady rewriting");
        assert!(is_sparse(4 * live, live));
        assert!(!is_sparse(SLACK, 0), "an empty view has its first files");
    }
}

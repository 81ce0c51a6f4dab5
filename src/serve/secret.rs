//! The key of the MAC on our Record-Route and branches, kept in the store's folder so that dialogs outlive the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Name of its file below the store's path.
const FILE: &str = "route.key";

/// Reads the key, or makes one. A file that is no key is replaced and said so in the second value: the dialogs of before are then
/// strangers, which get 481.
pub(super) fn load_or_create(store: &Path) -> io::Result<([u8; 32], bool)> {
    let path = store.join(FILE);
    let mut key = [0; 32];
    let replaced = match File::open(&path) {
        Ok(file) => {
            // One byte more than a key, so that a longer file is not taken for one.
            let mut read = Vec::with_capacity(33);
            file.take(33).read_to_end(&mut read)?;
            if let Ok(found) = read.try_into() {
                return Ok((found, false));
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    write(store, &path, &key)?;
    Ok((key, replaced))
}

/// Written aside, synced and renamed: after a crash there is the old key, the new one, or none.
fn write(store: &Path, path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    File::open(store)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, replaced) = load_or_create(folder.path()).expect("made");
        assert!(!replaced && first != [0; 32]);
        assert_eq!(load_or_create(folder.path()).expect("read"), (first, false));
        let mode = std::fs::metadata(folder.path().join(FILE))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_key_is_replaced_and_said_so() {
        for wrong in [&b"short"[..], &[1; 33]] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(FILE), wrong).expect("written");
            let (key, replaced) = load_or_create(folder.path()).expect("made");
            assert!(replaced);
            assert_eq!(load_or_create(folder.path()).expect("read"), (key, false));
        }
    }
}

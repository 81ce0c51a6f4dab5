//! The store's secret: 32 random bytes in `<path>/secret`, from which a key of its own is derived for each use.
//!
//! Losing it would make what is kept under keyed hashes unfindable, so it is written once, synced, and never replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::OpenError;

/// The secret. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads `<folder>/secret`, or draws it where there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("secret");
        read_or_draw(folder, &path).map_err(|source| OpenError::Io { path, source })
    }

    /// A key of 32 bytes for one use, named by it: HMAC-SHA-256 (RFC 2104) of the name under the secret. The same name always gives the
    /// same key; a key says nothing of the secret or of another use's key.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac(&self.0, purpose.as_bytes())
    }
}

fn read_or_draw(folder: &Path, path: &Path) -> io::Result<Secret> {
    match fs::read(path) {
        Ok(bytes) => {
            let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "expected 32 bytes");
            return bytes
                .try_into()
                .map(Secret)
                .map_err(|bytes: Vec<u8>| wrong(bytes.len()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    write_synced(folder, path, &secret)?;
    Ok(Secret(secret))
}

/// Writes a file that only its owner reads so that it is there whole or not at all, also after a loss of power.
pub(super) fn write_synced(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(folder)
}

/// Makes created, renamed and removed names of a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// HMAC-SHA-256 (RFC 2104) under a key of 32 bytes.
pub(super) fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test case 2, its short key filled with zeros to the block as HMAC does.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for (place, byte) in hmac(&key, b"what do ya want for nothing?").iter().enumerate() {
            assert_eq!(format!("{byte:02x}"), expected[2 * place..2 * place + 2]);
        }
    }

    #[test]
    fn the_secret_is_drawn_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let first = Secret::open(folder.path()).unwrap();
        let again = Secret::open(folder.path()).unwrap();
        assert_eq!(first.derive("a"), again.derive("a"));
        assert_ne!(first.derive("a"), first.derive("b"));
        let mode = fs::metadata(folder.path().join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_cut_secret_is_an_error_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), [1; 7]).unwrap();
        assert!(matches!(Secret::open(folder.path()), Err(OpenError::Io { .. })));
        assert_eq!(fs::read(folder.path().join("secret")).unwrap(), [1; 7]);
    }
}

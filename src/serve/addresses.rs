//! Where the server listens, real ports included: told on stderr and in `<store.path>/addresses.json`, for whoever asked for port 0.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Name of the file below the store's path.
const FILE: &str = "addresses.json";

/// Where a server listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Of the process.
    pub pid: u32,
    /// SIP listeners in the order of the configuration, such as `udp://127.0.0.1:5060`.
    pub sip: Vec<String>,
    /// The API, where it runs.
    pub api: Option<SocketAddr>,
}

impl Addresses {
    /// Writes the file in one step: a reader sees it whole or not at all.
    pub(super) fn write(&self, store: &Path) -> io::Result<()> {
        let path = store.join(FILE);
        let aside = path.with_extension("new");
        fs::write(&aside, serde_json::to_vec(self)?)?;
        fs::rename(&aside, &path)
    }

    /// Removes the file, so that nobody reads the addresses of a server that is gone.
    pub(super) fn remove(store: &Path) {
        // Not there, or not ours to remove: nothing depends on it.
        let _ = fs::remove_file(store.join(FILE));
    }
}

//! The running server: start order, workers, reload, drain. `cli` calls [`run`]; `demo` and tests hold a [`Server`].
//!
//! Holds no logic of its own: it brings sockets, clocks, the gate and the proxy together, and says what it does. Start: store (its
//! report told), lists, standing facts, gate, sockets, workers, API, ready. End: new calls get 503, pending ones `[sip] drain`, workers
//! stop, the store is flushed.

mod addresses;
mod clock;
mod control;
mod dns;
mod http;
mod named;
mod resolve;
mod rota;
mod server;
mod shard;
mod shared;
mod signals;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;

pub use addresses::Addresses;
pub use clock::{MovedClock, WallClock};
pub use control::Control;
pub(crate) use server::wait_for;
pub use server::{Server, Setup};

use crate::config::Config;
use crate::gate::RosterError;
use crate::ledger::{OpenError, StoreError};
use crate::screening::ScreeningError;
use crate::sip::transport::BindError;

/// Why the server did not run, or ended in an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store does not open; another process may hold it.
    #[error("the store: {0}")]
    Store(#[from] OpenError),
    /// The lists cannot be read at all; single damaged ones are set aside instead.
    #[error("the lists: {0}")]
    Screening(#[from] ScreeningError),
    /// Configured and imported caller numbers contradict each other.
    #[error("the caller numbers: {0}")]
    Roster(#[from] RosterError),
    /// A SIP socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The API's socket.
    #[error("the API cannot listen on {0}: {1}")]
    Api(String, std::io::Error),
    /// A file below the store's path.
    #[error("{path}: {source}", path = path.display())]
    #[allow(missing_docs)]
    File { path: PathBuf, source: std::io::Error },
    /// A thread, a runtime or the metrics.
    #[error("{0} could not be set up: {1}")]
    SetUp(&'static str, String),
    /// The last flush: what was acknowledged is in the journal, but the store did not close in order.
    #[error("the store did not close in order: {0}")]
    Close(#[from] StoreError),
}

/// Runs until SIGTERM or SIGINT, then drains; a second signal ends the drain. SIGHUP reads `from` again. Blocks.
pub fn run(config: Config, from: Option<PathBuf>) -> Result<(), ServeError> {
    signals::report_panics();
    let signals = signals::Signals::listen()?;
    let embedded = from.is_none();
    let server = Server::start(
        config,
        Setup {
            from,
            ..Setup::default()
        },
    )?;
    server.tell(embedded);
    signals.until_told(&server);
    server.close()
}

//! The store, as a command reaches it: through the running server's Unix socket, or opened by the command itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Failure;
use super::client::Client;
use super::output::tell;
use crate::config::Config;
use crate::gate::{Gate, Policy};
use crate::ledger::{EmbeddedLedger, Ledger, OpenError};
use crate::screening::Screening;
use crate::telemetry::Metrics;

/// Who holds the store.
pub(super) enum Store {
    /// A server, asked over its socket.
    Server(Client),
    /// This command.
    Own(Own),
}

/// The store, opened by this command.
pub(super) struct Own {
    pub runtime: tokio::runtime::Runtime,
    pub ledger: Arc<EmbeddedLedger>,
    pub screening: Arc<Screening>,
    pub policy: Policy,
}

/// The server where one answers, the store itself where nobody holds it.
pub(super) fn reach(config: &Config) -> Result<Store, Failure> {
    let socket = config.store.path.join(SOCKET);
    let unanswered = match Client::connect(&socket) {
        Ok(client) => return Ok(Store::Server(client)),
        Err(error) => error,
    };
    // Not there, or left behind by a server that was stopped hard: the lock tells whether one runs.
    let absent = matches!(
        unanswered.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    );
    if !absent {
        return Err(Failure::error(format_args!("{}: {unanswered}", socket.display())));
    }
    Own::open(config)
        .map(Store::Own)
        .map_err(|failure| held(failure, &socket, &unanswered))
}

enum OpenFailure {
    Held { path: std::path::PathBuf, pid: u32 },
    Other(String),
}

fn held(failure: OpenFailure, socket: &Path, unanswered: &io::Error) -> Failure {
    match failure {
        OpenFailure::Held { path, pid } => Failure::error(format_args!(
            "{} is held by process {pid}, but its socket {} does not answer ({unanswered}): is it starting, or another command?",
            path.display(),
            socket.display()
        )),
        OpenFailure::Other(message) => Failure::error(message),
    }
}

impl Own {
    fn open(config: &Config) -> Result<Self, OpenFailure> {
        let other = |error: &dyn std::fmt::Display| OpenFailure::Other(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| other(&error))?;
        let (ledger, _) = EmbeddedLedger::open(config.store.clone()).map_err(|error| match error {
            OpenError::Held { path, pid } => OpenFailure::Held { path, pid },
            error => other(&error),
        })?;
        let (screening, aside) = Screening::open(&config.store.path).map_err(|error| other(&error))?;
        for error in aside {
            tell(&format!("clapet: warning: a list was set aside: {error}"));
        }
        let policy = config.policy(&ledger.standing()).map_err(|error| other(&error))?;
        Ok(Self {
            runtime,
            ledger: Arc::new(ledger),
            screening: Arc::new(screening.keeping(config.store.retention.lists)),
            policy,
        })
    }

    /// The gate over the store.
    pub(super) fn gate(&self) -> Result<Gate, Failure> {
        let metrics = Metrics::new().map_err(Failure::error)?;
        let ledger: Arc<dyn Ledger> = Arc::<EmbeddedLedger>::clone(&self.ledger);
        Ok(Gate::new(
            self.policy.clone(),
            ledger,
            Arc::clone(&self.screening),
            Arc::new(metrics),
        ))
    }

    /// Flushes and closes.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.runtime
            .block_on(self.ledger.close().wait())
            .map_err(Failure::error)
    }
}

/// Name of the server's socket in the store's folder.
const SOCKET: &str = "clapet.sock";

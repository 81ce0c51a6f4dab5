//! HTTP, on TCP and on the Unix socket in the store's folder: health, metrics, decisions, and what the commands ask of a running
//! server. Wired by `serve`; holds no logic that the command line lacks.
//!
//! - [`router`] makes the routes for one kind of access; [`serve_tcp`] and [`serve_unix`] put them on a socket.
//! - [`Backend`] holds what the routes answer from, [`Host`] is the process around them.

mod access;
mod batch;
mod decision;
mod erasure;
mod evidence;
#[cfg(test)]
mod fixture;
mod listen;
mod openapi;
mod problem;
mod routes;
mod screening;
mod state;
mod stream;
mod suspension;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use chrono::{DateTime, Utc};

pub use access::{Access, Role, Token};
pub use decision::{Answer, Ask, Word, moment};
pub use erasure::forget;
pub use listen::{bind_unix, serve_tcp, serve_unix};
pub use problem::Problem;
pub use screening::ScreeningState;
pub use state::{ListenerState, State, StoreState, TrunkState};
pub use stream::Chunks;
pub use suspension::SuspensionState;
pub use upload::{Imported, RejectedLine};

use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::screening::Screening;
use crate::telemetry::Metrics;

/// What the routes answer from.
pub struct Backend {
    /// Decides.
    pub gate: Gate,
    /// Records.
    pub ledger: Arc<dyn Ledger>,
    /// Lists.
    pub screening: Arc<Screening>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The process around it.
    pub host: Arc<dyn Host>,
    /// The store's folder, where uploads wait to be read.
    pub store: PathBuf,
    /// The wall clock.
    pub clock: fn() -> DateTime<Utc>,
}

/// The process that serves the API. Its methods may block for as long as a file takes to read; they are called off the runtime's
/// workers.
pub trait Host: Send + Sync + 'static {
    /// For `/readyz`; quick.
    fn state(&self) -> State;

    /// The tokens in force; quick.
    fn tokens(&self) -> Arc<[Token]>;

    /// Reads the configuration anew and puts it in force, all or nothing. Gives its warnings, or why nothing changed.
    fn reload(&self) -> Result<Vec<String>, String>;

    /// Ranges or suspensions were recorded ([`Ledger::standing`]): the gate's roster is built anew.
    fn standing_changed(&self) -> Result<(), String>;
}

/// All routes, for requests that come in by `access`.
pub fn router(backend: Arc<Backend>, access: Access) -> Router {
    routes::router(backend, access)
}

#[cfg(test)]
mod tests;

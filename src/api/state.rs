//! What `/readyz` says: is the process ready to take calls, and what is degraded.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process, as `serve` sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct State {
    /// Calls are taken: sockets open, not draining, and the store able to reserve or the policy to forward without it.
    pub ready: bool,
    /// SIGTERM came.
    pub draining: bool,
    /// Sockets.
    pub listeners: Vec<ListenerState>,
    /// The store.
    pub store: StoreState,
    /// Trunks.
    pub trunks: Vec<TrunkState>,
    /// Anything else that somebody should look at, a line each.
    pub degraded: Vec<String>,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListenerState {
    /// Such as `udp://127.0.0.1:5060`, the port being the real one.
    pub address: String,
    /// Receives.
    pub up: bool,
}

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreState {
    /// Able to reserve.
    pub healthy: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The view was set aside at start and rebuilt from the journal.
    pub view_rebuilt: bool,
    /// Records decided but not yet on disk.
    pub journal_lag: u64,
    /// Live (professional, callee) records.
    pub records: u64,
}

/// A trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrunkState {
    /// Its id.
    pub id: String,
    /// In use.
    pub up: bool,
}

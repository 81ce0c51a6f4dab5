//! The SIP side: messages, transactions, peers, proxy logic and sockets. Knows no legal rule; it meets the legal side in
//! [`crate::gate::Question`] and [`crate::gate::Decision`] only.

pub mod message;

pub mod peer;

pub mod transaction;

pub mod proxy;

pub mod transport;

use std::net::SocketAddr;

/// Transport protocols, as in a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Which of our listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// Where a message came from or goes to: our socket, its transport, and the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Flow {
    pub listener: ListenerId,
    pub transport: Transport,
    pub remote: SocketAddr,
}

/// The two clocks, read once by the outermost loop for each batch of input.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Now {
    /// For timers.
    pub mono: std::time::Instant,
    /// For the law.
    pub wall: chrono::DateTime<chrono::Utc>,
}

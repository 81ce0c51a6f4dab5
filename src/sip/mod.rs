//! The SIP side: messages, transactions, peers, proxy logic and sockets. Knows no legal rule; it meets the legal side in
//! [`crate::gate::Question`] and [`crate::gate::Decision`] only.

mod hashing;
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

impl Transport {
    /// As in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
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
    /// Of a stream: the connection that a message came by, or is to go back by as long as it is there; `remote` is where a new one
    /// goes. `None`: datagrams, or whichever connection leads to `remote`.
    pub connection: Option<Connection>,
}

impl Flow {
    /// To an address, by no connection in particular.
    pub fn new(listener: ListenerId, transport: Transport, remote: SocketAddr) -> Self {
        Self {
            listener,
            transport,
            remote,
            connection: None,
        }
    }
}

/// Names one connection of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub std::num::NonZeroU64);

/// One connection, and whose its certificate says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Connection {
    pub id: ConnectionId,
    /// The source that a verified client certificate names.
    pub source: Option<crate::gate::SourceIndex>,
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

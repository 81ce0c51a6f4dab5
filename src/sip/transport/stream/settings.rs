//! How long and how many: what an operator may set of stream connections (`[sip.streams]`), and the bounds that are fixed.

use std::time::Duration;

/// Bounds on the connections of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Within this time a connection is through its TLS handshake, an inbound one has brought its first whole message or keep-alive,
    /// and a message that has begun is whole.
    pub handshake_timeout: Duration,
    /// Within this time an outbound connection is up, TLS included; below timer B, so that another trunk can still be tried.
    pub connect_timeout: Duration,
    /// Within this time the other end takes what is written to it.
    pub write_timeout: Duration,
    /// A connection by which nothing has come for so long is closed.
    pub idle_timeout: Duration,
    /// Outbound connections are kept alive by a ping (RFC 5626 §4.4.1) after so long without anything coming.
    pub keep_alive: Duration,
    /// Inbound connections at once, and outbound ones as well. Addresses of neither source nor trunk have a quarter of them.
    pub max_connections: usize,
    /// Inbound connections of one IPv4 address or IPv6 /64 at once, and outbound ones as well.
    pub max_per_address: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(4),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(1800),
            keep_alive: Duration::from_secs(90),
            max_connections: 2048,
            max_per_address: 512,
        }
    }
}

/// A ping of ours to somebody who has answered one before is answered within this time (RFC 5626 §4.4.1), or the connection is dead.
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Messages that may wait to be written to one connection.
pub(super) const QUEUE_MESSAGES: usize = 1024;

/// Bytes that may wait to be written to one connection. Who lets more pile up does not read: its connection is closed, since on a
/// stream a message that is left out is not sent again.
pub(super) const QUEUE_BYTES: usize = 1024 * 1024;

/// Events that may wait for a worker. Connections queue up in turn for a place, one message each, so that none comes before
/// another's only because it has more.
pub(super) const EVENTS: usize = 64;

/// Events that a worker takes at one turn.
pub(super) const EVENTS_A_TURN: usize = 64;

/// After a failed accept, for want of descriptors mostly, the next one waits so long.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes asked of a connection at one read.
pub(super) const READ: usize = 4096;

/// Messages are put together up to this size before they are written.
pub(super) const WRITE_TOGETHER: usize = 16 * 1024;

/// After a refusal, what still comes is read and thrown away for so long, or the reset that answers it could overtake the refusal.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Bytes thrown away so at most.
pub(super) const LINGER_BYTES: usize = 256 * 1024;

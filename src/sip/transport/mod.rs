//! Sockets: UDP in batches, framing and backpressure. `serve` owns one [`Sockets`] for each worker. Parses nothing beyond framing.
//!
//! A [`Flow`] names listener, transport and far end; stream transports stand beside UDP as further kinds of listeners, and
//! nothing above this room knows which kind a flow is.

mod errors;
mod receive;
mod send;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;

pub use udp::{BindError, Bound, bind_udp};

use self::receive::ReceiveBuffers;
use self::udp::UdpListener;
use super::{Flow, ListenerId, Transport};

/// Largest payload of a UDP datagram that can arrive (the length field counts the eight bytes of its own header; jumbograms
/// apart).
pub const MAX_DATAGRAM: usize = 65_535;

/// Datagrams that may wait for a socket to become writable, for each listener of a worker. At 2,000 calls a second this is some
/// 300 ms of traffic; SIP's retransmissions make good what is dropped beyond.
pub const SEND_QUEUE: usize = 4096;

/// Failed destinations kept between two looks at them; beyond, timers find out.
const MAX_FAILURES: usize = 256;

/// One worker's sockets: one for each listener, in the order of [`ListenerId`].
pub struct Sockets {
    udp: Vec<UdpListener>,
    buffers: ReceiveBuffers,
    failures: Vec<Flow>,
    next: usize,
}

impl Sockets {
    /// Takes bound sockets into the runtime of the calling thread. Must be called within it.
    pub fn new(bound: &[Bound]) -> io::Result<Self> {
        let udp = bound
            .iter()
            .enumerate()
            .map(|(position, bound)| UdpListener::new(ListenerId(u16::try_from(position).unwrap_or(u16::MAX)), bound))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            udp,
            buffers: ReceiveBuffers::new(),
            failures: Vec::new(),
            next: 0,
        })
    }

    /// Receives one batch from each listener that has something. Ready once at least one datagram is in `into`; keep-alives
    /// (RFC 5626 §4.4.1: over UDP a lone CRLF only holds a NAT binding open and is not answered) are left out.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>, into: &mut Vec<(Flow, Bytes)>) -> Poll<()> {
        let before = into.len();
        for turn in 0..self.udp.len() {
            let listener = (self.next + turn) % self.udp.len();
            self.udp[listener].poll_receive(cx, &mut self.buffers, into, &mut self.failures);
        }
        // Another one is first next time, so that no listener starves the others of the bound on a batch.
        self.next = self.next.wrapping_add(1) % self.udp.len().max(1);
        self.failures.truncate(MAX_FAILURES);
        if into.len() > before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Puts a message into its listener's bounded queue; [`Sockets::poll_flush`] sends it. A message for a listener or transport
    /// that is not here, or for which there is no room, is dropped and counted.
    pub fn send(&mut self, flow: Flow, bytes: Bytes) {
        match self.udp.get_mut(usize::from(flow.listener.0)) {
            Some(listener) if flow.transport == Transport::Udp => listener.queue(flow.remote, bytes),
            _ => self.failures.push(flow),
        }
    }

    /// Sends what is queued, in batches. Pending while a socket takes no more; the task is then woken when it does.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut flushed = Poll::Ready(());
        for listener in &mut self.udp {
            if listener.poll_flush(cx, &mut self.failures).is_pending() {
                flushed = Poll::Pending;
            }
        }
        self.failures.truncate(MAX_FAILURES);
        flushed
    }

    /// Destinations of which the network said since the last call that they cannot be reached (RFC 3261 §18.4).
    pub fn failures(&mut self) -> impl Iterator<Item = Flow> + '_ {
        self.failures.drain(..)
    }

    /// Is there something for [`Sockets::failures`] to tell?
    pub fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Messages dropped so far because a send queue was full.
    pub fn dropped(&self) -> u64 {
        self.udp.iter().map(UdpListener::dropped).sum()
    }

    /// Messages that wait to be sent.
    pub fn queued(&self) -> usize {
        self.udp.iter().map(UdpListener::queued).sum()
    }

    /// Addresses of the listeners, in the order of [`ListenerId`].
    pub fn locals(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.udp.iter().map(UdpListener::local)
    }
}

//! Sockets: UDP in batches, TCP and TLS connections, framing and backpressure. `serve` owns one [`Sockets`] for each worker. Parses
//! nothing beyond framing.
//!
//! A [`Flow`] names listener, transport and far end, and of a stream the connection; nothing above this room knows which kind a
//! flow is. A connection belongs to the worker that accepted or made it: other workers hand over what is to go by it.

mod bound;
mod errors;
mod receive;
mod send;
mod steering;
mod stream;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

pub use bound::{BindError, Bound, bind, bind_udp, steer};
pub use stream::{
    Connections, Fault, FaultCause, Frame, Framer, Identity, MAX_BODY, MAX_HEAD, StreamSettings, Tls, TlsError,
    authorities, system_authorities,
};

use self::bound::BoundSocket;
use self::receive::ReceiveBuffers;
use self::stream::Streams;
use self::udp::UdpListener;
use super::{Flow, ListenerId, Transport};

/// Largest payload of a UDP datagram that can arrive (the length field counts the eight bytes of its own header; jumbograms
/// apart).
pub const MAX_DATAGRAM: usize = 65_535;

/// Datagrams that may wait for a socket to become writable, for each listener of a worker. At 2,000 calls a second this is some
/// 300 ms of traffic; SIP's retransmissions make good what is dropped beyond.
pub const SEND_QUEUE: usize = 4096;

/// Workers that can share the sockets of a process: [`Failure`] names each by a bit.
pub const MAX_WORKERS: usize = u64::BITS as usize;

/// Failed destinations kept between two looks at them; beyond, timers find out.
const MAX_FAILURES: usize = 256;

/// A flow by which something could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As the proxy named it.
    pub flow: Flow,
    /// The workers in whose share of the calls it may matter, a bit each, the first worker's the lowest.
    pub workers: u64,
}

/// One worker's sockets: one for each listener, in the order of [`ListenerId`].
pub struct Sockets {
    /// `None` where the listener takes connections.
    udp: Vec<Option<UdpListener>>,
    streams: Streams,
    locals: Vec<SocketAddr>,
    buffers: ReceiveBuffers,
    unreachable: Vec<Flow>,
    failures: Vec<Failure>,
    next: usize,
    left_unread: bool,
}

impl Sockets {
    /// Takes bound sockets into the runtime of the calling thread, for the worker at that position. Must be called within it.
    pub fn new(bound: &[Bound], worker: usize, connections: &Arc<Connections>) -> io::Result<Self> {
        let mut udp = Vec::with_capacity(bound.len());
        let mut streams = Vec::new();
        for (bound, id) in bound.iter().zip((0..).map(ListenerId)) {
            udp.push(match &bound.socket {
                BoundSocket::Datagrams(sockets) => Some(UdpListener::new(id, bound.local, sockets)?),
                BoundSocket::Connections(transport, listener) => {
                    streams.push((id, *transport, bound.local, listener.try_clone()?));
                    None
                }
            });
        }
        Ok(Self {
            udp,
            streams: Streams::new(worker, streams.into_iter(), connections)?,
            locals: bound.iter().map(Bound::local).collect(),
            buffers: ReceiveBuffers::new(),
            unreachable: Vec::new(),
            failures: Vec::new(),
            next: 0,
            left_unread: false,
        })
    }

    /// From now on receives what comes by the datagram sockets of these workers, and of no others; a row holds what one worker has bound,
    /// in the order of [`ListenerId`]. Sending and connections stay as they are, and nothing that is on its way is lost.
    pub fn attend(&mut self, rows: &[&[Bound]]) -> io::Result<()> {
        for (at, listener) in self.udp.iter_mut().enumerate() {
            let Some(listener) = listener else { continue };
            let sockets: Vec<_> = rows
                .iter()
                .filter_map(|row| match &row.get(at)?.socket {
                    BoundSocket::Datagrams(sockets) => Some(sockets),
                    BoundSocket::Connections(..) => None,
                })
                .collect();
            listener.attend(&sockets)?;
        }
        Ok(())
    }

    /// Receives a few batches from each listener that has something. Ready once at least one message is in `into`; keep-alives
    /// (RFC 5626 §4.4.1: over UDP a lone CRLF only holds a NAT binding open and is not answered) are left out.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>, into: &mut Vec<(Flow, Bytes)>) -> Poll<()> {
        let before = into.len();
        let mut left_unread = false;
        for turn in 0..self.udp.len() {
            let listener = (self.next + turn) % self.udp.len();
            if let Some(listener) = &mut self.udp[listener] {
                left_unread |= listener.poll_receive(cx, &mut self.buffers, into, &mut self.unreachable);
            }
        }
        // Another one is first next time, so that no listener starves the others of the bound on a batch.
        self.next = self.next.wrapping_add(1) % self.udp.len().max(1);
        if self.streams.has_listeners() {
            left_unread |= self.streams.poll_receive(cx, into, &mut self.failures);
        }
        self.left_unread = left_unread;
        self.note_unreachable();
        if into.len() > before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Did the last [`Sockets::poll_receive`] stop at its bound, with more to be read?
    pub fn left_unread(&self) -> bool {
        self.left_unread
    }

    /// The worker that has the connection by which this flow goes, where it is another one: the message is to be handed to it.
    pub fn elsewhere(&self, flow: &Flow) -> Option<usize> {
        if flow.transport == Transport::Udp {
            return None;
        }
        self.streams.elsewhere(flow)
    }

    /// Puts a message into its listener's or connection's bounded queue; [`Sockets::poll_flush`] sends it. A message for a listener
    /// or transport that is not here, or for which there is no room, is dropped and counted. `sender`: the worker in whose share of the
    /// calls it is, which is told if it fails.
    pub fn send(&mut self, sender: usize, flow: Flow, bytes: Bytes) {
        if flow.transport != Transport::Udp {
            return self.streams.send(sender, flow, bytes, &mut self.failures);
        }
        match self.udp.get_mut(usize::from(flow.listener.0)) {
            Some(Some(listener)) => listener.queue(flow.remote, bytes),
            _ => self.unreachable.push(flow),
        }
    }

    /// Sends what is queued, in batches. Pending while a socket takes no more; the task is then woken when it does.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut flushed = Poll::Ready(());
        for listener in self.udp.iter_mut().flatten() {
            if listener.poll_flush(cx, &mut self.unreachable).is_pending() {
                flushed = Poll::Pending;
            }
        }
        self.note_unreachable();
        flushed
    }

    /// Flows of which the network said since the last call that nothing arrives by them (RFC 3261 §18.4).
    pub fn failures(&mut self) -> impl Iterator<Item = Failure> + '_ {
        self.note_unreachable();
        self.failures.drain(..)
    }

    /// Is there something for [`Sockets::failures`] to tell?
    pub fn has_failures(&self) -> bool {
        !self.failures.is_empty() || !self.unreachable.is_empty()
    }

    /// Lets the kernel drop `share` in a thousand of the new calls that come as datagrams, unread. An error where they were not
    /// steered ([`steer`]) or the kernel takes no filter.
    pub fn hold_back(&self, share: u32) -> io::Result<()> {
        self.udp
            .iter()
            .flatten()
            .try_for_each(|listener| listener.hold_back(share))
    }

    /// Takes over peers and certificates that [`Connections::replace`] has put in force.
    pub fn renew(&mut self) {
        self.streams.renew();
    }

    /// Connections need the runtime between two turns: whoever polls in a loop must yield to it.
    pub fn has_connections(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Messages dropped so far because a send queue was full or a connection gone.
    pub fn dropped(&self) -> u64 {
        let datagrams: u64 = self.udp.iter().flatten().map(UdpListener::dropped).sum();
        datagrams + self.streams.dropped()
    }

    /// Datagrams that wait to be sent.
    pub fn queued(&self) -> usize {
        self.udp.iter().flatten().map(UdpListener::queued).sum()
    }

    /// Bytes that wait to be written to connections.
    pub fn queued_bytes(&self) -> usize {
        self.streams.queued_bytes()
    }

    /// Addresses of the listeners, in the order of [`ListenerId`].
    pub fn locals(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.locals.iter().copied()
    }

    /// The kernel tells of an ICMP answer at any one of the sockets that share an address: it may be about any worker's datagram.
    fn note_unreachable(&mut self) {
        self.unreachable.truncate(MAX_FAILURES);
        let everybody = |flow| Failure {
            flow,
            workers: u64::MAX,
        };
        self.failures.extend(self.unreachable.drain(..).map(everybody));
    }
}

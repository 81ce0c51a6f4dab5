//! Connections of one worker: TCP and TLS. Each is a task of its own ([`connection`]); here is the table that finds the one a message
//! goes by, and what is told of those that end.
//!
//! A message goes by the connection that its flow names; where that is gone, or none is named, by one that already leads to the
//! address, ours or an inbound one (RFC 3261 §18), else by a new one. So a response goes back the way its request came, or to the
//! sender's `sent-by` by a new connection (§18.2.2). Further names of a client, such as RFC 5923's alias, are believed only as far as
//! its certificate goes.

mod connection;
mod framer;
mod listen;
mod outbox;
mod refusal;
mod registry;
mod settings;
#[cfg(test)]
mod tests;
mod times;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;
use smallvec::SmallVec;
use tokio::sync::mpsc;

use self::connection::{Ends, Event, Opened, Task};
use self::listen::Acceptor;
use self::outbox::{NotQueued, Outbox, outbox};
use self::registry::Way;
use self::settings::{EVENTS, EVENTS_A_TURN};
use super::Failure;
use crate::sip::message::Message;
use crate::sip::{Connection, ConnectionId, Flow, ListenerId, Transport};

pub use framer::{Fault, FaultCause, Frame, Framer, MAX_BODY, MAX_HEAD};
pub(super) use listen::bind;
pub use registry::Connections;
pub use settings::StreamSettings;
pub use tls::{Identity, Tls, TlsError, authorities, system_authorities};

/// One worker's connections.
pub(super) struct Streams {
    worker: usize,
    listeners: Vec<Listening>,
    connections: Arc<Connections>,
    events: mpsc::Receiver<Event>,
    /// For new tasks; also keeps the channel open.
    tell: mpsc::Sender<Event>,
    table: FxHashMap<ConnectionId, Entry>,
    by_remote: FxHashMap<(ListenerId, SocketAddr), ConnectionId>,
    dropped: u64,
}

#[derive(Clone, Copy)]
struct Listening {
    id: ListenerId,
    transport: Transport,
    local: SocketAddr,
}

struct Entry {
    /// With the connection named.
    flow: Flow,
    outbox: Outbox,
    inbound: bool,
    certificate: Option<CertificateDer<'static>>,
    /// Whether the client may be reached under another port has been looked at.
    alias_known: bool,
    /// Addresses under which the table finds it.
    addresses: SmallVec<[SocketAddr; 1]>,
    /// Workers that sent requests by it, a bit each: they are told when it ends.
    senders: u64,
}

impl Streams {
    /// Takes listening sockets into the runtime of the calling thread.
    pub(super) fn new(
        worker: usize,
        bound: impl Iterator<Item = (ListenerId, Transport, SocketAddr, std::net::TcpListener)>,
        connections: &Arc<Connections>,
    ) -> io::Result<Self> {
        let (tell, events) = mpsc::channel(EVENTS);
        let mut listeners = Vec::new();
        for (id, transport, local, socket) in bound {
            let acceptor = Acceptor {
                id,
                transport,
                local,
                worker,
                connections: Arc::clone(connections),
                events: tell.clone(),
            };
            tokio::spawn(acceptor.run(tokio::net::TcpListener::from_std(socket)?));
            listeners.push(Listening { id, transport, local });
        }
        Ok(Self {
            worker,
            listeners,
            connections: Arc::clone(connections),
            events,
            tell,
            table: FxHashMap::default(),
            by_remote: FxHashMap::default(),
            dropped: 0,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Takes what the connections tell, a bounded number of times.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<(Flow, Bytes)>,
        failures: &mut Vec<Failure>,
    ) -> bool {
        for _ in 0..EVENTS_A_TURN {
            match self.events.poll_recv(cx) {
                Poll::Ready(Some(Event::Message(id, bytes))) => {
                    self.look_for_alias(id, &bytes);
                    // Of a connection that was given up, nothing is wanted any more.
                    if let Some(entry) = self.table.get(&id) {
                        into.push((entry.flow, bytes));
                    }
                }
                Poll::Ready(Some(Event::Opened(opened))) => self.opened(*opened),
                Poll::Ready(Some(Event::Closed(id))) => self.remove(id, failures),
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        cx.waker().wake_by_ref();
        true
    }

    /// Where another worker has the connection that the flow goes by: which one.
    pub(super) fn elsewhere(&self, flow: &Flow) -> Option<usize> {
        let id = match flow.connection {
            Some(connection) => connection.id,
            None if self.find(flow).is_some() => return None,
            None => self
                .alike(flow)
                .find_map(|listener| self.connections.find(listener.id, flow.remote))?,
        };
        Some(Connections::worker(id)).filter(|worker| *worker != self.worker)
    }

    /// Queues a message, connecting where there is no connection. `sender`: the worker in whose share of the calls it is.
    pub(super) fn send(&mut self, sender: usize, flow: Flow, bytes: Bytes, failures: &mut Vec<Failure>) {
        let Some(id) = self.find(&flow).or_else(|| self.open(&flow)) else {
            self.dropped += 1;
            failures.push(Failure {
                flow: without_connection(flow),
                workers: bit(sender),
            });
            return;
        };
        let Some(entry) = self.table.get_mut(&id) else { return };
        if flow.connection.is_none() {
            entry.senders |= bit(sender);
        }
        match entry.outbox.push(bytes) {
            Ok(()) => {}
            Err(NotQueued::Full) => {
                self.dropped += 1;
                entry.outbox.stop();
                self.remove(id, failures);
            }
            Err(NotQueued::Gone) => {
                self.dropped += 1;
                self.remove(id, failures);
            }
        }
    }

    /// Looks again at whose the connections are, after peers changed.
    pub(super) fn renew(&mut self) {
        let in_force = self.connections.in_force();
        for entry in self.table.values_mut() {
            if let (Some(certificate), Some(connection)) = (&entry.certificate, &mut entry.flow.connection) {
                connection.source = tls::source(certificate, &in_force.peers, entry.flow.remote);
            }
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes that wait to be written.
    pub(super) fn queued_bytes(&self) -> usize {
        self.table.values().map(|entry| entry.outbox.waiting()).sum()
    }

    fn find(&self, flow: &Flow) -> Option<ConnectionId> {
        let named = flow.connection.map(|connection| connection.id);
        named.filter(|id| self.table.contains_key(id)).or_else(|| {
            self.alike(flow)
                .find_map(|listener| self.by_remote.get(&(listener.id, flow.remote)).copied())
        })
    }

    /// The flow's listener, and then the others of its transport: the same peer may have come by one of those.
    fn alike(&self, flow: &Flow) -> impl Iterator<Item = &Listening> {
        let (id, transport) = (flow.listener, flow.transport);
        let fits = move |listener: &&Listening| listener.transport == transport;
        let own = self
            .listeners
            .iter()
            .filter(fits)
            .filter(move |listener| listener.id == id);
        own.chain(
            self.listeners
                .iter()
                .filter(fits)
                .filter(move |listener| listener.id != id),
        )
    }

    fn open(&mut self, flow: &Flow) -> Option<ConnectionId> {
        let listener = *self
            .alike(flow)
            .next()
            .filter(|listener| listener.id == flow.listener)?;
        let permit = match self.connections.admit(flow.remote, Way::Outbound) {
            Ok(permit) => permit,
            Err(full) => {
                let refused = &self.connections.metrics.connections_refused;
                refused.with_label_values(&[full.as_str()]).inc();
                return None;
            }
        };
        let ends = Ends {
            id: self.connections.id(self.worker),
            listener: listener.id,
            transport: listener.transport,
            local: listener.local,
            remote: flow.remote,
        };
        let (outbox, written) = outbox();
        let task = Task {
            ends,
            connections: Arc::clone(&self.connections),
            events: self.tell.clone(),
            permit,
        };
        tokio::spawn(task.connect(outbox.clone(), written));
        self.insert(ends, outbox, false, None);
        Some(ends.id)
    }

    fn opened(&mut self, opened: Opened) {
        let Opened {
            ends,
            outbox,
            certificate,
        } = opened;
        self.insert(ends, outbox, true, certificate);
        self.connections.found_at(ends.listener, ends.remote, ends.id);
    }

    fn insert(&mut self, ends: Ends, outbox: Outbox, inbound: bool, certificate: Option<CertificateDer<'static>>) {
        let peers = &self.connections.in_force().peers;
        let source = certificate
            .as_ref()
            .and_then(|certificate| tls::source(certificate, peers, ends.remote));
        let entry = Entry {
            flow: Flow {
                listener: ends.listener,
                transport: ends.transport,
                remote: ends.remote,
                connection: Some(Connection { id: ends.id, source }),
            },
            outbox,
            inbound,
            alias_known: certificate.is_none(),
            certificate,
            addresses: SmallVec::from_elem(ends.remote, 1),
            senders: 0,
        };
        self.table.insert(ends.id, entry);
        self.by_remote.insert((ends.listener, ends.remote), ends.id);
    }

    /// RFC 5923 §5, once for each connection: a client whose certificate names the host in its Via, and who asks for it (`alias`),
    /// takes requests to its own port by the connection that it made.
    fn look_for_alias(&mut self, id: ConnectionId, bytes: &Bytes) {
        let Some(entry) = self.table.get_mut(&id).filter(|entry| !entry.alias_known) else {
            return;
        };
        entry.alias_known = true;
        let (Some(certificate), Ok(message)) = (&entry.certificate, Message::parse(bytes.clone())) else {
            return;
        };
        let Some(via) = message
            .via()
            .filter(|via| message.is_request() && via.param("alias").is_some())
        else {
            return;
        };
        if tls::names_host(certificate, via.sent_by.host) {
            let port = via.sent_by.port.unwrap_or(SIPS_PORT);
            let address = SocketAddr::new(entry.flow.remote.ip(), port);
            let listener = entry.flow.listener;
            entry.addresses.push(address);
            self.by_remote.insert((listener, address), id);
            self.connections.found_at(listener, address, id);
        }
    }

    fn remove(&mut self, id: ConnectionId, failures: &mut Vec<Failure>) {
        let Some(entry) = self.table.remove(&id) else { return };
        let listener = entry.flow.listener;
        for address in entry.addresses {
            if self.by_remote.get(&(listener, address)) == Some(&id) {
                self.by_remote.remove(&(listener, address));
            }
            if entry.inbound {
                self.connections.gone_from(listener, address, id);
            }
            if entry.senders != 0 {
                failures.push(Failure {
                    flow: Flow {
                        remote: address,
                        ..without_connection(entry.flow)
                    },
                    workers: entry.senders,
                });
            }
        }
    }
}

impl Drop for Streams {
    /// The worker ends, or starts anew: nobody finds its connections any more.
    fn drop(&mut self) {
        let ids: Vec<ConnectionId> = self.table.keys().copied().collect();
        let mut nobody_to_tell = Vec::new();
        for id in ids {
            self.remove(id, &mut nobody_to_tell);
        }
    }
}

fn without_connection(flow: Flow) -> Flow {
    Flow {
        connection: None,
        ..flow
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % 64)
}

/// Port of SIP over TLS (RFC 3261 §19.1.2).
const SIPS_PORT: u16 = 5061;

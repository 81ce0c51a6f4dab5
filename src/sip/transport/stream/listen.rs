//! Listening for connections: binding a socket for each worker, and the task that accepts on it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::connection::{Ends, Event, Task};
use super::registry::{Connections, Way};
use super::settings::ACCEPT_PAUSE;
use crate::sip::{ListenerId, Transport};

/// Connections that the kernel keeps for us to accept.
const BACKLOG: i32 = 1024;

/// Binds one listening socket for each of `workers` to the same address, as [`super::super::bind_udp`] does for datagrams.
pub(in super::super) fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let first = open(address, false)?;
    let local = first.local_addr()?.as_socket().unwrap_or(address);
    if workers > 1 {
        first.set_reuse_port(true)?;
    }
    first.listen(BACKLOG)?;
    let mut bound = vec![first.into()];
    for _ in 1..workers {
        let socket = open(local, true)?;
        socket.listen(BACKLOG)?;
        bound.push(socket.into());
    }
    Ok(bound)
}

fn open(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // An IPv4 peer has its own listener, so that one peer has one address.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // The connections of a process that has just ended do not keep its successor from listening.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One listener of one worker.
pub(super) struct Acceptor {
    pub(super) id: ListenerId,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) worker: usize,
    pub(super) connections: Arc<Connections>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Acceptor {
    /// Accepts until the runtime ends.
    pub(super) async fn run(self, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.accepted(stream, remote),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn accepted(&self, stream: tokio::net::TcpStream, remote: SocketAddr) {
        match self.connections.admit(remote, Way::Inbound) {
            Ok(permit) => {
                let task = Task {
                    ends: Ends {
                        id: self.connections.id(self.worker),
                        listener: self.id,
                        transport: self.transport,
                        local: self.local,
                        remote,
                    },
                    connections: Arc::clone(&self.connections),
                    events: self.events.clone(),
                    permit,
                };
                tokio::spawn(task.accepted(stream));
            }
            Err(full) => {
                let refused = &self.connections.metrics.connections_refused;
                refused.with_label_values(&[full.as_str()]).inc();
            }
        }
    }
}

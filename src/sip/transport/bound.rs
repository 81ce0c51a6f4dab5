//! Binding the sockets of a listener, before any worker runs: what cannot be bound stops the start.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::{steering, stream, udp};
use crate::sip::Transport;

/// A socket bound for one worker. The worker's runtime gets a duplicate, so that the port stays ours while a worker is replaced.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: BoundSocket,
    pub(super) local: SocketAddr,
}

#[derive(Debug)]
pub(super) enum BoundSocket {
    Datagrams(Datagrams),
    Connections(Transport, TcpListener),
}

/// One worker's sockets for datagrams: where they are not steered, either gets anything.
#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) all_else: UdpSocket,
    pub(super) new_calls: UdpSocket,
    pub(super) steered: bool,
}

impl Bound {
    /// Its address, with the real port where port 0 was asked for.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{}://{address} cannot be listened on: {source}", transport.as_str())]
#[allow(missing_docs)]
pub struct BindError {
    pub transport: Transport,
    pub address: SocketAddr,
    pub source: io::Error,
}

/// Binds one socket for each of `workers` to the same address; the kernel spreads the peers over them (`SO_REUSEPORT`). The first is
/// bound without sharing, so that an address that another process holds is an error, not a split of its traffic.
pub fn bind(transport: Transport, address: SocketAddr, workers: usize) -> Result<Vec<Bound>, BindError> {
    let failed = |source| BindError {
        transport,
        address,
        source,
    };
    match transport {
        Transport::Udp => udp::bind(address, workers).map_err(failed),
        Transport::Tcp | Transport::Tls => {
            let listeners = stream::bind(address, workers).map_err(failed)?;
            let local = listeners.first().map_or(Ok(address), TcpListener::local_addr);
            let local = local.map_err(failed)?;
            Ok(listeners
                .into_iter()
                .map(|listener| Bound {
                    socket: BoundSocket::Connections(transport, listener),
                    local,
                })
                .collect())
        }
    }
}

/// [`bind`] for datagrams.
pub fn bind_udp(address: SocketAddr, workers: usize) -> Result<Vec<Bound>, BindError> {
    bind(Transport::Udp, address, workers)
}

/// Has new calls come by a socket of their own ([`Sockets::hold_back`](super::Sockets::hold_back) drops them there). `bound` are all
/// workers' of one listener, and `advertised` is what it is called in our Record-Route. An error where the kernel does not take it: then
/// either socket gets anything, and nothing is held back.
pub fn steer(bound: &mut [Bound], advertised: &str) -> io::Result<()> {
    let workers = bound.len();
    for (position, Bound { socket, local }) in bound.iter_mut().enumerate() {
        let BoundSocket::Datagrams(sockets) = socket else {
            continue;
        };
        // For all that share the address.
        if position == 0 {
            let hosts = steering::hosts(*local, advertised);
            steering::steer(&sockets.all_else, *local, workers, &hosts)?;
        }
        sockets.steered = true;
    }
    Ok(())
}

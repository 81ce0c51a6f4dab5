//! One worker's UDP sockets of one listener: new calls have their own ([`steering`]), and everything is sent by the other. A worker may
//! receive by others' sockets too, while those rest.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Sleep, sleep};

use super::bound::{Bound, BoundSocket, Datagrams};
use super::receive::{Batch, ReceiveBuffers};
use super::send::SendQueue;
use super::{Flow, ListenerId, Transport, errors, steering};

/// Asked of the kernel for each socket's receive and send buffers, in bytes; it gives at most `net.core.rmem_max` and `wmem_max`. A worker that
/// is busy for some milliseconds must lose nothing.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// The same of the socket for new calls. Whoever waits there for longer than a tenth of a second is better dropped: what is behind it
/// would be late too, and the share that is let through could not follow the load.
const NEW_CALLS_BUFFER: usize = 512 * 1024;

/// Batches received at one wake-up, so that one listener's flood delays the other listeners and the timers by no more than these.
const BATCHES_A_TURN: usize = 2;

/// When a socket took no more, the queue is tried again after this time. Waiting for writability would cost a wake-up for every
/// datagram that leaves.
const RETRY_FULL: Duration = Duration::from_millis(1);

/// Errors that one turn puts up with before it lets the worker go on.
const ERRORS_A_TURN: usize = 8;

/// Binds the sockets of each of `workers` to the same address. The kernel numbers them in the order in which they are bound.
pub(super) fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<Bound>> {
    let first = open(address, SOCKET_BUFFER, false)?;
    let local = first.local_addr()?;
    Socket::set_reuse_port(&socket2::SockRef::from(&first), true)?;
    let mut all_else = first;
    let mut bound = Vec::with_capacity(workers);
    loop {
        let new_calls = open(local, NEW_CALLS_BUFFER, true)?;
        bound.push(Bound {
            socket: BoundSocket::Datagrams(Datagrams {
                all_else,
                new_calls,
                steered: false,
            }),
            local,
        });
        if bound.len() >= workers {
            return Ok(bound);
        }
        all_else = open(local, SOCKET_BUFFER, true)?;
    }
}

fn open(address: SocketAddr, receive_buffer: usize, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // An IPv4 peer has its own listener, so that one peer has one address.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(receive_buffer)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_reuse_port(share)?;
    errors::enable(&socket, address.is_ipv6())?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

pub(super) struct UdpListener {
    id: ListenerId,
    local: SocketAddr,
    outlet: UdpSocket,
    all_else: Vec<Inlet>,
    new_calls: Vec<Inlet>,
    steered: bool,
    queue: SendQueue,
    /// Runs while the socket took no more.
    full: Option<Pin<Box<Sleep>>>,
}

impl UdpListener {
    pub(super) fn new(id: ListenerId, local: SocketAddr, bound: &Datagrams) -> io::Result<Self> {
        let mut listener = Self {
            id,
            local,
            outlet: bound.all_else.try_clone()?,
            all_else: Vec::new(),
            new_calls: Vec::new(),
            steered: bound.steered,
            queue: SendQueue::default(),
            full: None,
        };
        listener.attend(&[bound])?;
        Ok(listener)
    }

    /// From now on receives by these sockets, and by no others.
    pub(super) fn attend(&mut self, sockets: &[&Datagrams]) -> io::Result<()> {
        self.all_else.clear();
        self.new_calls.clear();
        for bound in sockets {
            // Whoever had them before may have held something back.
            steering::hold_back(&bound.new_calls, 0)?;
            self.all_else.push(Inlet::new(self.id, self.local, &bound.all_else)?);
            self.new_calls.push(Inlet::new(self.id, self.local, &bound.new_calls)?);
        }
        Ok(())
    }

    pub(super) fn queue(&mut self, remote: SocketAddr, bytes: Bytes) {
        self.queue.push(remote, bytes);
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// New calls of which the kernel drops a share.
    pub(super) fn hold_back(&self, share: u32) -> io::Result<()> {
        if !self.steered {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut new_calls = self.new_calls.iter();
        new_calls.try_for_each(|inlet| steering::hold_back(inlet.socket.get_ref(), share))
    }

    /// Receives a few batches, of new calls last. True: it stopped short of an empty socket, and the task is woken again at once.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut ReceiveBuffers,
        into: &mut Vec<(Flow, Bytes)>,
        failures: &mut Vec<Flow>,
    ) -> bool {
        let mut left = false;
        for inlet in &mut self.all_else {
            left |= inlet.poll_receive(cx, BATCHES_A_TURN, buffers, into, failures);
        }
        let batches = if left { 1 } else { BATCHES_A_TURN };
        for inlet in &mut self.new_calls {
            left |= inlet.poll_receive(cx, batches, buffers, into, failures);
        }
        left
    }

    /// Sends until the queue is empty or the socket takes no more.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, failures: &mut Vec<Flow>) -> Poll<()> {
        if let Some(full) = &mut self.full {
            if full.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.full = None;
        }
        let mut retried = false;
        while let Some(first) = self.queue.first() {
            match self.queue.send_batch(&self.outlet) {
                Ok(()) => retried = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut full = Box::pin(sleep(RETRY_FULL));
                    let waits = full.as_mut().poll(cx).is_pending();
                    self.full = waits.then_some(full);
                    if waits {
                        return Poll::Pending;
                    }
                }
                // Either an older datagram's ICMP error, reported here, or this destination's own: the second time it is its own.
                Err(_) if !retried => {
                    retried = true;
                    drain_errors(self.id, &self.outlet, failures);
                }
                Err(_) => {
                    retried = false;
                    self.queue.drop_first();
                    failures.push(flow(self.id, first));
                }
            }
        }
        Poll::Ready(())
    }
}

/// A socket that is read.
struct Inlet {
    id: ListenerId,
    socket: Arc<AsyncFd<UdpSocket>>,
    state: UdpSocketState,
    /// Datagrams asked for at a time.
    batch: Batch,
    /// Resolves when something is in the error queue. The kernel may report what one socket sent at any that shares its address.
    watch: Pin<Box<dyn Future<Output = ()>>>,
}

impl Inlet {
    fn new(id: ListenerId, local: SocketAddr, bound: &UdpSocket) -> io::Result<Self> {
        // quinn-udp prepares a socket for QUIC, whose datagrams must never be fragmented; an INVITE above the MTU must be. Its state
        // is therefore made over a socket of no use, and only `recv`, which reads none of it, is called for ours.
        let aside = UdpSocket::bind(SocketAddr::new(local.ip(), 0))?;
        // Readable only: a socket registered for writing wakes its worker at every datagram that leaves. The replacement that tokio
        // names is unsafe, which this crate forbids; its ground, types that lie about their descriptor, does not touch a std socket.
        #[allow(deprecated)]
        let socket = Arc::new(AsyncFd::with_interest(bound.try_clone()?, Interest::READABLE)?);
        Ok(Self {
            id,
            watch: watch(Arc::clone(&socket)),
            socket,
            state: UdpSocketState::new((&aside).into())?,
            batch: Batch::default(),
        })
    }

    /// Receives a few batches. True: it stopped short of an empty socket, and the task is woken again at once.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut batches: usize,
        buffers: &mut ReceiveBuffers,
        into: &mut Vec<(Flow, Bytes)>,
        failures: &mut Vec<Flow>,
    ) -> bool {
        while self.watch.as_mut().poll(cx).is_ready() {
            self.watch = watch(Arc::clone(&self.socket));
            drain_errors(self.id, self.socket.get_ref(), failures);
        }
        let mut patience = ERRORS_A_TURN;
        while batches > 0 && patience > 0 {
            let Poll::Ready(Ok(mut readable)) = self.socket.poll_read_ready(cx) else {
                return false;
            };
            let received = readable.try_io(|socket| {
                buffers.receive(
                    &self.state,
                    socket.get_ref().into(),
                    &mut self.batch,
                    |remote, bytes| {
                        into.push((flow(self.id, remote), bytes));
                    },
                )
            });
            match received {
                // The socket is empty; the next look registers the task for what comes.
                Err(_) => {}
                Ok(Ok(true)) => batches -= 1,
                // The kernel had no more: whatever comes from now on is a new event, which the readiness taken back here does not
                // hide. So a look at an empty socket is saved.
                Ok(Ok(false)) => readable.clear_ready(),
                // An ICMP error that the socket reports instead of receiving; what it is about is in the error queue.
                Ok(Err(_)) => {
                    patience -= 1;
                    drain_errors(self.id, self.socket.get_ref(), failures);
                }
            }
        }
        cx.waker().wake_by_ref();
        true
    }
}

/// Reads the error queue of a listener's socket.
fn drain_errors(id: ListenerId, socket: &UdpSocket, failures: &mut Vec<Flow>) {
    errors::drain(socket, |remote| {
        let failed = flow(id, remote);
        if !failures.contains(&failed) {
            failures.push(failed);
        }
    });
}

/// Waits for an error. Readiness is taken back before the queue is read, so that an error that comes meanwhile is not missed.
fn watch(socket: Arc<AsyncFd<UdpSocket>>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        match socket.ready(Interest::ERROR).await {
            Ok(mut ready) => ready.clear_ready(),
            // The runtime is going away.
            Err(_) => std::future::pending().await,
        }
    })
}

fn flow(listener: ListenerId, remote: SocketAddr) -> Flow {
    Flow::new(listener, Transport::Udp, remote)
}

//! One connection's task: it connects or shakes hands, reads frames, answers pings, writes what is queued, and ends when either side
//! does or a time limit passes. It hands every message to its worker through one bounded channel, where all connections queue in
//! turn; it knows nothing of what messages mean.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::framer::{Fault, Frame, Framer};
use super::outbox::{Outbox, Written, outbox};
use super::refusal::refusal;
use super::registry::{Connections, Permit};
use super::settings::{LINGER, LINGER_BYTES, PONG_WITHIN, QUEUE_MESSAGES, READ, StreamSettings, WRITE_TOGETHER};
use super::times::{Cause, Due, Times};
use crate::sip::{ConnectionId, ListenerId, Transport};
use crate::telemetry::Malformed;

/// What a connection tells its worker.
pub(super) enum Event {
    /// An inbound connection is up. Before it, nothing was told of it.
    Opened(Box<Opened>),
    /// A whole message.
    Message(ConnectionId, Bytes),
    /// It is over; nothing more comes of it.
    Closed(ConnectionId),
}

/// An inbound connection.
pub(super) struct Opened {
    pub(super) ends: Ends,
    pub(super) outbox: Outbox,
    /// The client's certificate, verified.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

/// Between whom a connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) id: ConnectionId,
    pub(super) listener: ListenerId,
    pub(super) transport: Transport,
    pub(super) local: std::net::SocketAddr,
    pub(super) remote: std::net::SocketAddr,
}

/// What a connection's task is given.
pub(super) struct Task {
    pub(super) ends: Ends,
    pub(super) connections: Arc<Connections>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) permit: Permit,
}

impl Task {
    /// A connection that somebody made to us.
    pub(super) async fn accepted(self, stream: TcpStream) {
        let (outbox, written) = outbox();
        let opened = |certificate| {
            Event::Opened(Box::new(Opened {
                ends: self.ends,
                outbox: outbox.clone(),
                certificate,
            }))
        };
        let settings = &self.connections.settings;
        if self.ends.transport != Transport::Tls {
            if prepare(&stream, settings).is_ok() && self.events.send(opened(None)).await.is_ok() {
                self.run(stream, outbox, written, false).await;
            }
            return;
        }
        let Some(config) = self.connections.in_force().tls.server() else {
            return;
        };
        let handshake = async {
            prepare(&stream, settings)?;
            TlsAcceptor::from(config).accept(stream).await
        };
        let cause = match timeout(settings.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates();
                let certificate = shown
                    .and_then(|chain| chain.first())
                    .map(|leaf| leaf.clone().into_owned());
                if self.events.send(opened(certificate)).await.is_ok() {
                    self.run(stream, outbox, written, false).await;
                }
                return;
            }
            Ok(Err(error)) => {
                self.log("", &format!("TLS: {error}"));
                Cause::Tls
            }
            Err(_) => Cause::Handshake,
        };
        self.count_closed(cause);
    }

    /// A connection that we make. Its worker knows of it already, and queues to it meanwhile.
    pub(super) async fn connect(self, outbox: Outbox, written: Written) {
        let limit = self.connections.settings.connect_timeout;
        let started = Instant::now();
        let connected = timeout(limit, self.connected());
        let stream = tokio::select! {
            connected = connected => match connected {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) | Err(_) => return self.end(Cause::NotConnected).await,
            },
            () = written.stop.notified() => return self.end(Cause::Slow).await,
        };
        if self.ends.transport != Transport::Tls {
            return self.run(stream, outbox, written, true).await;
        }
        let Some(target) = self.connections.in_force().tls.target(self.ends.remote) else {
            self.log("", "no certification authority to verify this peer with");
            return self.end(Cause::Tls).await;
        };
        let left = limit.saturating_sub(started.elapsed());
        let handshake = TlsConnector::from(target.config).connect(target.name, stream);
        match timeout(left, handshake).await {
            Ok(Ok(stream)) => self.run(stream, outbox, written, true).await,
            Ok(Err(error)) => {
                self.log("", &format!("TLS: {error}"));
                self.end(Cause::Tls).await;
            }
            Err(_) => self.end(Cause::Handshake).await,
        }
    }

    async fn connected(&self) -> io::Result<TcpStream> {
        let Ends { local, remote, .. } = self.ends;
        let socket = if remote.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Peers know us by the address of the listener; the port is any.
        if !local.ip().is_unspecified() {
            socket.bind(std::net::SocketAddr::new(local.ip(), 0))?;
        }
        let stream = socket.connect(remote).await?;
        prepare(&stream, &self.connections.settings)?;
        Ok(stream)
    }

    async fn run<S: AsyncRead + AsyncWrite + Send>(self, stream: S, outbox: Outbox, written: Written, ours: bool) {
        let (reader, mut writer) = split(stream);
        let Written {
            mut queue,
            waiting,
            stop,
        } = written;
        let transport = match self.ends.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        let open = self.connections.metrics.connections.with_label_values(&[transport]);
        open.inc();
        let mut reading = Reading {
            task: &self,
            reader,
            framer: Framer::new(),
            outbox,
            ours,
        };
        let mut half_written = false;
        let ended = tokio::select! {
            ended = reading.run() => ended,
            cause = write(&mut writer, &mut queue, &waiting, &mut half_written, self.connections.settings.write_timeout) => Err(cause),
            () = stop.notified() => Err(Cause::Slow),
        };
        let cause = match ended {
            Ok(fault) => {
                self.refuse(&fault, &mut reading.reader, &mut writer, half_written)
                    .await;
                Cause::Fault
            }
            Err(cause) => cause,
        };
        // Says goodbye (TLS close_notify, FIN) where that does not take long.
        let _ = timeout(LINGER, writer.shutdown()).await;
        open.dec();
        self.end(cause).await;
    }

    /// Counts and answers what could not be read, then throws away what still comes.
    async fn refuse<S: AsyncRead + AsyncWrite>(
        &self,
        fault: &Fault,
        reader: &mut ReadHalf<S>,
        writer: &mut WriteHalf<S>,
        half_written: bool,
    ) {
        let metrics = &self.connections.metrics;
        metrics.parse_errors.with_label_values(&[fault.cause.as_str()]).inc();
        self.log(fault.cause.header(), fault.cause.as_str());
        let Some(answer) = refusal(fault, self.ends.remote, self.ends.id.0.get()).filter(|_| !half_written) else {
            return;
        };
        let _ = timeout(LINGER, async {
            writer.write_all(&answer).await?;
            writer.shutdown().await?;
            let mut thrown_away = vec![0; READ];
            let mut left = LINGER_BYTES;
            while left > 0 {
                let read = reader.read(&mut thrown_away).await?;
                left = if read == 0 { 0 } else { left.saturating_sub(read) };
            }
            io::Result::Ok(())
        })
        .await;
    }

    async fn end(self, cause: Cause) {
        self.count_closed(cause);
        let Self {
            ends, events, permit, ..
        } = self;
        drop(permit);
        // The worker is gone, and its table with it.
        let _ = events.send(Event::Closed(ends.id)).await;
    }

    fn count_closed(&self, cause: Cause) {
        let closed = &self.connections.metrics.connections_closed;
        closed.with_label_values(&[cause.as_str()]).inc();
    }

    fn log(&self, header: &str, cause: &str) {
        let what = Malformed {
            peer: self.ends.remote,
            header,
            cause,
        };
        self.connections.log.malformed(what, Instant::now());
    }
}

/// The reading half.
struct Reading<'a, S> {
    task: &'a Task,
    reader: ReadHalf<S>,
    framer: Framer,
    outbox: Outbox,
    /// We made the connection, so we keep it alive.
    ours: bool,
}

impl<S: AsyncRead + AsyncWrite> Reading<'_, S> {
    /// Reads until the connection ends, or brings something that cannot be read.
    async fn run(&mut self) -> Result<Fault, Cause> {
        let settings = &self.task.connections.settings;
        let mut times = Times::new(Instant::now(), self.ours, settings);
        loop {
            let (due, what) = times.next();
            self.framer.buffer().reserve(READ);
            let read = timeout_at(due.into(), self.reader.read_buf(self.framer.buffer())).await;
            let now = Instant::now();
            match read {
                Ok(Ok(0)) => return Err(Cause::Peer),
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(Cause::Broken),
                Err(_) => {
                    match what {
                        Due::Ping => self.answer(PING)?,
                        Due::Over(cause) => return Err(cause),
                    }
                    times.pinged(now);
                    continue;
                }
            }
            times.came(now);
            loop {
                match self.framer.next_frame() {
                    Ok(Some(Frame::Message(bytes))) => {
                        times.proven();
                        let message = Event::Message(self.task.ends.id, bytes);
                        // The worker is gone.
                        self.task.events.send(message).await.map_err(|_| Cause::Broken)?;
                    }
                    Ok(Some(Frame::Ping)) => {
                        times.proven();
                        self.answer(PONG)?;
                    }
                    Ok(Some(Frame::LineEnd)) => times.line_end(),
                    Ok(None) => break,
                    Err(fault) => return Ok(fault),
                }
            }
            // A worker that was busy meanwhile is no fault of the other end's.
            times.begun(self.framer.is_within_message(), Instant::now());
        }
    }

    fn answer(&self, line_ends: &'static [u8]) -> Result<(), Cause> {
        let queued = self.outbox.push(Bytes::from_static(line_ends));
        queued.map_err(|_| Cause::Slow)
    }
}

/// Writes what is queued until the connection ends; `half_written` while part of a message is out.
async fn write<S: AsyncWrite>(
    writer: &mut WriteHalf<S>,
    queue: &mut mpsc::Receiver<Bytes>,
    waiting: &AtomicUsize,
    half_written: &mut bool,
    limit: Duration,
) -> Cause {
    let mut taken = Vec::new();
    let mut together = BytesMut::new();
    loop {
        // Both ends of the queue are ours: it never closes while the connection is up.
        if queue.recv_many(&mut taken, QUEUE_MESSAGES).await == 0 {
            return Cause::Broken;
        }
        *half_written = true;
        let mut messages = taken.drain(..).peekable();
        while let Some(message) = messages.next() {
            let next = messages.peek().map_or(usize::MAX, Bytes::len);
            let is_alone = together.is_empty() && next > WRITE_TOGETHER - message.len().min(WRITE_TOGETHER);
            let bytes: &[u8] = if is_alone {
                &message
            } else {
                together.put_slice(&message);
                if together.len().saturating_add(next) <= WRITE_TOGETHER {
                    continue;
                }
                &together
            };
            match timeout(limit, writer.write_all(bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Cause::Broken,
                Err(_) => return Cause::Slow,
            }
            waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            together.clear();
        }
        match timeout(limit, writer.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Cause::Broken,
            Err(_) => return Cause::Slow,
        }
        *half_written = false;
    }
}

/// No waiting for more to send, and an end to connections whose other end no longer acknowledges.
fn prepare(stream: &TcpStream, settings: &StreamSettings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(settings.write_timeout.max(PONG_WITHIN)))?;
    // The kernel counts these in whole seconds.
    let time = settings.keep_alive.max(Duration::from_secs(1));
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(time))
}

/// RFC 5626 §4.4.1.
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

//! The sockets under the API: TCP, and the Unix socket in the store's folder whose peers are known by their credentials. Bounds
//! connections, header sizes and the time a client may take to send them.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Serves a router on a TCP socket until `stop` resolves and what is under way is answered.
pub async fn serve_tcp(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    serve(listener, router, stop).await;
}

/// Serves a router on the Unix socket until `stop` resolves and what is under way is answered. A peer that is neither this user
/// nor root is hung up on.
pub async fn serve_unix(listener: UnixListener, router: Router, stop: impl Future<Output = ()>) {
    serve(listener, router, stop).await;
}

/// A listening socket of either kind.
trait Listener {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection; `None`: one that is hung up on.
    fn next(&self) -> impl Future<Output = io::Result<Option<Self::Stream>>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<Option<TcpStream>> {
        let (stream, _) = self.accept().await?;
        // Answers are one small write each; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        Ok(Some(stream))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.accept().await?;
        Ok(Some(stream).filter(trusted))
    }
}

/// Binds the Unix socket, for this user alone. What lies at the path is removed: the caller holds the store's lock, so nobody
/// serves it.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own || peer.uid() == 0 => true,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "another user's connection to the Unix socket closed");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "connection to the Unix socket without credentials closed");
            false
        }
    }
}

async fn serve<L: Listener>(listener: L, router: Router, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // Before accepting: what is beyond the bound waits in the kernel's queue.
        let permit = tokio::select! {
            () = &mut stop => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.next() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(Some(stream)) => {
                let served = connection(stream, router.clone(), closed.clone());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Ok(None) => {}
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                tracing::warn!(%error, "the API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let _ = closing.send(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSE_WITHIN, finish).await;
}

async fn connection<S>(stream: S, router: Router, mut closed: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = async { let _ = closed.wait_for(|closed| *closed).await; } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "API connection");
    }
}

/// Connections at once on each socket.
const MAX_CONNECTIONS: usize = 256;

/// Headers of a request.
const MAX_HEADERS: usize = 64;

/// Bytes buffered for each connection, request line and headers included.
const MAX_BUFFER: usize = 64 << 10;

/// Time for a request's headers, and for an idle connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Time for what is under way when the process stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

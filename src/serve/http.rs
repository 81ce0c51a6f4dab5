//! The API on a thread and runtime of its own, so that a scrape or an import never delays a call.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::ServeError;
use crate::api::{Access, Backend, bind_unix, router, serve_tcp, serve_unix};

/// Name of the Unix socket below the store's path.
const UNIX_SOCKET: &str = "clapet.sock";

/// The API, running.
pub(super) struct Http {
    pub(super) address: SocketAddr,
    unix: PathBuf,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Http {
    /// Binds both sockets, then serves them.
    pub(super) fn start(listen: SocketAddr, backend: Arc<Backend>) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Api(listen.to_string(), source);
        let tcp = TcpListener::bind(listen).map_err(failed)?;
        tcp.set_nonblocking(true).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        let unix = backend.store.join(UNIX_SOCKET);
        let (stop, stopped) = watch::channel(false);
        let (ready, started) = std::sync::mpsc::channel();
        let path = unix.clone();
        let thread = std::thread::Builder::new()
            .name("api".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(fault) => return drop(ready.send(Err(fault))),
                };
                runtime.block_on(async move {
                    let both = || -> io::Result<_> { Ok((tokio::net::TcpListener::from_std(tcp)?, bind_unix(&path)?)) };
                    let (tcp, unix) = match both() {
                        Ok(both) => both,
                        Err(fault) => return drop(ready.send(Err(fault))),
                    };
                    let access = if address.ip().is_loopback() {
                        Access::Loopback
                    } else {
                        Access::Network
                    };
                    drop(ready.send(Ok(())));
                    tokio::join!(
                        serve_tcp(tcp, router(Arc::clone(&backend), access), until(stopped.clone())),
                        serve_unix(unix, router(backend, Access::Local), until(stopped)),
                    );
                });
            })
            .map_err(|fault| ServeError::SetUp("the API's thread", fault.to_string()))?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                address,
                unix,
                stop,
                thread,
            }),
            Ok(Err(source)) => Err(ServeError::Api(format!("{listen} and {}", unix.display()), source)),
            Err(_) => Err(ServeError::SetUp("the API", "its thread ended".into())),
        }
    }

    /// Answers what is under way and ends.
    pub(super) fn stop(self) {
        // No receiver: its thread is gone already.
        let _ = self.stop.send(true);
        let _ = self.thread.join();
        let _ = std::fs::remove_file(&self.unix);
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends it too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

//! SIGTERM and SIGINT (drain; a second one: at once), SIGHUP (reload), and what a panic may say.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{debug, error, info, warn};

use super::{ServeError, Server};
use std::sync::Arc;

/// The signals, listened to before the server comes up: one that arrives meanwhile is acted upon once it is up.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, ServeError> {
        let failed = |fault: std::io::Error| ServeError::SetUp("signals", fault.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let entered = runtime.enter();
        let [terminate, interrupt, hang_up] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        drop(entered);
        Ok(Self {
            runtime,
            terminate: terminate.map_err(failed)?,
            interrupt: interrupt.map_err(failed)?,
            hang_up: hang_up.map_err(failed)?,
        })
    }

    /// Waits for the signal that ends the server, then drains. Reloads meanwhile.
    pub(super) fn until_told(self, server: &Server) {
        let Self {
            runtime,
            mut terminate,
            mut interrupt,
            mut hang_up,
        } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    () = either(&mut terminate, &mut interrupt) => break,
                    Some(()) = hang_up.recv() => reload(server).await,
                }
            }
            info!("told to end; new calls get 503");
            server.drain(either(&mut terminate, &mut interrupt)).await;
        });
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Off this thread, since names may have to be looked up; SIGTERM is then still heard.
async fn reload(server: &Server) {
    let control = Arc::clone(server.control());
    match tokio::task::spawn_blocking(move || control.reload()).await {
        Ok(Ok(warnings)) => {
            for warning in warnings {
                warn!("{warning}");
            }
            info!("the configuration was reloaded");
        }
        Ok(Err(why)) => error!("the configuration was not reloaded, nothing changed: {why}"),
        Err(fault) => error!(%fault, "the reload failed, nothing more is known"),
    }
}

/// A panic's own text may quote a message, and with it a phone number: what everybody may read is where it happened.
pub(super) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        error!(%place, %thread, "a thread panicked");
        debug!(%panic, "what it said");
    }));
}

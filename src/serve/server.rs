//! Bringing a server up in order, and down again.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::Utc;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::control::{record_configuration, routing};
use super::dns::Dns;
use super::http::Http;
use super::named;
use super::resolve::keep_fresh;
use super::shard::Shards;
use super::shared::Shared;
use super::worker::{INBOX, Worker};
use super::{Addresses, Control, ServeError, WallClock};
use crate::api::{Backend, Host as _};
use crate::config::Config;
use crate::gate::Gate;
use crate::ledger::{EmbeddedLedger, Ledger, Opened, Options, StoreError, ViewState};
use crate::screening::Screening;
use crate::sip::ListenerId;
use crate::sip::proxy::{Listener, Settings};
use crate::sip::transport::{Bound, Connections, MAX_WORKERS, bind, steer};
use crate::telemetry::Metrics;

/// Questions that may wait for the store, shared out among the workers; beyond, 503.
const MAX_ASKS: usize = 20_000;

/// Transactions, shared out among the workers; beyond, new INVITEs get 503. A call being set up is two, and a hundred thousand must
/// always find room.
const MAX_TRANSACTIONS: usize = 400_000;

/// However many workers there are, each has room for so much.
const LEAST_ASKS: usize = 1_000;
const LEAST_TRANSACTIONS: usize = 20_000;

/// Timer C (RFC 3261 §16.6 step 11: above three minutes).
const TIMER_C: Duration = Duration::from_secs(185);

/// T1 (RFC 3261 §17.1.1.1).
const T1: Duration = Duration::from_millis(500);

/// How often a drain looks whether all is done.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// How long a start may wait for the names of trunks and sources.
const FIRST_NAMES: Duration = Duration::from_secs(2);

/// What a server needs beside its configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The file that a reload reads again.
    pub from: Option<PathBuf>,
    /// Where calls take the time of day from.
    pub clock: WallClock,
    /// Serve the API too.
    pub api: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            from: None,
            clock: WallClock::System,
            api: true,
        }
    }
}

/// A running server. Dropped without [`Server::close`], its workers end and its store is left as after a crash, which loses nothing.
pub struct Server {
    control: Arc<Control>,
    workers: Vec<JoinHandle<()>>,
    http: Option<Http>,
    addresses: Addresses,
    sip: Vec<SocketAddr>,
    store: PathBuf,
    drain: Duration,
    gate: Gate,
    ledger: Arc<dyn Ledger>,
    screening: Arc<Screening>,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Brings everything up; calls are taken when it returns.
    pub fn start(config: Config, setup: Setup) -> Result<Self, ServeError> {
        let count = config.sip.workers.clamp(1, MAX_WORKERS);
        let metrics = Metrics::new().map_err(|fault| ServeError::SetUp("the metrics", fault.to_string()))?;
        let metrics = Arc::new(metrics);
        let store = config.store.path.clone();
        let (ledger, opened) = EmbeddedLedger::open(Options {
            metrics: Some(Arc::clone(&metrics)),
            ..config.store.clone()
        })?;
        metrics
            .view_rebuilt
            .set(i64::from(matches!(opened.view, ViewState::SetAside { .. })));
        Addresses::remove(&store);
        let secret = ledger.secret().derive("sip routes and branches");
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let (screening, set_aside) = Screening::open(&store)?;
        let screening = Arc::new(screening.keeping(config.store.retention.lists));
        let mut findings = tell_opened(&opened);
        findings.extend(set_aside.iter().map(|fault| format!("a list was set aside: {fault}")));
        for finding in &findings {
            warn!("{finding}");
        }
        let policy = config.policy(&ledger.standing())?;
        let gate = Gate::new(
            policy,
            Arc::clone(&ledger),
            Arc::clone(&screening),
            Arc::clone(&metrics),
        );

        // One row a listener, one column a worker.
        let mut bound: Vec<Vec<Bound>> = config
            .sip
            .listen
            .iter()
            .map(|listen| bind(listen.transport, listen.address, count))
            .collect::<Result<_, _>>()?;
        let listeners: Vec<Listener> = config
            .sip
            .listen
            .iter()
            .zip(&bound)
            .enumerate()
            .map(|(position, (listen, sockets))| Listener {
                id: ListenerId(u16::try_from(position).unwrap_or(u16::MAX)),
                transport: listen.transport,
                advertise: listen
                    .advertise
                    .clone()
                    .unwrap_or_else(|| Arc::from(sockets[0].local().to_string())),
                local: sockets[0].local(),
            })
            .collect();
        for (listener, sockets) in listeners.iter().zip(&mut bound) {
            if let Err(fault) = steer(sockets, &listener.advertise) {
                warn!(listener = %listener.local, %fault, "new calls share their sockets with all else: under overload that is lost beside them");
            }
        }
        let named: Vec<String> = listeners
            .iter()
            .map(|listener| {
                format!(
                    "{}://{}",
                    format!("{:?}", listener.transport).to_lowercase(),
                    listener.local
                )
            })
            .collect();

        let connections = Connections::new(
            config.sip.streams.clone(),
            Arc::clone(&config.peers),
            Arc::clone(&config.sip.tls),
            Arc::clone(&metrics),
        );
        record_configuration(&*ledger, &config);
        let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(INBOX)).unzip();
        let shared = Arc::new(Shared::new(routing(&config), count));
        let drain = config.sip.drain;
        let api_listen = config.api.listen;
        let control = Arc::new(Control {
            from: setup.from,
            shared: Arc::clone(&shared),
            connections: Arc::clone(&connections),
            inboxes: inboxes.clone(),
            gate: gate.clone(),
            ledger: Arc::clone(&ledger),
            tokens: ArcSwap::from_pointee(Arc::clone(&config.api.tokens)),
            in_force: Mutex::new(config),
            listeners: named.clone(),
            findings,
            view_rebuilt: matches!(opened.view, ViewState::SetAside { .. }),
        });
        let mut server = Self {
            control: Arc::clone(&control),
            workers: Vec::with_capacity(count),
            http: None,
            addresses: Addresses {
                pid: std::process::id(),
                sip: named,
                api: None,
            },
            sip: listeners.iter().map(|listener| listener.local).collect(),
            store: store.clone(),
            drain,
            gate: gate.clone(),
            ledger: Arc::clone(&ledger),
            screening: Arc::clone(&screening),
            metrics: Arc::clone(&metrics),
        };

        let instance = random()?;
        let settings = (0..count).map(|_| {
            Ok(Settings {
                listeners: listeners.clone(),
                secret,
                instance: u32::from_le_bytes(instance),
                max_asks: (MAX_ASKS / count).max(LEAST_ASKS),
                max_transactions: (MAX_TRANSACTIONS / count).max(LEAST_TRANSACTIONS),
                timer_c: TIMER_C,
                t1: T1,
                seed: u64::from_le_bytes(random()?),
            })
        });
        let settings = settings.collect::<Result<Vec<_>, ServeError>>()?;
        let shards = Arc::new(Shards::new(&secret, settings, &shared, &metrics, setup.clock.now()));
        let mut rows: Vec<_> = bound.into_iter().map(Vec::into_iter).collect();
        let bound: Arc<[Vec<Bound>]> = (0..count)
            .map(|_| rows.iter_mut().filter_map(Iterator::next).collect())
            .collect();
        for (position, inbox) in receivers.into_iter().enumerate() {
            let worker = Worker {
                position,
                bound: Arc::clone(&bound),
                connections: Arc::clone(&connections),
                shared: Arc::clone(&shared),
                shards: Arc::clone(&shards),
                inbox,
                others: inboxes.clone(),
                gate: gate.clone(),
                metrics: Arc::clone(&metrics),
                clock: setup.clock.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{position}"))
                .spawn(move || worker.run())
                .map_err(|fault| ServeError::SetUp("a worker's thread", fault.to_string()))?;
            server.workers.push(thread);
        }
        server.watch_names(&control)?;
        if setup.api {
            let backend = Backend {
                gate,
                ledger,
                screening,
                metrics,
                host: control,
                store: store.clone(),
                clock: Utc::now,
            };
            let http = Http::start(api_listen, Arc::new(backend))?;
            server.addresses.api = Some(http.address);
            server.http = Some(http);
        }
        server
            .addresses
            .write(&store)
            .map_err(|source| ServeError::File { path: store, source })?;
        Ok(server)
    }

    /// Starts the thread that keeps the names of trunks and sources fresh. Where no address of one is known yet, waits for what it
    /// finds first, but not for long.
    fn watch_names(&mut self, control: &Arc<Control>) -> Result<(), ServeError> {
        let (looked, first) = std::sync::mpsc::sync_channel(1);
        let servers = control.nameservers();
        let lost = named::targets(&control.peers()).any(|(_, target, _)| target.is_lost());
        let control = Arc::clone(control);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|fault| ServeError::SetUp("the lookup of names", fault.to_string()))?;
        let thread = std::thread::Builder::new()
            .name("names".into())
            .spawn(move || {
                // Without name servers the addresses found at start stay.
                match runtime.block_on(async { Dns::new(&servers) }) {
                    Ok(dns) => runtime.block_on(keep_fresh(dns, control, looked)),
                    Err(fault) => warn!(fault, "names of trunks and sources are not looked up again"),
                }
            })
            .map_err(|fault| ServeError::SetUp("the lookup of names", fault.to_string()))?;
        self.workers.push(thread);
        if lost {
            // Nothing is ever sent: it ends when the thread lets go of its end.
            let _ = first.recv_timeout(FIRST_NAMES);
        }
        Ok(())
    }

    /// Says on stderr where the server listens and, where nobody configured anything, how to place the first call.
    pub fn tell(&self, embedded: bool) {
        let mut lines = vec![format!("clapet: takes calls on {}", self.addresses.sip.join(", "))];
        if let Some(api) = self.addresses.api {
            lines.push(format!(
                "clapet: API on http://{api} (/readyz, /metrics, POST /v1/decisions)"
            ));
        }
        if embedded {
            let sip = self
                .addresses
                .sip
                .first()
                .map_or("", |address| address.trim_start_matches("udp://"));
            lines.push(format!(
                "\nNo --config: the sample configuration is in force, loopback only, its store in {}.\n\
                 Place the first call (Debian: apt install sip-tester):\n\
                 \n\
                 \x20 sipp -sn uas -i 127.0.0.1 -p 5090 -bg                      # a carrier that answers\n\
                 \x20 sipp -sn uac -i 127.0.0.1 {sip} -s 0612345678 -m 1   # a call without a caller number: refused\n\
                 \n\
                 Ask without calling:\n\
                 \n\
                 \x20 clapet decide --from +33162001234 --to 0612345678\n\
                 \n\
                 Then copy config/clapet.toml, which explains every key, and start with --config FILE.\n\
                 `clapet demo` shows every rule at work.",
                self.store.display()
            ));
        }
        let mut stderr = io::stderr().lock();
        for line in lines {
            // A full disk behind stderr keeps no call waiting.
            let _ = writeln!(stderr, "{line}");
        }
        drop(stderr);
        info!(state = ?self.control.state().ready, "ready");
    }

    /// Handle for reload and drain.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Addresses of the SIP listeners, in the order of the configuration.
    pub fn sip(&self) -> &[SocketAddr] {
        &self.sip
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The store.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The lists.
    pub fn screening(&self) -> &Arc<Screening> {
        &self.screening
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Refuses new calls with 503 and waits for the pending ones, at most `[sip] drain` and no longer than until `hurry` resolves.
    pub(super) async fn drain(&self, hurry: impl Future<Output = ()>) {
        self.control.drain();
        let deadline = Instant::now() + self.drain;
        let done = async {
            while self.control.pending() > 0 && Instant::now() < deadline {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        tokio::select! {
            () = done => {}
            () = hurry => warn!("a second signal: not waiting any longer"),
        }
        info!(pending = self.control.pending(), "drained");
    }

    /// Ends workers and API and flushes the store. What is still pending counts, as after a crash.
    pub fn close(mut self) -> Result<(), ServeError> {
        self.end_workers();
        if let Some(http) = self.http.take() {
            http.stop();
        }
        Addresses::remove(&self.store);
        wait_for(self.ledger.close().wait())?;
        info!("the store is flushed and closed");
        Ok(())
    }

    fn end_workers(&mut self) {
        self.control.stop();
        for worker in self.workers.drain(..) {
            // It catches its panics; what it could not catch must not keep the store from being flushed.
            let _ = worker.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_workers();
        if let Some(http) = self.http.take() {
            http.stop();
        }
    }
}

/// What opening the store found: told in the log, kept for `/readyz`.
fn tell_opened(opened: &Opened) -> Vec<String> {
    info!(
        records = opened.records,
        replayed = opened.replayed,
        last = opened.last,
        took_ms = u64::try_from(opened.took.as_millis()).unwrap_or(u64::MAX),
        "the store is open"
    );
    let mut findings = Vec::new();
    if let ViewState::SetAside { why, folder } = &opened.view {
        findings.push(format!(
            "the view was damaged ({why}); it is set aside in {} and was rebuilt from the journal",
            folder.display()
        ));
    }
    if opened.torn > 0 {
        findings.push(format!(
            "{} bytes of a torn last batch were cut from the journal",
            opened.torn
        ));
    }
    if opened.unread > 0 {
        findings.push(format!(
            "{} journal records could not be read by this version",
            opened.unread
        ));
    }
    if opened.absorbed > 0 {
        info!(
            absorbed = opened.absorbed,
            "what a failed journal left aside is in it now"
        );
    }
    findings
}

fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|fault| ServeError::SetUp("randomness", fault.to_string()))?;
    Ok(bytes)
}

/// Waits on the calling thread for something that the store's threads bring about; needs no runtime.
pub(crate) fn wait_for<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

//! What may be done to a running server from outside its workers: reload, drain, stop, and what `/readyz` tells of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::named::{self, Named};
use super::shared::Shared;
use super::worker::Inbound;
use crate::api::{Host, ListenerState, State, StoreState, Token, TrunkState};
use crate::config::Config;
use crate::gate::{Gate, OnStoreFailure, SourcePolicy};
use crate::ledger::{Answer, Entry, Ledger, Recorded, StoreError};
use crate::sip::Transport;
use crate::sip::peer::{Access, Peers, Place, Source, Trunk};
use crate::sip::proxy::Routing;
use crate::sip::transport::{Connections, Tls};

/// A handle on a running server, shared with the API and the signals.
pub struct Control {
    /// Read again on reload; `None`: the embedded configuration, which never changes.
    pub(super) from: Option<PathBuf>,
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Arc<Connections>,
    pub(super) inboxes: Vec<mpsc::Sender<Inbound>>,
    pub(super) gate: Gate,
    pub(super) ledger: Arc<dyn Ledger>,
    /// In force; held while it is replaced, so that one replacement happens at a time.
    pub(super) in_force: Mutex<Config>,
    pub(super) tokens: arc_swap::ArcSwap<Arc<[Token]>>,
    /// Such as `udp://127.0.0.1:5060`.
    pub(super) listeners: Vec<String>,
    /// What the start found that somebody should look at.
    pub(super) findings: Vec<String>,
    pub(super) view_rebuilt: bool,
}

impl Control {
    /// Reads the configuration again and puts all of it in force but listening sockets, workers, API address and store; a bad file changes
    /// nothing. Gives what is accepted but should be looked at.
    pub fn reload(&self) -> Result<Vec<String>, String> {
        let Some(from) = &self.from else {
            return Err("the embedded configuration is in force; there is no file to read again".into());
        };
        let config = Config::load(from).map_err(|error| error.to_string())?;
        self.replace(config)
    }

    /// Puts another configuration in force, as [`Control::reload`] does.
    pub fn replace(&self, mut config: Config) -> Result<Vec<String>, String> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let mut warnings = config.warnings.clone();
        warnings.extend(needs_restart(&in_force, &config));
        keep_positions(&in_force, &mut config);
        let policy = config
            .policy(&self.ledger.standing())
            .map_err(|error| error.to_string())?;
        // The law before the routes: a position that a worker takes from new routes is always in the gate's roster.
        self.gate.set_policy(policy);
        self.connections.replace(Arc::clone(&config.peers), tls(&config));
        self.shared.set_routing(routing(&config));
        self.tokens.store(Arc::new(Arc::clone(&config.api.tokens)));
        self.wake();
        record_configuration(&*self.ledger, &config);
        config.sip.listen.clone_from(&in_force.sip.listen);
        config.sip.streams.clone_from(&in_force.sip.streams);
        config.sip.nameservers.clone_from(&in_force.sip.nameservers);
        config.sip.workers = in_force.sip.workers;
        config.api.listen = in_force.api.listen;
        config.store = in_force.store.clone();
        *in_force = config;
        Ok(warnings)
    }

    /// Builds the roster anew after ranges or suspensions were recorded.
    pub fn refresh(&self) -> Result<(), String> {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = in_force
            .policy(&self.ledger.standing())
            .map_err(|error| error.to_string())?;
        self.gate.set_policy(policy);
        Ok(())
    }

    /// Everybody in force.
    pub(super) fn peers(&self) -> Arc<Peers> {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&in_force.peers)
    }

    /// Transports and families (true: IPv4) of the sockets that targets are reached from.
    pub(super) fn sockets(&self) -> Vec<(Transport, bool)> {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let listen = in_force.sip.listen.iter();
        listen
            .map(|socket| (socket.transport, socket.address.is_ipv4()))
            .collect()
    }

    /// `[sip] nameservers`, as at start.
    pub(super) fn nameservers(&self) -> Vec<SocketAddr> {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        in_force.sip.nameservers.clone()
    }

    /// Names lead there. What is news is in force when this returns; gives for whom it was.
    pub(super) fn found(&self, found: &HashMap<Named, Vec<Place>>) -> Vec<Named> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let news = named::lead(&mut in_force.peers, found);
        if !news.is_empty() {
            // The certificate to expect before the route to where it is expected.
            self.connections.replace(Arc::clone(&in_force.peers), tls(&in_force));
            self.shared.set_routing(routing(&in_force));
            self.wake();
        }
        news
    }

    /// From now on new calls get 503.
    pub fn drain(&self) {
        self.shared.drain();
        self.wake();
    }

    /// Calls being set up, once draining: an upper bound until every worker has seen that it is.
    pub fn pending(&self) -> usize {
        self.shared.pending()
    }

    /// How often a worker had to be started anew after a panic.
    pub fn restarts(&self) -> u64 {
        self.shared.restarts()
    }

    /// Ends the workers.
    pub(super) fn stop(&self) {
        self.shared.stop();
        self.wake();
    }

    /// Has so many workers receive, as if the load had asked for it.
    #[cfg(test)]
    pub(super) fn receiving(&self, workers: usize) {
        self.shared.rota.set(workers);
        self.wake();
    }

    fn wake(&self) {
        for inbox in &self.inboxes {
            // A worker with a full inbox is awake, and looks at every turn.
            let _ = inbox.try_send(Inbound::Look);
        }
    }

    fn degraded(&self) -> Vec<String> {
        let mut degraded = self.findings.clone();
        degraded.extend(named::tell_lost(&self.peers()));
        if self.shared.restarts() > 0 {
            degraded.push(format!(
                "a worker panicked and was started anew, {} times",
                self.shared.restarts()
            ));
        }
        if self.shared.dropped() > 0 {
            degraded.push(format!(
                "{} messages were dropped at a full queue",
                self.shared.dropped()
            ));
        }
        degraded
    }
}

impl Host for Control {
    fn state(&self) -> State {
        let health = self.ledger.health();
        let policy = self.gate.policy();
        let draining = self.shared.is_draining();
        let degraded = self.degraded();
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        State {
            ready: !draining && (health.is_ok() || policy.on_store_failure == OnStoreFailure::Forward),
            draining,
            listeners: self
                .listeners
                .iter()
                .map(|address| ListenerState {
                    address: address.clone(),
                    up: !self.shared.is_stopping(),
                })
                .collect(),
            store: StoreState {
                healthy: health.is_ok(),
                why: health.err(),
                view_rebuilt: self.view_rebuilt,
                journal_lag: self.ledger.lag(),
                records: self.ledger.records(),
            },
            trunks: in_force
                .peers
                .trunks
                .iter()
                .map(|trunk| TrunkState {
                    id: trunk.id.to_string(),
                    up: !trunk.watch.health.is_down(),
                })
                .collect(),
            degraded,
        }
    }

    fn tokens(&self) -> Arc<[Token]> {
        Arc::clone(&self.tokens.load())
    }

    fn reload(&self) -> Result<Vec<String>, String> {
        Control::reload(self)
    }

    fn standing_changed(&self) -> Result<(), String> {
        self.refresh()
    }
}

/// The routes of a configuration.
pub(super) fn routing(config: &Config) -> Routing {
    Routing {
        peers: Arc::clone(&config.peers),
        plan: Arc::new(config.law.plan.clone()),
    }
}

/// Records which configuration and law are in force from now on, by the SHA-256 of their text (the configuration's with
/// defaults filled in and secrets masked).
pub(super) fn record_configuration(ledger: &dyn Ledger, config: &Config) {
    let mut entries = vec![Entry::Configuration {
        what: Arc::from("configuration"),
        sha256: Sha256::digest(config.effective()).into(),
    }];
    let law = match &config.law_file {
        None => Ok(include_bytes!("../../config/law/fr.toml").to_vec()),
        Some(file) => std::fs::read(file),
    };
    match law {
        Ok(text) => entries.push(Entry::Configuration {
            what: Arc::from("law"),
            sha256: Sha256::digest(text).into(),
        }),
        Err(fault) => warn!(%fault, "the law file can no longer be read; the journal holds no hash of it"),
    }
    let told = |recorded: Result<Recorded, StoreError>| match recorded {
        Ok(recorded) => info!(new = recorded.new, "configuration and law are in the journal"),
        Err(fault) => warn!(%fault, "configuration and law could not be recorded"),
    };
    match ledger.record(entries) {
        Answer::Ready(recorded) => told(recorded),
        Answer::Later(later) => told(super::server::wait_for(later)),
    }
}

/// What a reload cannot change.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut told = Vec::new();
    if old.sip.listen != new.sip.listen {
        told.push("sip.listen: takes effect at the next start".to_owned());
    }
    if old.sip.workers != new.sip.workers {
        told.push("sip.workers: takes effect at the next start".to_owned());
    }
    if old.sip.streams != new.sip.streams {
        told.push("sip.streams: takes effect at the next start".to_owned());
    }
    if old.sip.nameservers != new.sip.nameservers {
        told.push("sip.nameservers: takes effect at the next start".to_owned());
    }
    if old.api.listen != new.api.listen {
        told.push("api.listen: takes effect at the next start".to_owned());
    }
    if old.store.path != new.store.path || old.store.strict != new.store.strict {
        told.push("store: takes effect at the next start".to_owned());
    }
    told
}

/// Trunks keep what is known of their health, names where they were found to lead, and sources their positions, also when one before
/// them is taken away: that one stays, without an address and suspended. Workers see new routes a moment after the gate sees the new
/// roster, and a call judged in that moment must not be taken for another source's only because a table was added or removed further
/// up.
fn keep_positions(old: &Config, new: &mut Config) {
    let find = |id: &str| new.sources.iter().position(|source| &*source.id == id);
    let mut order: Vec<(SourcePolicy, Source)> = Vec::with_capacity(new.sources.len());
    for (policy, peer) in old.sources.iter().zip(&old.peers.sources) {
        order.push(match find(&policy.id) {
            Some(at) => {
                let mut same = new.peers.sources[at].clone();
                // What it has used of its limits is not forgotten.
                same.access.usage = Arc::clone(&peer.access.usage);
                (new.sources[at].clone(), same)
            }
            None => gone(policy, peer),
        });
    }
    for (policy, peer) in new.sources.iter().zip(&new.peers.sources) {
        if !old.sources.iter().any(|source| source.id == policy.id) {
            order.push((policy.clone(), peer.clone()));
        }
    }
    let mut peers = (*new.peers).clone();
    (new.sources, peers.sources) = order.into_iter().unzip();
    for trunk in &mut peers.trunks {
        let same = |old: &&Trunk| old.id == trunk.id && old.target.uri == trunk.target.uri;
        let old = old.peers.trunks.iter().find(same);
        if let Some(old) = old.filter(|_| trunk.watch.options.is_some()) {
            trunk.watch.health = Arc::clone(&old.watch.health);
        }
    }
    named::keep(&old.peers, &mut peers);
    new.peers = Arc::new(peers);
}

/// Certificates and authorities, with the addresses that names have been found to lead to.
fn tls(config: &Config) -> Arc<Tls> {
    let mut tls = (*config.sip.tls).clone();
    named::expect_certificates(&config.peers, &mut tls);
    Arc::new(tls)
}

/// A source that is no longer configured.
fn gone(policy: &SourcePolicy, peer: &Source) -> (SourcePolicy, Source) {
    let policy = SourcePolicy {
        professionals: Vec::new(),
        suspended: true,
        ..policy.clone()
    };
    let peer = Source {
        addresses: Vec::new(),
        certificate: None,
        trunks: Vec::new(),
        target: None,
        places: Vec::new(),
        inbound: Vec::new(),
        access: Access::default(),
        ..peer.clone()
    };
    (policy, peer)
}

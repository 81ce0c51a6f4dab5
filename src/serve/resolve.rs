//! Where the names of trunks and sources lead (RFC 3263), kept fresh in the background: a thread of its own looks every name up when
//! its time to live is over and puts what it finds in force. No call ever waits for it; a name that cannot be looked up keeps its last
//! addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use tracing::{info, warn};

use super::Control;
use super::named::{self, Named, Whose};
use crate::sip::Transport;
use crate::sip::message::Uri;
use crate::sip::peer::{Peers, Place};

/// What a name leads to, and for how long that holds. An empty list: the name exists no such records (RFC 2308).
pub(super) type Answer<T> = Result<(Vec<T>, Duration), String>;

/// A NAPTR record (RFC 3403) that says how SIP is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) service: String,
    pub(super) replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// The three questions that RFC 3263 asks.
#[allow(async_fn_in_trait)] // called on one thread only, by this module
pub(super) trait Names {
    async fn naptr(&self, name: &str) -> Answer<Naptr>;
    async fn srv(&self, name: &str) -> Answer<Srv>;
    async fn addresses(&self, name: &str) -> Answer<IpAddr>;
}

/// A target to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    host: String,
    port: Option<u16>,
    /// As the URI says.
    transport: Option<Transport>,
    secure: bool,
}

impl Wanted {
    /// `None` where the URI holds an address, or nothing to look up.
    pub(super) fn of(uri: &str) -> Option<Self> {
        let uri = Uri::parse(uri)?;
        let host = uri.host_port.filter(|host| host.ip().is_none())?;
        Some(Self {
            host: host.host.to_ascii_lowercase(),
            port: host.port,
            transport: uri.param("transport").and_then(|_| uri.transport()),
            secure: uri.scheme.eq_ignore_ascii_case("sips"),
        })
    }
}

/// Where a target is to be reached (RFC 3263 §4.1 and §4.2) from sockets of those transports and families (true: IPv4), and for how
/// long that holds.
pub(super) async fn find(names: &impl Names, wanted: &Wanted, sockets: &[(Transport, bool)]) -> Answer<Place> {
    let has = |transport: Transport| sockets.iter().any(|(own, _)| *own == transport);
    let default = if wanted.secure { Transport::Tls } else { Transport::Udp };
    let mut life = LONGEST;
    // A port or a transport leaves nothing for NAPTR to say.
    let mut services: Vec<(Transport, String)> = Vec::new();
    if wanted.port.is_none() {
        if let Some(transport) = wanted.transport {
            services.push((transport, srv_name(transport, wanted)));
        } else {
            let (mut records, ttl) = names.naptr(&wanted.host).await?;
            life = life.min(ttl);
            records.sort_by_key(|record| (record.order, record.preference));
            let usable = records.iter().filter_map(|record| {
                let transport = transport_of(&record.service, wanted.secure).filter(|one| has(*one))?;
                Some((transport, record.replacement.clone()))
            });
            services.extend(usable.take(MAX_RECORDS));
            if services.is_empty() {
                let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
                let ours = all.into_iter().filter(|one| has(*one));
                let fit = ours.filter(|one| !wanted.secure || *one == Transport::Tls);
                services.extend(fit.map(|transport| (transport, srv_name(transport, wanted))));
            }
        }
    }
    let mut places: Vec<Place> = Vec::new();
    for (rank, (transport, name)) in (0_u16..).zip(services) {
        let (records, ttl) = names.srv(&name).await?;
        life = life.min(ttl);
        for record in records.iter().filter(|record| record.target != ".").take(MAX_RECORDS) {
            let (addresses, ttl) = names.addresses(&record.target).await?;
            life = life.min(ttl);
            for address in addresses.into_iter().take(MAX_RECORDS) {
                places.push(Place {
                    address: SocketAddr::new(address, record.port),
                    transport,
                    // The services in their order, and the records of each in theirs.
                    priority: rank.saturating_mul(RANK).saturating_add(record.priority.min(RANK - 1)),
                    weight: record.weight,
                });
            }
        }
    }
    if places.is_empty() {
        let transport = wanted.transport.unwrap_or(default);
        let port = wanted
            .port
            .unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
        let (addresses, ttl) = names.addresses(&wanted.host).await?;
        life = life.min(ttl);
        places.extend(
            addresses
                .into_iter()
                .take(MAX_RECORDS)
                .zip(0_u16..)
                .map(|(address, priority)| Place {
                    address: SocketAddr::new(address, port),
                    transport,
                    priority,
                    weight: 0,
                }),
        );
    }
    places.retain(|place| sockets.contains(&(place.transport, place.address.is_ipv4())) && place.address.port() != 0);
    places.sort_by_key(|place| place.priority);
    places.truncate(MAX_RECORDS);
    Ok((places, life))
}

fn srv_name(transport: Transport, wanted: &Wanted) -> String {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp if wanted.secure => "_sips._tcp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{prefix}.{}", wanted.host)
}

/// The services of RFC 3263 §4.1 that we speak; `sips` goes over TLS only.
fn transport_of(service: &str, secure: bool) -> Option<Transport> {
    let known = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
    ];
    known
        .into_iter()
        .find(|(name, _)| service.eq_ignore_ascii_case(name))
        .map(|(_, transport)| transport)
        .filter(|transport| !secure || *transport == Transport::Tls)
}

/// One name in the care of the thread.
struct Kept {
    wanted: Wanted,
    due: Instant,
    failed: bool,
}

/// Keeps the names of the trunks and sources in force fresh until the server stops. `looked` is told once each has been looked up for
/// the first time.
pub(super) async fn keep_fresh(names: impl Names, control: Arc<Control>, looked: SyncSender<()>) {
    let stopped = async {
        while !control.shared.is_stopping() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // A name server that does not answer holds up no stop.
    tokio::select! {
        () = refresh(&names, &control, looked) => {}
        () = stopped => {}
    }
}

async fn refresh(names: &impl Names, control: &Control, looked: SyncSender<()>) {
    let mut kept: HashMap<Named, Kept> = HashMap::new();
    let mut looked = Some(looked);
    let mut known = Arc::default();
    let sockets = control.sockets();
    loop {
        let peers = control.peers();
        if !Arc::ptr_eq(&peers, &known) {
            keep(&mut kept, &peers);
            known = peers;
        }
        let now = Instant::now();
        let due = kept.iter().filter(|(_, one)| one.due <= now);
        let due: Vec<(Named, Wanted)> = due.map(|(named, one)| (named.clone(), one.wanted.clone())).collect();
        let answers = due.into_iter().map(async |(named, wanted)| {
            let found = find(names, &wanted, &sockets).await;
            (named, found)
        });
        let mut answers = std::pin::pin!(stream::iter(answers).buffer_unordered(AT_ONCE));
        let (mut found, mut told) = (HashMap::new(), now);
        while let Some((named, answer)) = answers.next().await {
            if let Some(one) = kept.get_mut(&named) {
                let places = one.take(&named.whose, answer);
                found.extend(places.map(|places| (named, places)));
            }
            // Putting many in force at once costs as much as one.
            if told.elapsed() >= TOGETHER {
                tell(control, &std::mem::take(&mut found));
                told = Instant::now();
            }
        }
        tell(control, &found);
        // Its receiver sees it go.
        drop(looked.take());
        tokio::time::sleep(LOOK).await;
    }
}

/// Those that are configured, and what is known of them already.
fn keep(kept: &mut HashMap<Named, Kept>, peers: &Peers) {
    let mut known = std::mem::take(kept);
    for (named, _, _) in named::targets(peers) {
        let Some(wanted) = Wanted::of(&named.uri) else { continue };
        let one = known.remove(&named).unwrap_or_else(|| Kept {
            wanted,
            due: Instant::now(),
            failed: false,
        });
        kept.insert(named, one);
    }
}

fn tell(control: &Control, found: &HashMap<Named, Vec<Place>>) {
    for named in control.found(found) {
        info!(target = %named.whose, uri = &*named.uri, "its name leads to other addresses");
    }
}

impl Kept {
    /// What a look-up found, if anything; when the next is due. That nothing was found is told once.
    fn take(&mut self, whose: &Whose, answer: Answer<Place>) -> Option<Vec<Place>> {
        let (life, places) = match answer {
            Ok((places, life)) if !places.is_empty() => {
                self.failed = false;
                (life.clamp(SHORTEST, LONGEST), Some(places))
            }
            other => {
                // A name that is not there yet is looked for again as soon as its zone lets us.
                let again = other.as_ref().map_or(AFTER_FAILURE, |(_, life)| *life);
                if !std::mem::replace(&mut self.failed, true) {
                    let why = other
                        .err()
                        .unwrap_or_else(|| "no address that a socket of ours reaches".into());
                    warn!(target = %whose, why, "its name cannot be found; what was found last is kept");
                }
                (again.clamp(SHORTEST, AFTER_FAILURE), None)
            }
        };
        self.due = Instant::now() + life;
        places
    }
}

/// How often the thread looks whether something is due, was reloaded, or is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Names looked up side by side: one whose name server does not answer holds up no other.
const AT_ONCE: usize = 32;

/// What is found within this time is put in force together.
const TOGETHER: Duration = Duration::from_secs(1);

/// Bounds of a time to live: neither a record of zero seconds nor one of a week rules us.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);

/// Until a name that could not be found is looked up again, at the latest.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// Records of one answer, and addresses of one target, that are looked at.
const MAX_RECORDS: usize = 16;

/// Priorities kept apart for each service.
const RANK: u16 = 4_096;

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;

//! `[sip]`, `[store]`, `[law]` and `[api]`: what the process listens on, keeps and obeys.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use super::parties::{Professionals, Sources};
use super::section::{Section, as_section, read};
use super::tls::TlsRead;
use super::values::{Id, ListenText, NetText, ServerText, Sha256, Span};
use super::{Api, Listen};
use crate::api::{Role, Token};
use crate::gate::OnStoreFailure;
use crate::law::{Law, LawError};
use crate::ledger;
use crate::screening::Screening;
use crate::sip::Transport;
use crate::sip::message::HostPort;
use crate::sip::transport::{MAX_WORKERS, StreamSettings};

/// `[sip]`, whole.
pub(super) struct SipRead {
    pub listen: Vec<Listen>,
    pub workers: usize,
    pub drain: Duration,
    pub emergency_from: Vec<IpNet>,
    pub silence_unknown: bool,
    pub nameservers: Vec<SocketAddr>,
    pub streams: StreamSettings,
    pub tls: TlsRead,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Unknown {
    Refuse,
    Silence,
}

/// `None`: it holds a fault, which is recorded.
pub(super) fn sip(root: &mut Section<'_, '_>) -> Option<SipRead> {
    let faults = root.faults;
    let mut read_whole = SipRead {
        listen: vec![Listen {
            transport: Transport::Udp,
            address: DEFAULT_SIP,
            advertise: None,
        }],
        workers: default_workers(),
        drain: DEFAULT_DRAIN,
        emergency_from: DEFAULT_EMERGENCY_FROM
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
        silence_unknown: false,
        nameservers: Vec::new(),
        streams: StreamSettings::default(),
        tls: TlsRead::default(),
    };
    let Some(mut section) = root.section("sip") else {
        return Some(read_whole);
    };
    let before = faults.count();
    let advertise: Option<Spanned<String>> = section.get("advertise");
    let advertise = advertise.and_then(|advertise| {
        let host = HostPort::parse(advertise.get_ref()).map(|_| Arc::from(advertise.get_ref().as_str()));
        if host.is_none() {
            faults.push(advertise.span(), ADVERTISE);
        }
        host
    });
    if let Some(written) = section.raw("listen") {
        read_whole.listen = listeners(written, advertise.as_ref(), &section);
    } else {
        read_whole.listen[0].advertise = advertise;
    }
    if let Some(unknown) = section.get::<Unknown>("unknown_sources") {
        read_whole.silence_unknown = *unknown.get_ref() == Unknown::Silence;
    }
    if let Some((_, nets)) = section.list::<NetText>("emergency_from") {
        read_whole.emergency_from = nets.into_iter().map(|net| net.into_inner().0).collect();
    }
    if let Some((_, servers)) = section.list::<ServerText>("nameservers") {
        if let Some(beyond) = servers.get(MAX_NAMESERVERS) {
            faults.push(beyond.span(), format!("expected at most {MAX_NAMESERVERS}"));
        }
        read_whole.nameservers = servers.into_iter().map(|server| server.into_inner().0).collect();
    }
    if let Some(workers) = section.get::<usize>("workers") {
        read_whole.workers = *workers.get_ref();
        if !(1..=MAX_WORKERS).contains(&read_whole.workers) {
            let message = format!("{}: expected 1 to {MAX_WORKERS} threads", read_whole.workers);
            faults.push(workers.span(), message);
        }
    }
    if let Some(drain) = duration(&mut section, "drain", Duration::ZERO, MAX_DRAIN) {
        read_whole.drain = drain;
    }
    read_whole.streams = super::tls::streams(&mut section);
    read_whole.tls = super::tls::tls(&mut section);
    let is_tls = |listen: &Listen| listen.transport == Transport::Tls;
    if read_whole.tls.identity.is_none() && read_whole.listen.iter().any(is_tls) && faults.count() == before {
        section.missing(
            "tls",
            "expected `[sip.tls]` with `certificate` and `key`, which tls:// shows",
        );
    }
    section.finish();
    (faults.count() == before).then_some(read_whole)
}

/// The list of sockets: texts, or tables with an address of their own to put in Via.
fn listeners(written: Spanned<DeValue<'_>>, advertise: Option<&Arc<str>>, section: &Section<'_, '_>) -> Vec<Listen> {
    let (faults, at) = (section.faults, written.span());
    let DeValue::Array(array) = written.into_inner() else {
        faults.push(at, "expected a list such as [\"udp://127.0.0.1:5060\"]");
        return Vec::new();
    };
    if array.is_empty() || array.len() > MAX_LISTENERS {
        faults.push(at, format!("expected 1 to {MAX_LISTENERS} sockets"));
        return Vec::new();
    }
    let mut listen: Vec<Listen> = Vec::with_capacity(array.len());
    for value in array {
        let at = value.span();
        let (socket, own) = if value.get_ref().is_table() {
            let Some(mut table) = as_section(value, faults) else {
                continue;
            };
            let socket = table.required::<ListenText>("address", "\"udp://192.0.2.1:5060\"");
            let own: Option<Spanned<String>> = table.get("advertise");
            table.finish();
            (socket, own)
        } else {
            (read::<ListenText>(value, faults), None)
        };
        let Some((transport, address)) = socket.map(|socket| socket.into_inner().0) else {
            continue;
        };
        let own = own.and_then(|own| {
            let host = HostPort::parse(own.get_ref()).map(|_| Arc::from(own.get_ref().as_str()));
            if host.is_none() {
                faults.push(own.span(), ADVERTISE);
            }
            host
        });
        let advertise = own.or_else(|| advertise.cloned());
        if address.ip().is_unspecified() && advertise.is_none() {
            faults.push(
                at.clone(),
                "no peer can answer to this address: expected `advertise = \"host\"` beside it",
            );
        }
        let taken = |other: &Listen| other.transport == transport && other.address == address;
        if address.port() != 0 && listen.iter().any(taken) {
            faults.push(at, "a second time the same socket: expected each once");
        }
        listen.push(Listen {
            transport,
            address,
            advertise,
        });
    }
    listen
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Durability {
    Strict,
    Interval,
}

/// The store's options and `answer_within`.
pub(super) fn store(root: &mut Section<'_, '_>) -> Option<(ledger::Options, Duration)> {
    let faults = root.faults;
    let mut options = ledger::Options {
        path: PathBuf::from(DEFAULT_STORE),
        ..ledger::Options::default()
    };
    let mut answer_within = DEFAULT_ANSWER_WITHIN;
    let Some(mut section) = root.section("store") else {
        return Some((options, answer_within));
    };
    let before = faults.count();
    if let Some(engine) = section
        .get::<String>("engine")
        .filter(|engine| engine.get_ref() != "embedded")
    {
        let written = engine.get_ref();
        faults.push(
            engine.span(),
            format!("engine {written:?} is not built: expected \"embedded\""),
        );
    }
    if let Some(durability) = section.get::<Durability>("durability") {
        options.strict = matches!(durability.get_ref(), Durability::Strict);
    }
    if let Some(within) = duration(&mut section, "answer_within", MIN_ANSWER_WITHIN, MAX_ANSWER_WITHIN) {
        answer_within = within;
    }
    if let Some(path) = section.get::<PathBuf>("path") {
        if path.get_ref().as_os_str().is_empty() {
            faults.push(path.span(), "expected a folder such as \"var/clapet\"");
        }
        options.path = path.into_inner();
    }
    if let Some(segment) = section.get::<u64>("segment_mib") {
        let mib = *segment.get_ref();
        if !SEGMENT_MIB.contains(&mib) {
            faults.push(segment.span(), format!("{mib}: expected 1 to {}", SEGMENT_MIB.end()));
        }
        options.segment_bytes = mib << 20;
    }
    if let Some(days) = days(&mut section, "cold_after_days", 1) {
        options.cold_after = days;
    }
    if let Some(kept) = section.section("retention_days") {
        options.retention = retention(kept);
    }
    section.finish();
    (faults.count() == before).then_some((options, answer_within))
}

/// `[store.retention_days]`.
fn retention(mut section: Section<'_, '_>) -> ledger::Retention {
    let mut kept = ledger::Retention::default();
    for (key, least, value) in [
        ("attempts", 1, &mut kept.attempts),
        ("decisions", 1, &mut kept.decisions),
        ("refusals", 1, &mut kept.refusals),
        // Proofs are kept as long as the law obliges to.
        ("consents", ledger::Retention::PROOF, &mut kept.consents),
        ("contracts", 1, &mut kept.contracts),
        ("operations", 1, &mut kept.operations),
        ("lists", Screening::LEAST_KEPT, &mut kept.lists),
    ] {
        if let Some(days) = days(&mut section, key, least) {
            *value = days;
        }
    }
    section.finish();
    kept
}

fn days(section: &mut Section<'_, '_>, key: &'static str, least: u32) -> Option<u32> {
    let written = section.get::<u32>(key)?;
    let days = *written.get_ref();
    if !(least..=MAX_DAYS).contains(&days) {
        let message = format!("{days}: expected {least} to {MAX_DAYS} days");
        section.faults.push(written.span(), message);
    }
    Some(days)
}

/// `[law]`, whole.
pub(super) struct LawRead {
    pub file: Option<PathBuf>,
    pub law: Arc<Law>,
    pub on_store_failure: OnStoreFailure,
    pub bloctel_required: bool,
}

/// The law and what the operator chose beside it; what is wrong in the law file goes to `laws`.
pub(super) fn law(root: &mut Section<'_, '_>, laws: &mut Vec<LawError>) -> Option<LawRead> {
    let mut read_whole = LawRead {
        file: None,
        law: Law::embedded(),
        on_store_failure: OnStoreFailure::Refuse,
        bloctel_required: false,
    };
    let Some(mut section) = root.section("law") else {
        return Some(read_whole);
    };
    let before = section.faults.count();
    if let Some(file) = section.get::<PathBuf>("file").map(Spanned::into_inner) {
        match Law::load(&file) {
            Ok(law) => read_whole.law = Arc::new(law),
            Err(error) => laws.push(error),
        }
        read_whole.file = Some(file);
    }
    if let Some(policy) = section.get("on_store_failure") {
        read_whole.on_store_failure = policy.into_inner();
    }
    if let Some(required) = section.get("bloctel_required") {
        read_whole.bloctel_required = required.into_inner();
    }
    let faults = section.faults;
    section.finish();
    (faults.count() == before && laws.is_empty()).then_some(read_whole)
}

/// `[api]` and its tokens.
pub(super) fn api(root: &mut Section<'_, '_>, professionals: &Professionals, sources: &Sources) -> Option<Api> {
    let faults = root.faults;
    let mut listen = DEFAULT_API;
    let Some(mut section) = root.section("api") else {
        return Some(Api {
            listen,
            tokens: Arc::default(),
        });
    };
    let before = faults.count();
    let address = section.get::<SocketAddr>("listen");
    if let Some(address) = &address {
        listen = *address.get_ref();
    }
    let mut tokens: Vec<Token> = Vec::new();
    for mut table in section.sections("token", MAX_TOKENS) {
        let at = table.at();
        if let Some(token) = token(&mut table, professionals, sources) {
            if tokens.iter().any(|other| other.name == token.name) {
                faults.push(
                    at.clone(),
                    format!("a second token called {}: expected a name of its own", token.name),
                );
            }
            if tokens.iter().any(|other| other.sha256 == token.sha256) {
                faults.push(at, "the same token a second time: expected each once");
            }
            tokens.push(token);
        }
        table.finish();
    }
    if let Some(address) = address.filter(|_| !listen.ip().is_loopback()) {
        faults.warn(
            address.span(),
            if tokens.is_empty() {
                "not on loopback and no [[api.token]]: only /healthz and /readyz will answer"
            } else {
                "not on loopback: tokens cross the network in clear unless something in front of it speaks TLS"
            },
        );
    }
    section.finish();
    (faults.count() == before).then(|| Api {
        listen,
        tokens: tokens.into(),
    })
}

fn token(table: &mut Section<'_, '_>, professionals: &Professionals, sources: &Sources) -> Option<Token> {
    let faults = table.faults;
    table.no_plaintext(&["token", "secret", "password"], "`sha256`, the token's SHA-256,");
    let name = table.required::<Id>("name", "\"grafana\"");
    let sha256 = table.required::<Sha256>("sha256", "\"…\"");
    let role = table.required::<Role>("role", "\"operator\"");
    let professional: Option<Spanned<String>> = table.get("professional");
    let professional = professional.and_then(|id| professionals.find(&id, faults));
    let source: Option<Spanned<String>> = table.get("source");
    let source = source.and_then(|id| {
        let found = sources.iter().find(|(_, policy, _)| *policy.id == **id.get_ref());
        if found.is_none() {
            faults.push(
                id.span(),
                format!("{:?}: expected the id of a [[source]]", id.get_ref()),
            );
        }
        found
    });
    Some(Token {
        name: name?.into_inner().0,
        sha256: sha256?.into_inner().0,
        role: role?.into_inner(),
        professional: professional.map(|(_, one)| Arc::clone(&one.id)),
        source: source.map(|(_, policy, _)| Arc::clone(&policy.id)),
    })
}

pub(super) fn duration(
    section: &mut Section<'_, '_>,
    key: &'static str,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    let written = section.get::<Span>(key)?;
    let span = written.get_ref().0;
    if !(least..=most).contains(&span) {
        let message = format!("{span:?}: expected {least:?} to {most:?}");
        section.faults.push(written.span(), message);
    }
    Some(span)
}

/// One for each core that the process may use (its affinity and its control group count), within bounds.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_BY_DEFAULT))
}

const ADVERTISE: &str = "expected a host, with a port or without, such as \"proxy.example.net\"";

const DEFAULT_SIP: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    super::values::SIP_PORT,
);

const DEFAULT_API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8060);

const DEFAULT_STORE: &str = "var/clapet";

/// Loopback and private networks (RFC 1918, RFC 4193).
const DEFAULT_EMERGENCY_FROM: [&str; 6] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
];

/// The more workers there are, the larger is the share of messages that come by another one's socket and are handed over.
const MOST_BY_DEFAULT: usize = 16;

const DEFAULT_DRAIN: Duration = Duration::from_secs(10);
const MAX_DRAIN: Duration = Duration::from_secs(600);

const DEFAULT_ANSWER_WITHIN: Duration = Duration::from_millis(500);
const MIN_ANSWER_WITHIN: Duration = Duration::from_millis(10);
/// Below timer B (RFC 3261 §17.1.1.2), after which the caller has given up.
const MAX_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Sizes of a journal segment.
const SEGMENT_MIB: std::ops::RangeInclusive<u64> = 1..=4096;
/// A hundred years.
const MAX_DAYS: u32 = 36_525;

const MAX_LISTENERS: usize = 64;
const MAX_NAMESERVERS: usize = 8;
const MAX_TOKENS: usize = 1_024;

//! The configuration in force as TOML text, for `check-config`: defaults filled in, secrets masked.

use std::time::Duration;

use serde::Serialize;

use super::Config;
use super::values::number_format_name;
use crate::api::Role;
use crate::gate::{Mode, NumberRange, OnStoreFailure};
use crate::law::{Holidays, Hours, Sector};
use crate::rules::{Dialling, Purpose};
use crate::sip::Transport;
use crate::sip::peer::Matcher;

pub(super) fn text(config: &Config) -> String {
    // Only a map with keys that are no text, or a table before a value, could fail; neither is in these types.
    toml::to_string(&whole(config)).unwrap_or_else(|error| format!("# {error}\n"))
}

#[derive(Serialize)]
struct Whole<'c> {
    sip: Sip<'c>,
    store: Store,
    api: Api<'c>,
    law: Law<'c>,
    professional: Vec<Professional<'c>>,
    source: Vec<Source<'c>>,
    trunk: Vec<Trunk<'c>>,
}

#[derive(Serialize)]
struct Sip<'c> {
    listen: Vec<Listen<'c>>,
    unknown_sources: &'static str,
    emergency_from: Vec<String>,
    workers: usize,
    drain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nameservers: Vec<String>,
    streams: Streams,
    tls: Option<Tls<'c>>,
}

#[derive(Serialize)]
struct Streams {
    handshake_timeout: String,
    connect_timeout: String,
    write_timeout: String,
    idle_timeout: String,
    keep_alive: String,
    max_connections: usize,
    max_per_address: usize,
}

#[derive(Serialize)]
struct Tls<'c> {
    certificate: Option<&'c std::path::Path>,
    key: Option<&'c std::path::Path>,
    client_ca: Option<&'c std::path::Path>,
    ca: Option<&'c std::path::Path>,
}

#[derive(Serialize)]
struct Listen<'c> {
    address: String,
    advertise: Option<&'c str>,
}

#[derive(Serialize)]
struct Store {
    engine: &'static str,
    durability: &'static str,
    answer_within: String,
    path: std::path::PathBuf,
    segment_mib: u64,
    cold_after_days: u32,
    retention_days: crate::ledger::Retention,
}

#[derive(Serialize)]
struct Api<'c> {
    listen: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token: Vec<Token<'c>>,
}

#[derive(Serialize)]
struct Token<'c> {
    name: &'c str,
    sha256: &'static str,
    role: Role,
    professional: Option<&'c str>,
    source: Option<&'c str>,
}

#[derive(Serialize)]
struct Law<'c> {
    file: Option<&'c std::path::Path>,
    on_store_failure: OnStoreFailure,
    bloctel_required: bool,
}

#[derive(Serialize)]
struct Professional<'c> {
    id: &'c str,
    name: &'c str,
    siren: String,
    sector: Option<Sector>,
    numbers: Vec<String>,
    mode: Mode,
    hours: Option<OwnHours>,
    frequency: Option<OwnFrequency>,
}

#[derive(Serialize)]
struct OwnHours {
    days: Vec<&'static str>,
    windows: Vec<[String; 2]>,
    holidays: Holidays,
}

#[derive(Serialize)]
struct OwnFrequency {
    max: u8,
    days: u16,
}

#[derive(Serialize)]
struct Source<'c> {
    id: &'c str,
    addresses: Vec<String>,
    digest: Option<Digest<'c>>,
    rate: Option<Rate>,
    concurrent_calls: Option<u32>,
    certificate: Option<&'c str>,
    professionals: Vec<&'c str>,
    dialling: Dialling,
    purpose: Purpose,
    professional_header: Option<&'c str>,
    purpose_header: Option<&'c str>,
    trunks: Vec<&'c str>,
    target: Option<&'c str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inbound: Vec<String>,
    refuse_with: u16,
    redress: Option<&'c str>,
}

#[derive(Serialize)]
struct Digest<'c> {
    realm: &'c str,
    username: &'c str,
    ha1: &'static str,
    ha1_md5: Option<&'static str>,
}

#[derive(Serialize)]
struct Rate {
    calls_per_second: u32,
    burst: u32,
}

#[derive(Serialize)]
struct Options {
    every: String,
    fail_after: u8,
    up_after: u8,
}

#[derive(Serialize)]
struct Trunk<'c> {
    id: &'c str,
    target: &'c str,
    addresses: Vec<String>,
    options: Option<Options>,
    priority: u16,
    weight: u16,
    number_format: &'static str,
    ca: Option<&'c std::path::Path>,
    large_over_tcp: bool,
}

fn whole(config: &Config) -> Whole<'_> {
    let peers = &config.peers;
    Whole {
        sip: Sip {
            listen: config
                .sip
                .listen
                .iter()
                .map(|socket| Listen {
                    address: format!("{}://{}", scheme(socket.transport), socket.address),
                    advertise: socket.advertise.as_deref(),
                })
                .collect(),
            unknown_sources: if peers.silence_unknown { "silence" } else { "refuse" },
            emergency_from: peers.emergency_from.iter().map(ToString::to_string).collect(),
            workers: config.sip.workers,
            drain: span(config.sip.drain),
            nameservers: config.sip.nameservers.iter().map(ToString::to_string).collect(),
            streams: streams(&config.sip.streams),
            tls: config.sip.tls_files.certificate.as_deref().map(|certificate| Tls {
                certificate: Some(certificate),
                key: config.sip.tls_files.key.as_deref(),
                client_ca: config.sip.tls_files.client_ca.as_deref(),
                ca: config.sip.tls_files.ca.as_deref(),
            }),
        },
        store: Store {
            engine: "embedded",
            durability: if config.store.strict { "strict" } else { "interval" },
            answer_within: span(config.answer_within),
            path: config.store.path.clone(),
            segment_mib: config.store.segment_bytes >> 20,
            cold_after_days: config.store.cold_after,
            retention_days: config.store.retention,
        },
        api: Api {
            listen: config.api.listen.to_string(),
            token: config.api.tokens.iter().map(token).collect(),
        },
        law: Law {
            file: config.law_file.as_deref(),
            on_store_failure: config.on_store_failure,
            bloctel_required: config.bloctel_required,
        },
        professional: config.professionals.iter().map(professional).collect(),
        source: (0..config.sources.len()).map(|at| source(config, at)).collect(),
        trunk: peers.trunks.iter().map(|one| trunk(config, one)).collect(),
    }
}

fn token(token: &crate::api::Token) -> Token<'_> {
    Token {
        name: &token.name,
        sha256: MASK,
        role: token.role,
        professional: token.professional.as_deref(),
        source: token.source.as_deref(),
    }
}

fn professional(one: &crate::gate::Professional) -> Professional<'_> {
    Professional {
        id: &one.id,
        name: &one.name,
        siren: one.siren.to_string(),
        sector: one.sector,
        numbers: one.numbers.iter().map(range).collect(),
        mode: one.mode,
        hours: one.own.hours.as_ref().map(hours),
        frequency: one.own.frequency.map(|own| OwnFrequency {
            max: own.max,
            days: own.days,
        }),
    }
}

fn hours(own: &Hours) -> OwnHours {
    let clock = |seconds: u32| format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    OwnHours {
        days: names
            .into_iter()
            .zip(own.days)
            .filter_map(|(name, on)| on.then_some(name))
            .collect(),
        windows: own
            .windows
            .iter()
            .map(|(from, until)| [clock(*from), clock(*until)])
            .collect(),
        holidays: own.holidays,
    }
}

fn source(config: &Config, at: usize) -> Source<'_> {
    let (policy, peer) = (&config.sources[at], &config.peers.sources[at]);
    let professional = |index: &crate::gate::ProfessionalIndex| &*config.professionals[usize::from(index.0)].id;
    Source {
        id: &policy.id,
        addresses: peer.addresses.iter().map(matcher).collect(),
        digest: peer.access.digest.as_ref().map(|digest| Digest {
            realm: &digest.realm,
            username: &digest.username,
            ha1: MASK,
            ha1_md5: (digest.sha256.is_some() && digest.md5.is_some()).then_some(MASK),
        }),
        rate: peer.access.rate.map(|rate| Rate {
            calls_per_second: rate.per_second,
            burst: rate.burst,
        }),
        concurrent_calls: peer.access.concurrent_calls,
        certificate: peer.certificate.as_deref(),
        professionals: policy.professionals.iter().map(professional).collect(),
        dialling: policy.dialling,
        purpose: policy.purpose,
        professional_header: peer.trusted.professional.as_deref(),
        purpose_header: peer.trusted.purpose.as_deref(),
        trunks: match &peer.trunks[..] {
            [] => config.peers.trunks.iter().map(|trunk| &*trunk.id).collect(),
            its => its
                .iter()
                .map(|at| &*config.peers.trunks[usize::from(at.0)].id)
                .collect(),
        },
        target: peer.target.as_ref().map(|target| &*target.uri),
        inbound: peer.inbound.iter().map(range).collect(),
        refuse_with: peer.refuse_with,
        redress: peer
            .redress
            .as_deref()
            .and_then(|value| value.strip_prefix('<')?.split('>').next()),
    }
}

fn streams(settings: &crate::sip::transport::StreamSettings) -> Streams {
    Streams {
        handshake_timeout: span(settings.handshake_timeout),
        connect_timeout: span(settings.connect_timeout),
        write_timeout: span(settings.write_timeout),
        idle_timeout: span(settings.idle_timeout),
        keep_alive: span(settings.keep_alive),
        max_connections: settings.max_connections,
        max_per_address: settings.max_per_address,
    }
}

fn trunk<'c>(config: &'c Config, trunk: &'c crate::sip::peer::Trunk) -> Trunk<'c> {
    let ca = config.sip.tls_files.trunk_ca.iter().find(|(id, _)| *id == trunk.id);
    Trunk {
        ca: ca.map(|(_, file)| file.as_path()),
        large_over_tcp: trunk.large_over_tcp,
        id: &trunk.id,
        target: &trunk.target.uri,
        addresses: trunk.addresses.iter().map(matcher).collect(),
        options: trunk.watch.options.map(|options| Options {
            every: span(options.every),
            fail_after: options.fail_after,
            up_after: options.up_after,
        }),
        priority: trunk.priority,
        weight: trunk.weight,
        number_format: number_format_name(trunk.number_format),
    }
}

fn range(range: &NumberRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("{}-{}", range.first, range.last)
    }
}

fn matcher(Matcher { net, port }: &Matcher) -> String {
    let net = if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    };
    match port {
        None => net,
        Some(port) if net.contains("::") || net.matches(':').count() > 1 => match net.split_once('/') {
            Some((address, length)) => format!("[{address}]/{length}:{port}"),
            None => format!("[{net}]:{port}"),
        },
        Some(port) => format!("{net}:{port}"),
    }
}

fn scheme(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

fn span(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

/// Stands where a secret or its hash would.
const MASK: &str = "********";

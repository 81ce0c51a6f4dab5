//! The questions of [`super::resolve`] put to name servers by `hickory-resolver`, which caches answers, negative ones too, for their
//! time to live and reads the hosts file.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::config::{NameServerConfig, NameServerConfigGroup, ResolverConfig};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::ProtoErrorKind;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::{ResolveError, TokioResolver};

use super::resolve::{Answer, Names, Naptr, Srv};

/// Name servers.
pub(super) struct Dns(TokioResolver);

impl Dns {
    /// These, in this order, or where there are none, those of `/etc/resolv.conf`.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|fault| fault.to_string())?
        } else {
            let mut group = NameServerConfigGroup::with_capacity(2 * servers.len());
            for server in servers {
                // What does not fit into a datagram comes over TCP.
                for protocol in [Protocol::Udp, Protocol::Tcp] {
                    group.push(NameServerConfig::new(*server, protocol));
                }
            }
            let config = ResolverConfig::from_parts(None, Vec::new(), group);
            TokioResolver::builder_with_config(config, TokioConnectionProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = TIMEOUT;
        options.negative_max_ttl = Some(NEGATIVE);
        Ok(Self(builder.build()))
    }

    async fn records<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        match self.0.lookup(absolute(name), kind).await {
            Ok(found) => Ok((found.iter().filter_map(read).collect(), left(found.valid_until()))),
            Err(fault) => none_or(&fault),
        }
    }
}

impl Names for Dns {
    async fn naptr(&self, name: &str) -> Answer<Naptr> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |data: &RData| match data {
            // RFC 3263 §4.1: only those that lead on to SRV.
            RData::NAPTR(record) if record.flags().eq_ignore_ascii_case(b"s") => Some(Naptr {
                order: record.order(),
                preference: record.preference(),
                service: text(record.services()),
                replacement: record.replacement().to_utf8(),
            }),
            _ => None,
        };
        self.records(name, RecordType::NAPTR, read).await
    }

    async fn srv(&self, name: &str) -> Answer<Srv> {
        let read = |data: &RData| match data {
            RData::SRV(record) => Some(Srv {
                priority: record.priority(),
                weight: record.weight(),
                port: record.port(),
                target: record.target().to_utf8(),
            }),
            _ => None,
        };
        self.records(name, RecordType::SRV, read).await
    }

    async fn addresses(&self, name: &str) -> Answer<IpAddr> {
        match self.0.lookup_ip(name).await {
            Ok(found) => Ok((found.iter().collect(), left(found.valid_until()))),
            Err(fault) => none_or(&fault),
        }
    }
}

/// Service names are looked up as they are, without the search list.
fn absolute(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

/// That there is no such record is an answer, for as long as it says; anything else is a failure.
fn none_or<T>(fault: &ResolveError) -> Answer<T> {
    match fault.proto().map(hickory_resolver::proto::ProtoError::kind) {
        Some(ProtoErrorKind::NoRecordsFound { negative_ttl, .. }) => {
            let said = negative_ttl.map_or(NEGATIVE, |seconds| Duration::from_secs(seconds.into()));
            Ok((Vec::new(), said.min(NEGATIVE)))
        }
        _ => Err(fault.to_string()),
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time for which the absence of a record is believed (RFC 2308 §5).
const NEGATIVE: Duration = Duration::from_secs(300);

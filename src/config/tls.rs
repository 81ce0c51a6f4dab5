//! `[sip.tls]`, `[sip.streams]` and the certificates that trunks and sources name: files read, and put together for the transport.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use toml::Spanned;

use super::section::{Faults, Section};
use super::server::duration;
use super::target::UsesTls;
use crate::sip::message::Uri;
use crate::sip::peer::Target;
use crate::sip::transport::{Identity, StreamSettings, Tls, authorities, system_authorities};

/// The files named in `[sip.tls]`, for `check-config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TlsFiles {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    /// Those of trunks, by the trunk's id.
    pub trunk_ca: Vec<(Arc<str>, PathBuf)>,
}

/// `[sip.tls]`, its files read.
#[derive(Default)]
pub(super) struct TlsRead {
    pub files: TlsFiles,
    pub identity: Option<Identity>,
    pub client_ca: Option<Arc<RootCertStore>>,
    pub ca: Option<Arc<RootCertStore>>,
}

/// Certification authorities and the file they are from.
pub(super) type Authorities = (PathBuf, Arc<RootCertStore>);

/// Targets that are reached by TLS, or may be, each with the place of its URI.
#[derive(Default)]
pub(super) struct TlsTargets(Vec<TlsTarget>);

struct TlsTarget {
    at: Range<usize>,
    /// `None`: its name could not be found yet.
    address: Option<SocketAddr>,
    host: String,
    ca: Option<Authorities>,
    /// It may turn out not to use TLS.
    perhaps: bool,
}

/// `[sip.tls]`.
pub(super) fn tls(sip: &mut Section<'_, '_>) -> TlsRead {
    let mut whole = TlsRead::default();
    let Some(mut section) = sip.section("tls") else {
        return whole;
    };
    let faults = section.faults;
    let certificate = section.required::<PathBuf>("certificate", "\"/etc/clapet/certificate.pem\"");
    let key = section.required::<PathBuf>("key", "\"/etc/clapet/key.pem\"");
    if let (Some(certificate), Some(key)) = (certificate, key) {
        match Identity::load(certificate.get_ref(), key.get_ref()) {
            Ok(identity) => whole.identity = Some(identity),
            Err(error) => faults.push(certificate.span(), error.to_string()),
        }
        whole.files.certificate = Some(certificate.into_inner());
        whole.files.key = Some(key.into_inner());
    }
    (whole.files.client_ca, whole.client_ca) = self::authorities_at(&mut section, "client_ca").unzip();
    (whole.files.ca, whole.ca) = self::authorities_at(&mut section, "ca").unzip();
    section.finish();
    whole
}

/// A file of certification authorities.
pub(super) fn authorities_at(section: &mut Section<'_, '_>, key: &'static str) -> Option<Authorities> {
    let file: Spanned<PathBuf> = section.get(key)?;
    match authorities(file.get_ref()) {
        Ok(roots) => Some((file.into_inner(), roots)),
        Err(error) => {
            section.faults.push(file.span(), error.to_string());
            None
        }
    }
}

impl TlsTargets {
    /// Notes how a target is to be verified wherever it is reached by TLS.
    pub(super) fn add(
        &mut self,
        at: Range<usize>,
        target: &Target,
        uses_tls: UsesTls,
        ca: Option<Authorities>,
        faults: &Faults,
    ) {
        let perhaps = match uses_tls {
            UsesTls::Always => false,
            UsesTls::Perhaps => true,
            UsesTls::Never => return,
        };
        let host = Uri::parse(&target.uri).and_then(|uri| Some(uri.host_port?.host.to_ascii_lowercase()));
        let host = host.unwrap_or_else(|| target.address.ip().to_string());
        // What a name without a transport leads to by TLS is told once it is found.
        let address = Some(target.address).filter(|_| !perhaps && !target.is_lost());
        let same = |other: &&TlsTarget| other.host == host || (address.is_some() && other.address == address);
        match self.0.iter().find(same) {
            Some(other) if other.host != host || other.ca.as_ref().map(|ca| &ca.0) != ca.as_ref().map(|ca| &ca.0) => {
                let message = format!(
                    "another target at {} has another host or `ca`: expected one",
                    address.map_or(host, |address| address.to_string())
                );
                faults.push(at, message);
            }
            Some(other) if other.address == address && other.perhaps == perhaps => {}
            _ => self.0.push(TlsTarget {
                at,
                address,
                host,
                ca,
                perhaps,
            }),
        }
    }

    /// Everything together; faults are recorded.
    pub(super) fn build(self, read: &TlsRead, at: Range<usize>, faults: &Faults) -> Tls {
        if read.identity.is_none() && self.0.iter().all(|target| target.perhaps && target.ca.is_none()) {
            return Tls::default();
        }
        let ca = read.ca.clone().unwrap_or_else(system_authorities);
        let identity = read.identity.as_ref();
        let mut tls = match Tls::new(identity, read.client_ca.clone(), &ca) {
            Ok(tls) => tls,
            Err(error) => {
                faults.push(at, format!("[sip.tls]: {error}"));
                return Tls::default();
            }
        };
        for target in self.0 {
            let ca = target.ca.as_ref().map(|(_, roots)| roots);
            // Whoever has no `ca` of its own is verified as all are, once it is known to use TLS.
            if target.perhaps && ca.is_none() {
                continue;
            }
            if let Err(error) = tls.add_target(target.address, &target.host, identity, ca) {
                faults.push(target.at, error.to_string());
            }
        }
        tls
    }
}

/// `[sip.streams]`.
pub(super) fn streams(sip: &mut Section<'_, '_>) -> StreamSettings {
    let mut settings = StreamSettings::default();
    let Some(mut section) = sip.section("streams") else {
        return settings;
    };
    let StreamSettings {
        handshake_timeout,
        connect_timeout,
        write_timeout,
        idle_timeout,
        keep_alive,
        max_connections,
        max_per_address,
    } = &mut settings;
    for (key, value, most) in [
        ("handshake_timeout", handshake_timeout, MAX_HANDSHAKE),
        ("connect_timeout", connect_timeout, MAX_CONNECT),
        ("write_timeout", write_timeout, MAX_WRITE),
        ("idle_timeout", idle_timeout, MAX_IDLE),
        ("keep_alive", keep_alive, MAX_IDLE),
    ] {
        if let Some(written) = duration(&mut section, key, LEAST, most) {
            *value = written;
        }
    }
    for (key, value) in [
        ("max_connections", max_connections),
        ("max_per_address", max_per_address),
    ] {
        let Some(written) = section.get::<usize>(key) else {
            continue;
        };
        if !(1..=MAX_CONNECTIONS).contains(written.get_ref()) {
            let message = format!("{}: expected 1 to {MAX_CONNECTIONS}", written.get_ref());
            section.faults.push(written.span(), message);
        }
        *value = written.into_inner();
    }
    section.finish();
    settings
}

const LEAST: Duration = Duration::from_millis(10);
const MAX_HANDSHAKE: Duration = Duration::from_secs(60);
/// Below timer B (RFC 3261 §17.1.1.2), so that another trunk can still be tried.
const MAX_CONNECT: Duration = Duration::from_secs(20);
const MAX_WRITE: Duration = Duration::from_secs(60);
const MAX_IDLE: Duration = Duration::from_secs(24 * 3600);
const MAX_CONNECTIONS: usize = 1_000_000;

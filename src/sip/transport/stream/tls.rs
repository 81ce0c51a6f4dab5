//! Certificates: what our TLS listeners show, whom they believe, and what we expect of those we connect to. Read from files by
//! `config`, kept in force by [`super::Connections`]; rustls does the work, with ring.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::gate::SourceIndex;
use crate::sip::peer::Peers;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is no PEM, or cannot be read.
    #[error("{file}: {why}", file = file.display())]
    #[allow(missing_docs)]
    File { file: PathBuf, why: String },
    /// A host that no certificate can name.
    #[error("{0:?}: expected a host name or an address that a certificate can name")]
    Name(String),
    /// Certificate and key, or what they are used for, do not fit.
    #[error(transparent)]
    Unfit(#[from] rustls::Error),
    /// Nobody would be believed.
    #[error("no certification authority: expected a `ca` file, since the system has none")]
    NoAuthority,
}

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads two PEM files.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
            file: key.to_owned(),
            why: format!("expected a private key as PEM: {error}"),
        })?;
        Ok(Self { chain, key })
    }
}

/// Reads certification authorities from a PEM file.
pub fn authorities(file: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::File {
            file: file.to_owned(),
            why: format!("expected certification authorities: {error}"),
        })?;
    }
    Ok(Arc::new(roots))
}

/// The system's certification authorities; those that cannot be read are left out, as every program does.
pub fn system_authorities() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

/// All of TLS that is in force. The default has no certificate and believes nobody.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    /// By host, in lower case, as the target's URI names it (RFC 5922 §7.1: the name asked for is the one that must be shown, not one
    /// that DNS gave).
    hosts: FxHashMap<String, TlsTarget>,
    targets: FxHashMap<SocketAddr, TlsTarget>,
}

/// How a configured target is connected to.
#[derive(Clone, Debug)]
pub(super) struct TlsTarget {
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<ClientConfig>,
}

impl Tls {
    /// `identity` is shown by listeners, and to trunks that ask for it; `client_ca` signs the certificates of clients that show one;
    /// `ca` those of whom we connect to.
    pub fn new(
        identity: Option<&Identity>,
        client_ca: Option<Arc<RootCertStore>>,
        ca: &Arc<RootCertStore>,
    ) -> Result<Self, TlsError> {
        let server = identity
            .map(|identity| server_config(identity, client_ca))
            .transpose()?;
        let client = match client_config(identity, ca) {
            Ok(client) => Some(client),
            Err(TlsError::NoAuthority) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            server,
            client,
            hosts: FxHashMap::default(),
            targets: FxHashMap::default(),
        })
    }

    /// A target whose certificate must name `host`, signed by one of `ca`, or else of those of [`Tls::new`]. Its address may be
    /// told later ([`Tls::lead`]).
    pub fn add_target(
        &mut self,
        address: Option<SocketAddr>,
        host: &str,
        identity: Option<&Identity>,
        ca: Option<&Arc<RootCertStore>>,
    ) -> Result<(), TlsError> {
        let config = match ca {
            Some(ca) => client_config(identity, ca)?,
            None => self.client.clone().ok_or(TlsError::NoAuthority)?,
        };
        let name = server_name(host)?;
        let target = TlsTarget { name, config };
        if let Some(address) = address {
            self.targets.insert(address, target.clone());
        }
        self.hosts.insert(host.to_ascii_lowercase(), target);
        Ok(())
    }

    /// A target's host is found at that address: whoever answers there must show the host's certificate, also where nobody knew
    /// before that it speaks TLS.
    pub fn lead(&mut self, host: &str, address: SocketAddr) {
        let known = self.hosts.get(&host.to_ascii_lowercase()).cloned();
        let target = known.or_else(|| {
            Some(TlsTarget {
                name: server_name(host).ok()?,
                config: self.client.clone()?,
            })
        });
        if let Some(target) = target {
            self.targets.insert(address, target);
        }
    }

    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.server.clone()
    }

    /// Whoever is no configured target must show a certificate for its address.
    pub(super) fn target(&self, address: SocketAddr) -> Option<TlsTarget> {
        let known = self.targets.get(&address).cloned();
        known.or_else(|| {
            Some(TlsTarget {
                name: ServerName::IpAddress(address.ip().to_canonical().into()),
                config: self.client.clone()?,
            })
        })
    }
}

/// The source that a verified client certificate names, if it may come from that address: its SAN is the source's `certificate`,
/// letter for letter, without wildcards (RFC 5922 §7.2).
pub(super) fn source(certificate: &CertificateDer<'_>, peers: &Peers, remote: SocketAddr) -> Option<SourceIndex> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let names = |wanted: &str| {
        let mut dns = parsed.valid_dns_names();
        let mut uris = parsed.valid_uri_names();
        let is_address = || {
            let name = ServerName::try_from(wanted).ok();
            name.filter(|name| matches!(name, ServerName::IpAddress(_)))
                .is_some_and(|name| parsed.verify_is_valid_for_subject_name(&name).is_ok())
        };
        dns.any(|name| name.eq_ignore_ascii_case(wanted))
            || uris.any(|name| name.eq_ignore_ascii_case(wanted))
            || is_address()
    };
    let may_come_from = |source: &crate::sip::peer::Source| {
        let address = remote.ip().to_canonical();
        source.addresses.is_empty()
            || source
                .addresses
                .iter()
                .any(|matcher| matcher.net.contains(&address) && matcher.port.is_none_or(|port| port == remote.port()))
    };
    peers
        .sources
        .iter()
        .zip(0_u16..)
        .find(|(source, _)| source.certificate.as_deref().is_some_and(names) && may_come_from(source))
        .map(|(_, index)| SourceIndex(index))
}

/// Does a verified certificate name that host?
pub(super) fn names_host(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'));
    let parsed = webpki::EndEntityCert::try_from(certificate);
    match (parsed, name) {
        (Ok(parsed), Ok(name)) => parsed.verify_is_valid_for_subject_name(&name).is_ok(),
        _ => false,
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File {
        file: file.to_owned(),
        why,
    };
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| failed(format!("expected certificates as PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(failed("expected at least one certificate as PEM".to_owned()));
    }
    Ok(certificates)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server_config(identity: &Identity, client_ca: Option<Arc<RootCertStore>>) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    Ok(Arc::new(config))
}

fn client_config(identity: Option<&Identity>, ca: &Arc<RootCertStore>) -> Result<Arc<ClientConfig>, TlsError> {
    if ca.is_empty() {
        return Err(TlsError::NoAuthority);
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(ca));
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

//! A certification authority of the test's own, and the files of what it signs. Made as the test runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certification authority.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key as files.
pub struct Signed {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Its files go into a folder of its name.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let authority = Self {
            folder: folder.join(name),
            issuer,
        };
        fs::create_dir_all(&authority.folder).expect("a folder");
        fs::write(authority.file(), authority.issuer.pem()).expect("written");
        authority
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// For a host name or an address.
    pub fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let signed = Signed {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        fs::write(&signed.certificate, certificate.pem()).expect("written");
        fs::write(&signed.key, key.serialize_pem()).expect("written");
        signed
    }

    /// A client that believes whom this authority signed, with a certificate or without.
    pub fn client(&self, own: Option<&Signed>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own.read();
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Arc::new(config)
    }

    /// `[sip.tls]` of a proxy called `proxy.example` that believes whom this authority signed.
    pub fn proxy(&self) -> String {
        let own = self.sign("proxy.example");
        format!(
            "[sip.tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n",
            own.certificate.display().to_string(),
            own.key.display().to_string(),
            self.file().display().to_string()
        )
    }
}

impl Signed {
    /// A server that shows it and asks its clients for none.
    pub fn server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.read();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        Arc::new(config)
    }

    fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        (
            vec![certificate],
            PrivateKeyDer::from_pem_file(&self.key).expect("a key"),
        )
    }
}

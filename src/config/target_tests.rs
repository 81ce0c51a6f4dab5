//! Which targets TLS may lead to, and how long their names are looked up.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::config::{Config, ConfigError};

#[test]
fn a_look_up_that_takes_too_long_is_not_waited_for() {
    assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
    let (hold, held) = mpsc::channel::<()>();
    let given = within(Duration::from_millis(1), move || held.recv().is_ok());
    assert_eq!(given, None);
    drop(hold);
    assert_eq!(within(Duration::ZERO, || 1), None, "the time is used up");
}

/// The files of a proxy's certificate, which is also the one authority.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["proxy.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        for name in ["one.pem", "two.pem"] {
            std::fs::write(folder.path().join(name), certificate.pem()).unwrap();
        }
        std::fs::write(folder.path().join("key"), key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Sockets, and trunks of these targets, each with the name of its `ca`'s file or none.
    fn read(&self, listen: &str, trunks: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let (certificate, key) = (self.path("one.pem"), self.path("key"));
        let head = format!(
            "[sip]\nlisten = [{listen}]\nnameservers = [\"192.0.2.53\"]\n\
             [sip.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        );
        let trunks = trunks.iter().enumerate().map(|(number, (target, ca))| {
            let ca = Some(ca).filter(|ca| !ca.is_empty());
            let ca = ca.map_or_else(String::new, |ca| format!("ca = {:?}\n", self.path(ca)));
            format!("[[trunk]]\nid = \"{number}\"\ntarget = \"{target}\"\n{ca}")
        });
        let text = head + &trunks.collect::<String>();
        Config::parse(&text, Path::new("clapet.toml"))
    }
}

const BOTH: &str = "\"udp://127.0.0.1:5060\", \"tls://127.0.0.1:5061\"";

#[test]
fn a_trunk_may_have_a_ca_wherever_tls_may_be_the_way_to_it() {
    let files = Files::new();
    for (listen, target, allowed) in [
        (BOTH, "sip:carrier.example", true),
        (BOTH, "sips:carrier.example", true),
        (BOTH, "sip:carrier.example;transport=tls", true),
        (BOTH, "sip:carrier.example:5061;transport=tls", true),
        (BOTH, "sip:127.0.0.1;transport=tls", true),
        (BOTH, "sip:carrier.example;transport=udp", false),
        // RFC 3263 §4.1: without a transport, an address or a port means UDP.
        (BOTH, "sip:carrier.example:5060", false),
        (BOTH, "sip:127.0.0.1", false),
        ("\"udp://127.0.0.1:5060\"", "sip:carrier.example", false),
        (
            "\"udp://127.0.0.1:5060\", \"tcp://127.0.0.1:5060\"",
            "sip:carrier.example;transport=tcp",
            false,
        ),
    ] {
        let read = files.read(listen, &[(target, "one.pem")]);
        match &read {
            Ok(config) => {
                assert_eq!(config.sip.tls_files.trunk_ca.len(), 1, "{target}");
                let effective = config.effective();
                let again = Config::parse(&effective, Path::new("clapet.toml")).unwrap();
                assert_eq!(again.effective(), effective, "{target}");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("trunk[0].target: `ca` goes with a target that TLS may lead to"),
                    "{error}"
                );
            }
        }
        assert_eq!(read.is_ok(), allowed, "{target} of {listen}");
    }
}

#[test]
fn targets_of_one_host_have_one_ca() {
    let files = Files::new();
    let secure = "sip:carrier.example;transport=tls";
    for (one, other, allowed) in [
        (("sip:carrier.example", "one.pem"), (secure, "one.pem"), true),
        (("sip:carrier.example", ""), ("sip:CARRIER.example", ""), true),
        (("sip:carrier.example;transport=udp", ""), (secure, "one.pem"), true),
        (("sip:carrier.example", "one.pem"), (secure, "two.pem"), false),
        (("sip:carrier.example", ""), (secure, "one.pem"), false),
        (
            ("sip:CARRIER.example", "one.pem"),
            ("sip:carrier.example", "two.pem"),
            false,
        ),
    ] {
        let read = files.read(BOTH, &[one, other]);
        assert_eq!(read.is_ok(), allowed, "{one:?} and {other:?}");
        if let Err(error) = read {
            assert!(
                error
                    .to_string()
                    .contains("another target at carrier.example has another host or `ca`"),
                "{error}"
            );
        }
    }
}

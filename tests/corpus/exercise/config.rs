//! The configuration and the law file.

use std::path::Path;

use clapet::config::Config;
use clapet::law::Law;

/// One `clapet.toml`. Where it names a law file, that is not looked for: a fuzzer must not open paths of its own making.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.contains("file") {
        return;
    }
    match Config::parse(text, Path::new("clapet.toml")) {
        Ok(config) => {
            let effective = config.effective();
            effective
                .parse::<toml::Table>()
                .expect("the effective configuration is TOML");
            assert!(
                config
                    .warnings
                    .iter()
                    .all(|warning| warning.starts_with("clapet.toml:"))
            );
        }
        Err(error) => {
            assert!(!error.faults.is_empty(), "an error names a fault");
            for fault in &error.faults {
                within(text, fault.line);
                assert!(!fault.key.is_empty() && !fault.message.is_empty(), "{fault:?}");
            }
        }
    }
}

/// One law file.
pub fn law(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Law::parse(text, Path::new("fr.toml")) {
        Ok(law) => {
            assert!(
                law.regimes().is_sorted_by(|one, next| one.from < next.from),
                "regimes follow each other"
            );
            for regime in law.regimes() {
                assert_eq!(law.regime_on(regime.from).map(|found| &found.name), Some(&regime.name));
            }
        }
        Err(error) => {
            within(text, error.line);
            assert!(!error.key.is_empty() && !error.message.is_empty(), "{error:?}");
        }
    }
}

/// The line that an error names is one of the text.
fn within(text: &str, line: usize) {
    assert!((1..=text.lines().count() + 1).contains(&line), "line {line}");
}

//! The Prometheus registry (every metric in one file), the tracing set-up, and log lines that a hostile peer cannot flood. No phone
//! number is ever a label, and none stands in full in a line above debug.

mod limited;
mod log;
mod metrics;

pub use limited::{Malformed, PeerLog};
pub use log::{LogError, LogFormat, start_logging};
pub use metrics::Metrics;

use std::fmt;

/// Text from outside as a log may show it: digits after the fifth hidden, control characters escaped, cut at 64 characters.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = 0;
        for character in self.0.chars().take(MAX_SHOWN) {
            digits += usize::from(character.is_numeric());
            match character {
                _ if character.is_numeric() && digits > SHOWN_DIGITS => f.write_str("•")?,
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ => write!(f, "{character}")?,
            }
        }
        if self.0.chars().nth(MAX_SHOWN).is_some() {
            f.write_str("…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Characters of a foreign text that a log line shows.
const MAX_SHOWN: usize = 64;

/// Digits shown before the rest is hidden, as [`crate::numbering::E164::masked`] does.
const SHOWN_DIGITS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_masked_escaped_and_cut() {
        assert_eq!(Shown("sip:+33612345678@pbx").to_string(), "sip:+33612••••••@pbx");
        assert_eq!(Shown("06 12\r\n34").to_string(), "06 12\\r\\n3•");
        let long = Shown(&"a".repeat(70)).to_string();
        assert_eq!((long.chars().count(), long.ends_with('…')), (65, true));
    }
}

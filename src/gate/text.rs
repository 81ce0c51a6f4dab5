//! What a refusal says of itself in the SIP answer's Warning, after the code. No phone number, no name.

use std::fmt::Write as _;

use chrono::SecondsFormat;

use crate::law::Law;
use crate::numbering::Territory;
use crate::rules::{Reason, Verdict};

/// `4 of 4 calls since 2023-03-02; next 2023-04-03T10:00:00+02:00`, in the callee's local time; `None` where there is nothing to say.
pub(super) fn of(verdict: &Verdict, law: &Law) -> Option<String> {
    let territory = verdict.territory.unwrap_or(Territory::Metropole);
    let mut text = String::new();
    if let (Some(Reason::FrequencyExhausted), Some((max, since))) = (verdict.reason, verdict.count_since) {
        let since = law.local_day(since, territory);
        let made = max.saturating_sub(verdict.attempts_left.unwrap_or(0));
        // Writing to a String cannot fail.
        let _ = write!(text, "{made} of {max} calls since {since}");
    }
    if let Some(next) = verdict.next_allowed {
        let local = next.with_timezone(&law.zone(territory));
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(
            text,
            "{separator}next {}",
            local.to_rfc3339_opts(SecondsFormat::Secs, false)
        );
    }
    (!text.is_empty()).then_some(text)
}

//! `clapet decide`: the gate's question without a call.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::Args;

use super::output::print;
use super::store::{Store, reach};
use super::words::meaning;
use super::{Failure, print_json};
use crate::api::{Answer, Ask, Problem, Word, moment};
use crate::config::Config;

#[derive(Args)]
pub(super) struct Asked {
    /// Caller number in any dialled form, or `anonymous`
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    from: String,
    /// Number called, in any dialled form
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    to: String,
    /// When (RFC 3339); default: now
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    at: Option<DateTime<Utc>>,
    /// On whose behalf; default: the owner of the caller number
    #[arg(long, value_name = "ID")]
    professional: Option<String>,
    /// Through which source; default: judged as automated canvassing
    #[arg(long, value_name = "ID")]
    source: Option<String>,
}

/// Exit 0 allowed, 1 refused.
pub(super) fn run(asked: Asked, config: &Config, json: bool) -> Result<u8, Failure> {
    let ask = Ask {
        from: asked.from,
        to: asked.to,
        professional: asked.professional,
        source: asked.source,
        at: asked.at.or_else(|| Some(Utc::now())),
    };
    let answer: Answer = match reach(config)? {
        Store::Server(mut client) => client.ask("/v1/decisions", &ask)?,
        Store::Own(own) => {
            let question = ask.question(&own.policy).map_err(|problem| field(&problem))?;
            let now = ask.at.unwrap_or_else(Utc::now);
            let gate = own.gate()?;
            let decision = own.runtime.block_on(gate.ask(&question, now).wait());
            Answer::of(&decision, &own.policy.law)
        }
    };
    if json {
        print_json(&answer)?;
    } else {
        print(&readable(&answer));
    }
    Ok(match answer.verdict {
        Word::Allow => 0,
        Word::Refuse => 1,
    })
}

/// A problem as the server's would be told.
pub(super) fn field(problem: &Problem) -> Failure {
    let field = problem.field.as_deref().unwrap_or("request");
    Failure::error(format_args!("{field}: {}", problem.detail))
}

fn readable(answer: &Answer) -> String {
    let mut text = match (answer.verdict, answer.observed) {
        (Word::Allow, _) => "allowed".to_owned(),
        (Word::Refuse, false) => "refused".to_owned(),
        (Word::Refuse, true) => "refused (observed only: the call would go)".to_owned(),
    };
    let mut line = |name: &str, value: &str| {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  {name:<14} {value}");
    };
    let said = if answer.reasons.is_empty() {
        answer.reason.as_slice()
    } else {
        &answer.reasons[..]
    };
    for (position, reason) in said.iter().enumerate() {
        let name = if position == 0 { "reason" } else { "and" };
        line(name, &format!("{reason}: {}", meaning(*reason)));
    }
    if let Some(left) = answer.attempts_left {
        line("attempts left", &left.to_string());
    }
    match (&answer.next_allowed, answer.verdict) {
        (Some(next), _) => line("next allowed", &local(next)),
        (None, Word::Refuse) => line("next allowed", "no date makes it lawful"),
        (None, Word::Allow) => {}
    }
    line("regime", answer.regime.as_deref().unwrap_or("none on that day"));
    text
}

/// `Mon 2023-04-03 10:00:00 +02:00`, the callee's local time.
fn local(next: &str) -> String {
    DateTime::parse_from_rfc3339(next).map_or_else(
        |_| next.to_owned(),
        |at| {
            at.format("%a %Y-%m-%d %H:%M:%S %:z, local time of the callee")
                .to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Reason;

    #[test]
    fn an_answer_says_why_how_many_and_when_next() {
        let refused = Answer {
            verdict: Word::Refuse,
            reason: Some(Reason::FrequencyExhausted),
            reasons: vec![Reason::HoursDay, Reason::FrequencyExhausted],
            attempts_left: Some(0),
            next_allowed: Some("2023-04-03T10:00:00+02:00".to_owned()),
            regime: Some("fr-2023-03".to_owned()),
            observed: false,
        };
        assert_eq!(
            readable(&refused),
            "refused\n  reason         hours.day: not a day of the week on which calls may be placed\n  and            \
             frequency.exhausted: the calls allowed in the period are used up\n  attempts left  0\n  next allowed   Mon \
             2023-04-03 10:00:00 +02:00, local time of the callee\n  regime         fr-2023-03"
        );
        let allowed = Answer {
            verdict: Word::Allow,
            reason: None,
            reasons: Vec::new(),
            attempts_left: Some(4),
            next_allowed: None,
            regime: None,
            observed: false,
        };
        assert_eq!(
            readable(&allowed),
            "allowed\n  attempts left  4\n  regime         none on that day"
        );
    }
}

//! `clapet forget`: erasure of one number's personal data on request.

use chrono::Utc;

use super::output::print;
use super::store::{Store, reach};
use super::{Failure, print_json};
use crate::config::Config;
use crate::ledger::Forgotten;
use crate::numbering::Number;

/// Exit 0.
pub(super) fn run(number: &str, config: &Config, json: bool) -> Result<u8, Failure> {
    let forgotten: Forgotten = match reach(config)? {
        Store::Server(mut client) => client.ask("/v1/forget", &serde_json::json!({ "number": number }))?,
        Store::Own(own) => {
            let number = match own.policy.law.plan.read(number) {
                Ok(Number::E164(number)) => number,
                Ok(Number::Short(_)) => return Err(Failure::error("a short number is nobody's")),
                Err(error) => {
                    let expected = "expected a number in any dialled form";
                    return Err(Failure::error(format_args!("{error}: {expected}")));
                }
            };
            let forget = crate::api::forget(&*own.ledger, &own.screening, number, Utc::now());
            let forgotten = own.runtime.block_on(forget).map_err(Failure::error)?;
            own.close()?;
            forgotten
        }
    };
    if json {
        print_json(&forgotten)?;
    } else {
        print(&format!("erased: {}", records(forgotten.erased)));
        for (count, why) in &forgotten.kept {
            print(&format!("kept: {}: {why}", records(*count)));
        }
    }
    Ok(0)
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

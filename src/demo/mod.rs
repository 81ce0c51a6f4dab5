//! The demonstration: the real proxy between a built-in PBX and a built-in trunk, on loopback, one SIP call for each rule.
//!
//! `cli` calls [`run`]. Workers, gate, ledger, lists and law are those of `serve`; only the clock is moved, so that every call is made
//! at the date that shows its rule. It checks what it shows, and fails if anything differs.

mod cases;
mod folder;
mod pbx;
mod table;
#[cfg(test)]
mod tests;
mod trunk;
mod world;

use std::io::{self, Write as _};

use crate::serve::ServeError;

use self::cases::Case;
use self::world::World;

/// Why the demonstration did not run to its end, or showed something that should not be.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The proxy.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A socket or a file of the demonstration's own.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// What the demonstration loads into the store was not taken.
    #[error("{0} could not be loaded: {1}")]
    Load(&'static str, String),
    /// A call got no final answer.
    #[error("the call {0:?} was not answered")]
    Unanswered(&'static str),
    /// Calls that did not go as the rules say.
    #[error("{0} of the calls did not go as they should")]
    Different(usize),
}

/// One call as it went.
struct Shown {
    case: &'static Case,
    /// Status of the final answer.
    status: u16,
    /// Code that the proxy gave: of the answer where it refused, of its metrics where it let the call go.
    reason: Option<String>,
    /// Next moment at which the call would be lawful.
    next: Option<String>,
    /// INVITEs that the trunk saw.
    reached: usize,
    /// What differs from what should be.
    differs: Option<String>,
}

/// Runs it and prints the table. Everything it made is removed when it ends.
pub fn run() -> Result<(), DemoError> {
    let mut world = World::build()?;
    let mut shown = Vec::with_capacity(cases::CASES.len());
    for case in cases::CASES {
        shown.push(world.play(case)?);
    }
    world.close()?;
    // Who reads it may have gone away (`clapet demo | head`); what the calls did still decides.
    let _ = io::stdout().lock().write_all(table::render(&shown).as_bytes());
    match shown.iter().filter(|shown| shown.differs.is_some()).count() {
        0 => Ok(()),
        different => Err(DemoError::Different(different)),
    }
}

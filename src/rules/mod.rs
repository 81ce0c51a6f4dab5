//! The pure decision: `evaluate(attempt, facts, law, now) -> Verdict`.
//!
//! Every violated rule is listed, the first in the regime's order answers, with the attempts left and the next moment at which
//! the call would be allowed. No I/O, no clock, no allocation on the way of an ordinary call.
//!
//! One file a rule or a pair of rules that share their facts; `case` puts them together for one moment, `next` looks for
//! the moment at which nothing is violated any more, `evaluate` makes the answer.

mod caller_id;
mod case;
mod evaluate;
mod facts;
mod frequency;
mod hours;
mod lifts;
mod lists;
mod next;
mod reach;
mod reason;

#[cfg(test)]
mod tests;

pub use evaluate::{Verdict, evaluate, examine};
pub use facts::{
    Attempt, Bloctel, Callee, CallerId, Consent, ConsentScope, Contract, Dialling, Facts, OwnLimits, Ownership, Purpose,
};
pub use reach::Reach;
pub use reason::{Reason, Reasons};

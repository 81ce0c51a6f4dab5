//! The pure decision: `evaluate(attempt, facts, law, now) -> Verdict`.
//!
//! Every violated rule is listed, the first in the regime's order answers, with the attempts left and the next moment at which
//! the call would be allowed. No I/O, no clock, no allocation on the way of an ordinary call.

mod evaluate;
mod facts;
mod reason;

pub use evaluate::{Verdict, evaluate};
pub use facts::{
    Attempt, Bloctel, Callee, CallerId, Consent, ConsentScope, Contract, Dialling, Facts, OwnLimits, Ownership, Purpose,
};
pub use reason::{Reason, Reasons};

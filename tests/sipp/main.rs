//! SIPp against the running binary, under faked dates: a tool that others trust judges what goes over the wire. SIPp's exit code and
//! its statistics decide. Needs `sipp` and `faketime` (`tests/run` installs both).
//!
//! - [`rules`]: the rules, the trunks and the count, over UDP.
//! - [`carrier`]: what a carrier's acceptance asks of a proxy, each over UDP, TCP and TLS.
//! - [`storm`]: a network that loses and repeats datagrams.

#[path = "../support/mod.rs"]
mod support;

mod bridge;
mod carrier;
mod link;
mod relay;
mod rules;
mod script;
mod storm;
mod tool;

use script::{SDP, Script, callee, caller};

/// Tuesday, 10:30 in Paris.
const TUESDAY: &str = "2023-06-06 08:30:00";
const NPV: &str = "+33162001234";
const CALLEE: &str = "0612345678";

/// A call that is answered and acknowledged.
fn connected() -> Script {
    let invited = caller().invite("", SDP).may_receive(100).may_receive(180);
    invited.establish(200).ack("")
}

/// A call that is answered and hung up by the caller, after so many milliseconds.
fn calls(talk: u32) -> Script {
    // RFC 4320: a BYE that is long on its way may get a 100.
    let hung_up = connected().pause(talk).request("BYE", "", "").may_receive(100);
    hung_up.receive(200)
}

/// Rings, answers, is hung up.
fn answers() -> Script {
    let rings = callee().expect_call().answer(100).answer(180).pause(100);
    rings.pick_up().expect_bye()
}

/// A call that ends with that status.
fn fails(status: u16) -> Script {
    let invited = caller().invite("", SDP).may_receive(100).may_receive(180);
    invited.receive(status).hop("ACK")
}

/// Fails with that status at once.
fn fails_at_once(status: u16) -> Script {
    callee().expect_call().answer(100).answer(status).expect("ACK")
}

/// A call that clapet refuses: status, Reason and Warning to the letter; `text` is the expression behind the code.
fn is_refused(code: &str, text: &str) -> Script {
    let reason = format!("^ *SIP;cause=403;text=.{code}.$");
    let warning = format!("^ *399 [^ ]+ .{code}(: {text})?.$");
    let invited = caller().invite("", SDP).may_receive(100);
    let refused = invited.receive_where(403, &[("Reason", &reason), ("Warning", &warning)]);
    refused.hop("ACK")
}

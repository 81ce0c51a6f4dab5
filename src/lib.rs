//! clapet: a real-time SIP proxy that stops unlawful telephone canvassing before it reaches the network.
//!
//! The rooms, in the order of dependence: a module uses only those above it in this list.
//! `ARCHITECTURE.md` tells what each holds and what it must not do.

mod failpoint;
mod locate;

pub mod numbering;

pub mod law;

pub mod rules;

pub mod telemetry;

pub mod journal;

pub mod ledger;

pub mod screening;

pub mod evidence;

pub mod gate;

pub mod sip;

pub mod import;

pub mod api;

pub mod config;

pub mod serve;

pub mod demo;

pub mod cli;

//! What the integration tests share.
//!
//! - [`world`]: the sans-IO proxy between a scripted PBX and scripted trunks in virtual time, over an emulated network, beside a
//!   scripted gate; [`ua`], [`network`], [`gate`] and [`seed`] are its parts.
//! - [`authority`]: certificates; [`dns`]: a name server; [`named`]: a server in process that asks it, and who calls and answers there.
//! - [`server`]: the real binary as a child process; [`live`]: a PBX and a trunk on real UDP sockets.
#![allow(dead_code, unused_imports)] // each test crate uses its part
#![allow(clippy::format_push_string, clippy::format_collect)] // texts of messages, on no hot path

pub mod authority;
pub mod dns;
pub mod gate;
pub mod lines;
pub mod live;
pub mod named;
pub mod network;
pub mod seed;
pub mod server;
pub mod ua;
pub mod world;

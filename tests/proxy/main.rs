//! The proxy between a scripted PBX and scripted trunks in virtual time: what a carrier's acceptance would try, and that any loss,
//! duplication and reordering leaves every call in one consistent state.

#![allow(clippy::format_collect)] // texts of messages, on no hot path

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod basic;
mod border;
mod cancel;
mod chaos;
mod checks;
mod counting;
mod dialog;
mod failover;
mod health;
mod overload;
mod refused;
mod sources;
mod wire;

use std::time::Duration;

use support::world::World;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A call that is up: placed, answered, acknowledged. Its Call-ID.
fn call_up(world: &mut World) -> String {
    let client = world.call();
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    world.call_id(client)
}

/// A request of the PBX, with more headers.
fn request(method: &str, branch: &str, headers: &str) -> String {
    format!(
        "{method} sip:0612345678@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-{branch}\r\n\
         {headers}From: <sip:+33162001234@192.0.2.10>;tag=a\r\nTo: <sip:0612345678@192.0.2.1:5060>\r\n\
         Call-ID: {branch}@192.0.2.10\r\nCSeq: 1 {method}\r\nContact: <sip:pbx@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n"
    )
}

//! A network that loses datagrams and repeats others by the storm, on both sides of the proxy: every call goes through, is judged once
//! and counts once. TCP and TLS lose nothing, so this is about UDP.

use clapet::sip::Transport;

use crate::relay::{Relay, Weather};
use crate::script::{SDP, callee};
use crate::support::server::{Site, configuration};
use crate::tool::{Run, Sipp, Tools, free, tools};
use crate::{CALLEE, NPV, TUESDAY, calls};

#[test]
fn every_call_goes_through_a_storm_and_counts_once() {
    let Some(tools) = tools() else { return };
    std::thread::scope(|scope| {
        for seed in [1, 2] {
            let tools = &tools;
            scope.spawn(move || storm(tools, seed));
        }
    });
}

fn storm(tools: &Tools, seed: u64) {
    let weather = Weather {
        seed,
        lost: 30,
        stormy: 30,
    };
    let numbers: Vec<String> = (10..22).map(|last| format!("06123456{last}")).collect();
    let total = 12.0;
    let holder = Site::new("");
    // It answers at once: with two answers to one request SIPp takes a copy that comes between them for a new request.
    let mut answering = Run::new(
        callee()
            .expect_call()
            .answer_with(200, "", SDP)
            .may_expect_ack()
            .expect_bye()
            .linger(20_000),
        NPV,
        CALLEE,
    );
    answering.callees.clone_from(&numbers);
    // The relay comes first, since SIPp says where it is reached.
    let to_trunk = Relay::start("127.0.0.2", weather);
    answering.at = Some(to_trunk.address);
    let (trunk, listen) = Sipp::listen(tools, &holder, &answering, "127.0.0.2");
    to_trunk.lead(listen);
    let site = Site::new(&configuration("127.0.0.1:0", &[to_trunk.address], "")).at(TUESDAY, &tools.faketime);
    let server = site.start();
    let to_server = Relay::start("127.0.0.1", weather);
    to_server.lead(server.sip[0]);
    let mut calling = Run::new(calls(4_000), NPV, CALLEE);
    calling.callees = numbers;
    let local = free("127.0.0.1", Transport::Udp);
    Sipp::start(tools, &site, &calling, local, Some(to_server.address)).succeed();
    trunk.succeed();
    for relay in [&to_server, &to_trunk] {
        let (lost, repeated) = relay.seen();
        assert!(
            lost > 10 && repeated > 10,
            "seed {seed}: {lost} lost, {repeated} repeated"
        );
    }
    let judged = server.metric("clapet_invites_total", "verdict=\"allow\"");
    assert!((judged - total).abs() < 0.5, "seed {seed}: {judged} judged");
    let counted = server.metric("clapet_attempts_total", "");
    let answered = server.metric("clapet_attempts_total", "outcome=\"answered\"");
    assert!(
        (counted - total).abs() < 0.5 && (answered - total).abs() < 0.5,
        "seed {seed}: {answered} of {counted} answered"
    );
    assert!(server.metric("clapet_sip_retransmissions_total", "direction=\"in\"") > 10.0);
    assert_eq!(server.stop(), Some(0));
}

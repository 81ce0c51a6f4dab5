//! The scripted agents by themselves, without a proxy between them: what they do under loss is what the other tests rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::network::{Link, Network};
use crate::support::seed::{Printed, seeds};
use crate::support::ua::{Invite, Script, Ua};

/// Two agents and the network between them, until nothing is left to do.
fn run(caller: &mut Ua, callee: &mut Ua, network: &mut Network, mut act: impl FnMut(Duration, &mut Ua)) {
    let mut queue: BTreeMap<(Duration, u64), (bool, bytes::Bytes)> = BTreeMap::new();
    let mut serial = 0;
    let mut now = Duration::ZERO;
    loop {
        act(now, caller);
        for (to_callee, agent) in [(true, &mut *caller), (false, &mut *callee)] {
            for (to, bytes) in agent.take_output() {
                for delay in network.fate(to, &bytes) {
                    serial += 1;
                    queue.insert((now + delay, serial), (to_callee, bytes.clone()));
                }
            }
        }
        let arrival = queue.keys().next().copied();
        let timer = [caller.next_timeout(), callee.next_timeout()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = [arrival.map(|(at, _)| at), timer].into_iter().flatten().min() else {
            return;
        };
        now = now.max(next);
        if let Some(key) = arrival.filter(|(at, _)| *at == next) {
            let (to_callee, bytes) = queue.remove(&key).expect("a datagram");
            let (to, from) = if to_callee {
                (&mut *callee, caller.address)
            } else {
                (&mut *caller, callee.address)
            };
            to.receive(now, from, bytes);
        } else {
            caller.timeout(now);
            callee.timeout(now);
        }
    }
}

fn pair() -> (Ua, Ua) {
    let (one, other) = ("192.0.2.10:5060".parse(), "192.0.2.20:5060".parse());
    let (one, other) = (one.expect("an address"), other.expect("an address"));
    (Ua::new("pbx", one, other), Ua::new("trunka", other, one))
}

#[test]
fn agents_complete_every_kind_of_call_under_bounded_loss() {
    let scripts = [
        (Script::answered(), 200),
        (Script::of(&[(10, 100), (20, 180), (900, 486)]), 486),
        (Script::of(&[(300, 404)]), 404),
    ];
    for seed in seeds(100) {
        let _printed = Printed(seed);
        for (script, status) in &scripts {
            let link = Link {
                loss: 300,
                duplication: 200,
                delay: (1, 300),
            };
            let (mut caller, mut callee) = pair();
            callee.script = script.clone();
            caller.invite(Duration::ZERO, Invite::default());
            let mut hung_up = false;
            run(
                &mut caller,
                &mut callee,
                &mut Network::new(seed, link),
                |now, caller| {
                    if !hung_up && !caller.dialogs.is_empty() {
                        hung_up = true;
                        caller.request(now, 0, "BYE", "", "");
                    }
                },
            );
            assert_eq!(caller.clients[0].statuses(), [*status]);
            assert_eq!(callee.served.len(), 1);
            assert!(callee.served[0].acked);
            assert_eq!(
                callee.requests.len(),
                usize::from(*status == 200),
                "one BYE of an answered call"
            );
        }
    }
}

#[test]
fn an_agent_gives_up_after_seven_invites() {
    let (mut caller, mut callee) = pair();
    let mut network = Network::new(0, Link::CLEAN);
    callee.script = Script::silent();
    caller.invite(Duration::ZERO, Invite::default());
    run(&mut caller, &mut callee, &mut network, |_, _| ());
    assert!(caller.clients[0].timed_out);
    assert_eq!(callee.served[0].copies, 7, "timer A until timer B");
}

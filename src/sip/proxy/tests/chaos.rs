//! Whatever comes in whatever order: nothing that was not allowed is forwarded, nothing is kept for ever, nothing panics.

use proptest::prelude::*;

use super::*;

/// Messages that fit the calls under way, and some that fit nothing.
fn pool(rig: &Rig, seen: &[Message]) -> Vec<(&'static str, String)> {
    let to = "<sip:0612345678@10.0.9.9>";
    let ack = request(
        "ACK",
        "sip:0612345678@10.0.9.9",
        "z9hG4bKinvite",
        &format!("{to};tag=callee"),
        "",
    );
    let other = invite()
        .replace("z9hG4bKinvite", "z9hG4bKother")
        .replace("call-1", "call-2");
    let emergency = request("INVITE", "sip:112@h", "z9hG4bKsos", "<sip:112@h>", "").replace("call-1", "call-3");
    let inbound =
        request("INVITE", "sip:+33162001005@h", "z9hG4bKin", "<sip:+33162001005@h>", "").replace("call-1", "call-4");
    let mut pool = vec![
        (PBX, invite()),
        (PBX, cancel("")),
        (PBX, ack),
        (PBX, other),
        (PBX, emergency),
        (TRUNK_A, inbound),
        (STRANGER, invite()),
        (
            PBX,
            request("BYE", "sip:x@h", "z9hG4bKbye", &format!("{to};tag=callee"), ""),
        ),
    ];
    assert!(rig.proxy.contexts.len() <= 100);
    for message in seen {
        for status in [100, 180, 200, 302, 486, 487, 503] {
            pool.push((TRUNK_A, answer(message, status, "")));
        }
    }
    pool
}

fn play(steps: &[(u8, u16, u8)], allowed: bool) {
    let mut rig = Rig::new();
    let mut seen = Vec::new();
    for &(action, choice, noise) in steps {
        match action % 8 {
            0 if !rig.asked.is_empty() => {
                let refused = (!allowed).then_some(Reason::HoursDay);
                rig.decide(decision(refused));
            }
            1 => {
                rig.wait(Duration::from_millis(u64::from(choice) * 10));
            }
            2 => {
                rig.proxy.send_failed(rig.now, Rig::flow(TRUNK_A));
                rig.drain();
            }
            _ => {
                let pool = pool(&rig, &seen);
                let (from, message) = &pool[usize::from(choice) % pool.len()];
                let mut bytes = message.clone().into_bytes();
                if noise > 240 {
                    let at = usize::from(choice) % bytes.len();
                    bytes[at] = noise;
                }
                rig.receive(from, bytes);
            }
        }
        for (to, message) in rig.take() {
            let to_trunk = to == TRUNK_A || to == TRUNK_B;
            if message.method() == Method::Invite && message.is_request() {
                let judged = message.request_uri().starts_with("sip:0612345678@");
                assert!(allowed || !judged || !to_trunk, "a refused call was forwarded");
                if seen.len() < 6 {
                    seen.push(message);
                }
            }
        }
    }
    rig.wait(Duration::from_secs(600));
    let core = &rig.proxy.core;
    assert_eq!(
        (rig.proxy.contexts.len(), rig.proxy.servers.len(), core.clients.len()),
        (0, 0, 0)
    );
    assert_eq!((core.asks.len(), core.unheard.len(), core.timers.len()), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_is_forwarded_unasked_and_nothing_is_kept_for_ever(
        steps in proptest::collection::vec((any::<u8>(), any::<u16>(), any::<u8>()), 1..60),
        allowed in any::<bool>(),
    ) {
        play(&steps, allowed);
    }
}

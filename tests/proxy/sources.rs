//! Sources that must show credentials, and sources that may call only so much.

use clapet::rules::Reason;
use clapet::sip::message::{Header, Message};
use clapet::sip::peer::{Access, DigestAccount, Rate};

use crate::support::ua::{Invite, Script};
use crate::support::world::{NEIGHBOUR, PBX, STRANGER, Setup, TRUNK_A, World};
use crate::{millis, seconds};

const REALM: &str = "clapet";

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(text))
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    hex(&md5::Md5::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn account(with_sha256: bool, with_md5: bool) -> Access {
    let secret = format!("bpo:{REALM}:secret");
    Access {
        digest: Some(DigestAccount {
            realm: REALM.into(),
            username: "bpo".into(),
            sha256: with_sha256.then(|| sha256(&secret).into()),
            md5: with_md5.then(|| md5(&secret).into()),
        }),
        ..Access::default()
    }
}

fn world(access: Access, by_digest_alone: bool) -> World {
    World::with(&Setup {
        access,
        by_digest_alone,
        ..Setup::default()
    })
}

/// The challenges of a 407.
fn challenges(answer: &Message) -> Vec<String> {
    assert_eq!(answer.status(), 407);
    answer
        .spans()
        .iter()
        .filter(|span| span.header == Header::ProxyAuthenticate)
        .map(|span| answer.value(span).to_owned())
        .collect()
}

fn param(challenge: &str, name: &str) -> Option<String> {
    let (_, rest) = challenge.split_once(&format!("{name}="))?;
    Some(rest.trim_start_matches('"').split(['"', ',']).next()?.to_owned())
}

/// What a PBX that knows the password answers to a challenge, for its `count`-th use of the nonce.
fn answered(challenge: &str, password: &str, callee: &str, count: u32) -> String {
    let algorithm = param(challenge, "algorithm").expect("an algorithm");
    let hash = if algorithm == "MD5" { md5 } else { sha256 };
    let nonce = param(challenge, "nonce").expect("a nonce");
    let uri = format!("sip:{callee}@192.0.2.1:5060");
    let ha1 = hash(&format!("bpo:{REALM}:{password}"));
    let ha2 = hash(&format!("INVITE:{uri}"));
    let response = hash(&format!("{ha1}:{nonce}:{count:08x}:c0ffee:auth:{ha2}"));
    format!(
        "Proxy-Authorization: Digest username=\"bpo\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={algorithm}, cnonce=\"c0ffee\", qop=auth, nc={count:08x}"
    )
}

fn with(header: String) -> Invite {
    Invite {
        headers: vec![header],
        ..Invite::default()
    }
}

/// Calls without credentials and gives what the 407 offers.
fn challenged(world: &mut World) -> Vec<String> {
    let client = world.call();
    world.run(seconds(1));
    challenges(world.ends[PBX].clients[client].answer())
}

#[test]
fn a_source_with_credentials_is_challenged_and_its_call_goes_once_it_shows_them() {
    for (access, algorithms) in [
        (account(true, true), vec!["SHA-256", "MD5"]),
        (account(true, false), vec!["SHA-256"]),
        (account(false, true), vec!["MD5"]),
    ] {
        let mut world = world(access, false);
        let offered = challenged(&mut world);
        let named: Vec<_> = offered.iter().filter_map(|one| param(one, "algorithm")).collect();
        assert_eq!(named, algorithms, "RFC 8760 §2.4: the strongest first");
        assert!(
            offered
                .iter()
                .all(|one| !one.contains("stale") && one.contains("qop=\"auth\""))
        );
        assert!(world.gate.asked.is_empty(), "nobody is judged before he is known");
        for (count, challenge) in (1..).zip(&offered) {
            let client = world.place(with(answered(challenge, "secret", "0612345678", count)));
            world.run(seconds(5));
            assert_eq!(world.statuses(client), [200]);
        }
        let forwarded = &world.ends[TRUNK_A].served[0].request;
        assert_eq!(forwarded.first(Header::ProxyAuthorization), None, "consumed here");
        world.run_out_and_leave_nothing();
    }
}

#[test]
fn credentials_for_the_trunk_pass_and_only_ours_are_taken_off() {
    let mut world = world(account(true, false), false);
    let offered = challenged(&mut world);
    let theirs =
        "Proxy-Authorization: Digest username=\"x\", realm=\"carrier\", nonce=\"n\", uri=\"sip:a\", response=\"r\"";
    let client = world.place(Invite {
        headers: vec![theirs.into(), answered(&offered[0], "secret", "0612345678", 1)],
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    let forwarded = &world.ends[TRUNK_A].served[0].request;
    let kept: Vec<_> = forwarded
        .spans()
        .iter()
        .filter(|span| span.header == Header::ProxyAuthorization)
        .map(|span| forwarded.value(span))
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].contains("realm=\"carrier\""));
    world.run_out_and_leave_nothing();
}

#[test]
fn a_wrong_password_another_callee_and_made_up_credentials_are_challenged_again() {
    let mut world = world(account(true, false), false);
    let offered = challenged(&mut world);
    let good = answered(&offered[0], "secret", "0612345678", 1);
    for header in [
        answered(&offered[0], "guess", "0612345678", 1),
        answered(&offered[0], "secret", "0612345679", 1),
        good.replace("username=\"bpo\"", "username=\"pbo\""),
        good.replace("algorithm=SHA-256", "algorithm=MD5"),
        good.replace("Digest", "Basic"),
        good.replace("nc=00000001", "nc=1"),
    ] {
        let client = world.place(with(header));
        world.run(seconds(1));
        let offered = challenges(world.ends[PBX].clients[client].answer());
        assert!(!offered[0].contains("stale"));
    }
    assert!(world.gate.asked.is_empty());
    let client = world.place(with(good));
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200], "none of these spent the nonce");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_used_or_old_nonce_is_stale_and_the_next_one_good() {
    let mut world = world(account(true, false), false);
    let offered = challenged(&mut world);
    let good = answered(&offered[0], "secret", "0612345678", 1);
    let client = world.place(with(good.clone()));
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    let replayed = world.place(with(good));
    world.run(seconds(1));
    let offered = challenges(world.ends[PBX].clients[replayed].answer());
    assert!(offered[0].contains("stale=true"), "{offered:?}");
    let third = world.place(with(answered(&offered[0], "secret", "0612345678", 1)));
    world.run(seconds(301));
    assert_eq!(world.statuses(third), [200]);
    let late = world.place(with(answered(&offered[0], "secret", "0612345678", 2)));
    world.run(seconds(1));
    let offered = challenges(world.ends[PBX].clients[late].answer());
    assert!(offered[0].contains("stale=true"), "five minutes later");
    world.run_out_and_leave_nothing();
}

#[test]
fn a_lost_407_is_sent_again_with_the_same_nonce() {
    let mut world = world(account(true, false), false);
    let text = "INVITE sip:0612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-again\r\n\
                From: <sip:+33162001234@h>;tag=a\r\nTo: <sip:0612345678@h>\r\nCall-ID: again\r\nCSeq: 1 INVITE\r\n\
                Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    world.ends[PBX].send(text);
    world.ends[PBX].send(text);
    world.run(millis(100));
    let answers: Vec<_> = world.ends[PBX]
        .inbox
        .iter()
        .map(|one| challenges(&one.message))
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
    world.run_out_and_leave_nothing();
}

#[test]
fn emergency_calls_of_a_source_need_no_credentials() {
    let mut world = world(account(true, false), false);
    let client = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(seconds(5));
    assert_eq!(world.statuses(client), [200]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_source_known_by_its_credentials_alone_is_a_source_from_any_address() {
    let mut world = world(account(true, false), true);
    let offered = challenged(&mut world);
    let client = world.place(with(answered(&offered[0], "secret", "0612345678", 1)));
    world.run(seconds(4));
    assert_eq!(world.statuses(client), [200]);
    assert_eq!(world.gate.asked.len(), 1);
    // Within the dialog the Route proves it.
    let call_id = world.call_id(client);
    let bye = world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    assert_eq!(world.statuses(bye), [200]);

    let now = world.now;
    let guess = with(answered(&offered[0], "guess", "0612345678", 2));
    let stranger = world.ends[STRANGER].invite(now, guess);
    let emergency = world.ends[NEIGHBOUR].invite(
        now,
        Invite {
            callee: "112".into(),
            ..Invite::default()
        },
    );
    world.run(seconds(5));
    challenges(world.ends[STRANGER].clients[stranger].answer());
    assert_eq!(world.ends[NEIGHBOUR].clients[emergency].statuses(), [200]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_source_over_its_rate_gets_503_with_the_time_to_wait_and_emergencies_pass() {
    let mut world = world(
        Access {
            rate: Some(Rate {
                per_second: 1,
                burst: 2,
            }),
            ..Access::default()
        },
        false,
    );
    let clients: Vec<_> = (0..3).map(|_| world.call()).collect();
    let emergency = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(millis(900));
    let refused = world.ends[PBX].clients[clients[2]].answer().clone();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.first(Header::RetryAfter), Some("1"));
    let reason = refused.first(Header::Reason).expect("a Reason");
    assert!(
        reason.contains(Reason::SourceRate.code()) && reason.contains("cause=503"),
        "{reason}"
    );
    world.run(millis(200));
    let next = world.call();
    world.run(seconds(8));
    for client in [clients[0], clients[1], next, emergency] {
        assert_eq!(world.statuses(client), [200]);
    }
    let counted = world
        .metrics
        .invites
        .with_label_values(&["bpo", "none", "refuse", "source.rate"])
        .get();
    assert_eq!(counted, 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn an_invite_turned_away_does_not_go_after_all_when_it_is_repeated() {
    let mut world = world(
        Access {
            rate: Some(Rate {
                per_second: 100,
                burst: 1,
            }),
            ..Access::default()
        },
        false,
    );
    world.call();
    let text = "INVITE sip:0612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-again\r\n\
                From: <sip:+33162001234@h>;tag=a\r\nTo: <sip:0612345678@h>\r\nCall-ID: again\r\nCSeq: 1 INVITE\r\n\
                Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    world.ends[PBX].send(text);
    world.run(millis(500));
    world.ends[PBX].send(text);
    world.run(seconds(4));
    let answers = world
        .sent_to(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 503"))
        .count();
    assert_eq!(answers, 2, "refused both times");
    assert_eq!(world.gate.asked.len(), 1);
    world.run_out_and_leave_nothing();
}

#[test]
fn calls_in_progress_are_limited_until_one_is_hung_up_or_refused() {
    let mut world = world(
        Access {
            concurrent_calls: Some(2),
            ..Access::default()
        },
        false,
    );
    let first = world.call();
    world.run(seconds(4));
    let second = world.call();
    world.run(seconds(4));
    let third = world.call();
    let emergency = world.place(Invite {
        callee: "112".into(),
        ..Invite::default()
    });
    world.run(seconds(4));
    assert_eq!(world.statuses(third), [503]);
    assert_eq!(world.statuses(emergency), [200]);
    assert!(
        world.ends[PBX].clients[third]
            .answer()
            .first(Header::RetryAfter)
            .is_some()
    );

    // Hung up by the callee.
    let call_id = world.call_id(first);
    world.request(TRUNK_A, &call_id, "BYE");
    world.run(seconds(1));
    world.ends[TRUNK_A].script = Script::of(&[(50, 486)]);
    let busy = world.call();
    world.run(seconds(1));
    assert_eq!(world.statuses(busy), [486]);
    world.ends[TRUNK_A].script = Script::answered();
    let fourth = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(fourth), [200], "a refused call holds no place");

    // Hung up by the caller.
    let call_id = world.call_id(second);
    world.request(PBX, &call_id, "BYE");
    world.run(seconds(1));
    let fifth = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(fifth), [200]);
    let sixth = world.call();
    world.run(seconds(1));
    assert_eq!(world.statuses(sixth), [503]);
    world.run_out_and_leave_nothing();
}

#[test]
fn a_call_that_nobody_ends_gives_its_place_back_after_four_hours() {
    let mut world = world(
        Access {
            concurrent_calls: Some(1),
            ..Access::default()
        },
        false,
    );
    let first = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(first), [200]);
    world.run(seconds(3 * 3600));
    let early = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(early), [503]);
    world.run(seconds(3600));
    let late = world.call();
    world.run(seconds(4));
    assert_eq!(world.statuses(late), [200]);
    world.run_out_and_leave_nothing();
}

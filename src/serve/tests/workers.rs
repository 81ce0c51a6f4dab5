//! Several workers behave as one: whichever socket the kernel gives a message to, it reaches the worker that has the call, and limits
//! and gauges hold for the process.

use std::time::Instant;

use super::*;

/// More than one, and not a power of two: the kernel's spread of ports and ours of calls cannot agree.
const WORKERS: usize = 3;

/// Calls of each test: with any spread that is one at all, every worker has some.
const CALLS: usize = 30;

/// A PBX that sends from several ports, as a cluster does: `SO_REUSEPORT` spreads ports over sockets.
struct Cluster(Vec<Peer>);

impl Cluster {
    fn new() -> Self {
        Self((0..8).map(|_| Peer::new()).collect())
    }

    /// The port of one call, or another one.
    fn peer(&self, at: usize) -> &Peer {
        &self.0[at % self.0.len()]
    }
}

/// A server with [`WORKERS`], one source on all of 127.0.0.1 but the trunk's port, with `limits` in its table.
fn cluster(limits: &str) -> (Server, TempDir, Cluster, Peer) {
    let trunk = Peer::new();
    let (server, folder, pbx) = cluster_before(&trunk, limits, |text| text);
    (server, folder, pbx, trunk)
}

/// The same, the rest of its configuration as `change` makes it.
fn cluster_before(trunk: &Peer, limits: &str, change: impl FnOnce(String) -> String) -> (Server, TempDir, Cluster) {
    let folder = tempfile::tempdir().expect("a folder");
    let text = text(folder.path(), &[], trunk).replace("drain =", &format!("workers = {WORKERS}\ndrain ="));
    let mut text = change(text);
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "[[source]]\nid = \"dialer\"\naddresses = [\"127.0.0.1\"]\nprofessionals = [\"acme\"]\ndialling = \"automated\"\n{limits}\n"
    );
    let server = Server::start(parse(&text), setup()).expect("started");
    (server, folder, Cluster::new())
}

fn name(call: usize) -> (String, String) {
    (format!("call-{call}"), format!("01990{call:05}"))
}

/// A request of the call that [`Peer::invite`] began, from another port perhaps.
fn send(from: &Peer, proxy: SocketAddr, call: usize, method: &str, branch: &str, dialog: Option<&Message>) {
    let (local, (name, to)) = (from.address(), name(call));
    let (uri, route, to_tag) = match dialog {
        Some(answer) => (
            answer
                .first(Header::Contact)
                .expect("a Contact")
                .trim_matches(['<', '>'])
                .to_owned(),
            format!(
                "Route: {}\r\n",
                answer.first(Header::RecordRoute).expect("a Record-Route")
            ),
            ";tag=t",
        ),
        None => (format!("sip:{to}@{proxy}"), String::new(), ""),
    };
    let number = if method == "BYE" { 2 } else { 1 };
    let text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n{route}\
         From: <sip:0162001001@{local}>;tag=f\r\nTo: <sip:{to}@{proxy}>{to_tag}\r\nCall-ID: {name}\r\nCSeq: {number} {method}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    from.0.send_to(text.as_bytes(), proxy).expect("sent");
}

/// The next request of that method; whatever else comes is passed over.
fn next(peer: &Peer, method: Method) -> (Message, SocketAddr) {
    loop {
        let (message, from) = peer.receive();
        if message.is_request() && message.method() == method {
            return (message, from);
        }
    }
}

/// The next final answer to a request of that method.
fn final_answer(peer: &Peer, call: &str, method: &str) -> Message {
    loop {
        let (message, _) = peer.receive();
        let answers = message.cseq().is_some_and(|cseq| cseq.name == method);
        if !message.is_request() && message.status() >= 200 && message.call_id() == call && answers {
            return message;
        }
    }
}

/// INVITEs that have reached the trunk and nobody has read.
fn invites_left(trunk: &Peer) -> usize {
    trunk.0.set_nonblocking(true).expect("set");
    let mut buffer = [0; 8192];
    let mut invites = 0;
    while let Ok(length) = trunk.0.recv(&mut buffer) {
        invites += usize::from(buffer[..length].starts_with(b"INVITE"));
    }
    invites
}

#[test]
fn a_retransmitted_invite_is_one_call_and_its_refusal_is_acknowledged_to_the_right_worker() {
    let (server, _folder, pbx, trunk) = cluster("");
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        let peer = pbx.peer(call);
        let (name, to) = name(call);
        peer.invite(proxy, &name, &to);
        let invite = trunk.next_invite();
        peer.invite(proxy, &name, &to);
        trunk.answer(&invite, 486);
        assert_eq!(peer.result(&name).status(), 486);
        send(peer, proxy, call, "ACK", &name, None);
        assert_eq!(invite.0.call_id(), name);
    }
    let attempts = server.metrics().attempts.with_label_values(&["busy"]).get();
    assert_eq!(attempts, CALLS as u64);
    // Each copy of an INVITE was counted, and no refusal is sent again to who has acknowledged it: both were seen by the same worker.
    let copies = server.metrics().sip_retransmissions.with_label_values(&["in"]);
    eventually("every copy is known", || copies.get() == CALLS as u64);
    server.close().expect("closed");
    assert_eq!(invites_left(&trunk), 0);
}

#[test]
fn a_cancel_finds_its_call_from_another_port() {
    let (server, _folder, pbx, trunk) = cluster("");
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        let (peer, other) = (pbx.peer(call), pbx.peer(call + 3));
        let (name, to) = name(call);
        peer.invite(proxy, &name, &to);
        let invite = trunk.next_invite();
        trunk.answer(&invite, 180);
        // The sent-by of a CANCEL is its INVITE's (RFC 3261 §9.1), whatever port it leaves by.
        let local = peer.address();
        let text = format!(
            "CANCEL sip:{to}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{name};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:0162001001@{local}>;tag=f\r\nTo: <sip:{to}@{proxy}>\r\nCall-ID: {name}\r\nCSeq: 1 CANCEL\r\n\
             Content-Length: 0\r\n\r\n"
        );
        other.0.send_to(text.as_bytes(), proxy).expect("sent");
        assert_eq!(final_answer(other, &name, "CANCEL").status(), 200);
        let cancel = next(&trunk, Method::Cancel);
        assert_eq!(cancel.0.call_id(), name);
        trunk.answer(&cancel, 200);
        trunk.answer(&invite, 487);
        assert_eq!(final_answer(peer, &name, "INVITE").status(), 487);
    }
    server.close().expect("closed");
}

#[test]
fn requests_within_a_dialog_pass_from_the_same_and_from_another_port() {
    let (server, _folder, pbx, trunk) = cluster("");
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        let (peer, other) = (pbx.peer(call), pbx.peer(call + call % 2 * 3));
        let (name, to) = name(call);
        peer.invite(proxy, &name, &to);
        let invite = trunk.next_invite();
        trunk.answer(&invite, 200);
        let answer = peer.result(&name);
        assert_eq!(answer.status(), 200);
        send(other, proxy, call, "ACK", &format!("a{name}"), Some(&answer));
        assert_eq!(next(&trunk, Method::Ack).0.call_id(), name);
        send(other, proxy, call, "BYE", &format!("b{name}"), Some(&answer));
        let bye = next(&trunk, Method::Bye);
        assert_eq!(bye.0.call_id(), name);
        trunk.answer(&bye, 200);
        assert_eq!(final_answer(other, &name, "BYE").status(), 200);
    }
    assert_eq!(server.control().restarts(), 0);
    server.close().expect("closed");
}

#[test]
fn a_trunk_that_takes_no_connection_is_known_at_once_whichever_worker_found_out() {
    // Bound and not listening: nobody else gets the port, and who connects is turned away.
    let dead = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    dead.bind(&any.into()).expect("a free port");
    let dead_address = dead.local_addr().expect("bound").as_socket().expect("an address");
    let trunk = Peer::new();
    let (server, _folder, pbx) = cluster_before(&trunk, "", |text| {
        text.replace("udp://127.0.0.1:0\"", "udp://127.0.0.1:0\", \"tcp://127.0.0.1:0\"")
            .replace(&trunk.address().to_string(), &format!("{dead_address};transport=tcp"))
    });
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        let (name, to) = name(call);
        pbx.peer(call).invite(proxy, &name, &to);
        // Not by timer B, for which nobody here waits.
        assert_eq!(pbx.peer(call).result(&name).status(), 500);
    }
    server.close().expect("closed");
}

#[test]
fn the_gauge_of_transactions_is_the_sum_over_the_workers_and_nothing_is_left_of_it() {
    let (server, _folder, pbx, trunk) = cluster("");
    let proxy = server.sip()[0];
    let gauge = server.metrics().transactions.clone();
    for call in 0..CALLS {
        let (name, to) = name(call);
        pbx.peer(call).invite(proxy, &name, &to);
        trunk.answer(&trunk.next_invite(), 180);
    }
    // One with the PBX and one with the trunk, each.
    let expected = i64::try_from(2 * CALLS).expect("small");
    eventually("all calls ring", || gauge.get() == expected);
    server.close().expect("closed");
    assert_eq!(gauge.get(), 0);
}

#[test]
fn calls_in_progress_are_limited_over_all_workers() {
    let (server, _folder, pbx, trunk) = cluster("concurrent_calls = 7");
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        let (name, to) = name(call);
        let peer = pbx.peer(call);
        peer.invite(proxy, &name, &to);
        if call < 7 {
            let invite = trunk.next_invite();
            assert_eq!(invite.0.call_id(), name);
            trunk.answer(&invite, 180);
        } else {
            let refusal = peer.result(&name);
            assert_eq!(refusal.status(), 503);
            assert!(refusal.first(Header::Reason).expect("a Reason").contains("source.rate"));
        }
    }
    server.close().expect("closed");
    assert_eq!(invites_left(&trunk), 0);
}

#[test]
fn a_rate_holds_over_all_workers() {
    let (server, _folder, pbx, trunk) = cluster("rate = { calls_per_second = 1, burst = 7 }");
    let proxy = server.sip()[0];
    let began = Instant::now();
    for call in 0..CALLS {
        let (name, to) = name(call);
        pbx.peer(call).invite(proxy, &name, &to);
    }
    let invites = server.metrics().invites.clone();
    let refused = || {
        invites
            .with_label_values(&["dialer", "none", "refuse", "source.rate"])
            .get()
    };
    let allowed = || invites.with_label_values(&["dialer", "acme", "allow", "none"]).get();
    eventually("every call is decided", || refused() + allowed() == CALLS as u64);
    let most = 7 + began.elapsed().as_secs() + 1;
    assert!((7..=most).contains(&allowed()), "{} of {most}", allowed());
    server.close().expect("closed");
    assert!(invites_left(&trunk) as u64 >= allowed());
}

#[test]
fn calls_go_on_while_workers_go_to_rest_and_rise() {
    let (server, _folder, pbx, trunk) = cluster("");
    let proxy = server.sip()[0];
    for call in 0..CALLS {
        // At any stage of a call; the load itself, next to none, would have one worker receive from now on.
        let turn = |stage: usize| server.control().receiving([1, WORKERS, 2, 1][(call + stage) % 4]);
        let peer = pbx.peer(call);
        let (name, to) = name(call);
        turn(0);
        peer.invite(proxy, &name, &to);
        turn(1);
        let invite = trunk.next_invite();
        trunk.answer(&invite, 180);
        turn(2);
        trunk.answer(&invite, 200);
        turn(3);
        let answer = peer.result(&name);
        send(peer, proxy, call, "ACK", &format!("a{name}"), Some(&answer));
        assert_eq!(next(&trunk, Method::Ack).0.call_id(), name);
        turn(4);
        send(peer, proxy, call, "BYE", &format!("b{name}"), Some(&answer));
        trunk.answer(&next(&trunk, Method::Bye), 200);
        assert_eq!(final_answer(peer, &name, "BYE").status(), 200);
    }
    assert_eq!(server.control().restarts(), 0);
    // Nothing was received twice and nothing lost on the way, or somebody would have sent again.
    let copies = server.metrics().sip_retransmissions.with_label_values(&["in"]).get();
    assert_eq!(copies, 0);
    server.close().expect("closed");
}

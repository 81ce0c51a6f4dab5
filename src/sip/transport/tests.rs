//! Over real loopback sockets.

use std::future::poll_fn;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::{Bound, Connections, Sockets, StreamSettings, bind_udp, steer};
use crate::sip::peer::Peers;
use crate::sip::{Flow, ListenerId, Transport};
use crate::telemetry::Metrics;

/// Nothing on loopback takes this long; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(10);

fn bind(address: &str, workers: usize) -> Vec<Bound> {
    let mut bound = bind_udp(address.parse().expect("an address"), workers).expect("a free port");
    steer(&mut bound, "proxy.example.net").expect("steered");
    bound
}

fn sockets_of(bound: &[Bound]) -> Sockets {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let connections = Connections::new(
        StreamSettings::default(),
        Arc::new(Peers::default()),
        Arc::default(),
        metrics,
    );
    Sockets::new(bound, 0, &connections).expect("sockets")
}

fn peer(local: &str) -> StdSocket {
    let socket = StdSocket::bind(local).expect("a free port");
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    socket
}

fn flow(listener: u16, remote: SocketAddr) -> Flow {
    Flow::new(ListenerId(listener), Transport::Udp, remote)
}

async fn receive(sockets: &mut Sockets, count: usize) -> Vec<(Flow, Bytes)> {
    let mut received = Vec::new();
    let whole = async {
        while received.len() < count {
            poll_fn(|cx| sockets.poll_receive(cx, &mut received)).await;
        }
    };
    tokio::time::timeout(LONG, whole).await.expect("all datagrams arrive");
    received
}

#[tokio::test]
async fn a_batch_is_received_in_order_with_its_senders() {
    let bound = bind("127.0.0.1:0", 1);
    let mut sockets = sockets_of(&bound);
    let (one, two) = (peer("127.0.0.1:0"), peer("127.0.0.1:0"));
    for number in 0..100_u32 {
        let from = if number % 2 == 0 { &one } else { &two };
        from.send_to(format!("message {number}").as_bytes(), bound[0].local())
            .expect("sent");
    }
    let received = receive(&mut sockets, 100).await;
    for (number, (from, bytes)) in received.iter().enumerate() {
        let sender = if number % 2 == 0 { &one } else { &two };
        assert_eq!(*from, flow(0, sender.local_addr().expect("bound")));
        assert_eq!(bytes, format!("message {number}").as_bytes());
    }
}

#[tokio::test]
async fn the_largest_datagram_goes_both_ways() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let bound = bind(address, 1);
        let mut sockets = sockets_of(&bound);
        let far = peer(address);
        let size = if bound[0].local().is_ipv4() { 65_507 } else { 65_527 };
        let large = vec![b'x'; size];
        far.send_to(&large, bound[0].local()).expect("sent");
        let received = receive(&mut sockets, 1).await;
        assert_eq!(received[0].1, large);
        sockets.send(0, received[0].0, received[0].1.clone());
        poll_fn(|cx| sockets.poll_flush(cx)).await;
        let mut back = vec![0; 70_000];
        let (length, from) = far.recv_from(&mut back).expect("echoed");
        assert_eq!((length, from), (size, bound[0].local()));
        assert_eq!(back[..length], large);
    }
}

#[tokio::test]
async fn listeners_of_both_families_stand_side_by_side() {
    let bound: Vec<Bound> = ["127.0.0.1:0", "[::1]:0"]
        .iter()
        .flat_map(|address| bind(address, 1))
        .collect();
    let mut sockets = sockets_of(&bound);
    let (four, six) = (peer("127.0.0.1:0"), peer("[::1]:0"));
    four.send_to(b"four", bound[0].local()).expect("sent");
    six.send_to(b"six", bound[1].local()).expect("sent");
    let mut received = receive(&mut sockets, 2).await;
    received.sort_by_key(|(from, _)| from.listener.0);
    assert_eq!(received[0].0, flow(0, four.local_addr().expect("bound")));
    assert_eq!(received[1].0, flow(1, six.local_addr().expect("bound")));
    assert_eq!(
        sockets.locals().collect::<Vec<_>>(),
        [bound[0].local(), bound[1].local()]
    );
}

#[tokio::test]
async fn more_than_one_batch_is_sent_and_keep_alives_are_not_handed_on() {
    let bound = bind("127.0.0.1:0", 1);
    let mut sockets = sockets_of(&bound);
    let far = peer("127.0.0.1:0");
    let remote = far.local_addr().expect("bound");
    for number in 0..75_u8 {
        sockets.send(0, flow(0, remote), Bytes::from(vec![number]));
    }
    assert_eq!(sockets.queued(), 75);
    poll_fn(|cx| sockets.poll_flush(cx)).await;
    assert_eq!((sockets.queued(), sockets.dropped()), (0, 0));
    let mut byte = [0];
    for number in 0..75_u8 {
        far.recv_from(&mut byte).expect("sent");
        assert_eq!(byte[0], number);
    }
    far.send_to(b"\r\n\r\n", bound[0].local()).expect("sent");
    far.send_to(b"after", bound[0].local()).expect("sent");
    assert_eq!(receive(&mut sockets, 1).await[0].1, "after");
}

#[tokio::test]
async fn a_closed_port_is_reported_with_its_destination_and_holds_up_nobody_else() {
    // The kernel tells any one of the sockets that share the address: with so many ports each of them is told of some.
    for address in ["127.0.0.1:0", "[::1]:0"].repeat(16) {
        let bound = bind(address, 1);
        let mut sockets = sockets_of(&bound);
        let far = peer(address);
        let closed = peer(address).local_addr().expect("bound");
        sockets.send(0, flow(0, closed), Bytes::from_static(b"lost"));
        sockets.send(
            0,
            flow(0, far.local_addr().expect("bound")),
            Bytes::from_static(b"first"),
        );
        let failed = async {
            poll_fn(|cx| {
                let _ = sockets.poll_flush(cx);
                let mut none = Vec::new();
                let _ = sockets.poll_receive(cx, &mut none);
                match sockets.failures().next() {
                    Some(failed) => Poll::Ready(failed.flow),
                    None => Poll::Pending,
                }
            })
            .await
        };
        let failed = tokio::time::timeout(LONG, failed).await.expect("an ICMP answer");
        assert_eq!(failed, flow(0, closed));
        sockets.send(
            0,
            flow(0, far.local_addr().expect("bound")),
            Bytes::from_static(b"second"),
        );
        poll_fn(|cx| sockets.poll_flush(cx)).await;
        for expected in [&b"first"[..], b"second"] {
            let mut buffer = [0; 16];
            let (length, _) = far.recv_from(&mut buffer).expect("sent");
            assert_eq!(&buffer[..length], expected);
        }
    }
}

#[tokio::test]
async fn a_destination_that_cannot_be_sent_to_fails_at_once_and_the_next_goes() {
    let bound = bind("127.0.0.1:0", 1);
    let mut sockets = sockets_of(&bound);
    let far = peer("127.0.0.1:0");
    let impossible = flow(0, "[::1]:9".parse().expect("an address"));
    sockets.send(0, impossible, Bytes::from_static(b"lost"));
    sockets.send(
        0,
        flow(0, far.local_addr().expect("bound")),
        Bytes::from_static(b"next"),
    );
    poll_fn(|cx| sockets.poll_flush(cx)).await;
    assert_eq!(
        sockets.failures().map(|failed| failed.flow).collect::<Vec<_>>(),
        [impossible]
    );
    let mut buffer = [0; 16];
    assert_eq!(far.recv_from(&mut buffer).expect("sent").0, 4);
}

#[test]
fn workers_share_an_address_and_strangers_do_not() {
    let bound = bind("127.0.0.1:0", 3);
    assert_eq!(bound.len(), 3);
    assert!(bound.iter().all(|socket| socket.local() == bound[0].local()));
    let error = bind_udp(bound[0].local(), 1).expect_err("held");
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    let error = bind_udp(bound[0].local(), 2).expect_err("held");
    assert_eq!(error.address, bound[0].local());
}

#[tokio::test]
async fn whoever_attends_the_sockets_of_others_gets_what_waits_there_and_gives_them_back() {
    let bound: Vec<[Bound; 1]> = bind("127.0.0.1:0", 3).into_iter().map(|bound| [bound]).collect();
    let mut sockets = [&bound[0], &bound[1], &bound[2]].map(|row| sockets_of(row));
    let mut sent = 0;
    let mut send = || {
        // From many ports, so that each worker's socket gets some: one of them none once in 10^11 runs.
        for _ in 0..64 {
            let message = format!("{sent}");
            sent += 1;
            peer("127.0.0.1:0")
                .send_to(message.as_bytes(), bound[0][0].local())
                .expect("sent");
        }
    };
    let numbers = |received: Vec<(Flow, Bytes)>| -> Vec<u32> {
        let number = |bytes: Bytes| std::str::from_utf8(&bytes).expect("digits").parse().expect("a number");
        let mut numbers: Vec<u32> = received.into_iter().map(|(_, bytes)| number(bytes)).collect();
        numbers.sort_unstable();
        numbers
    };
    send();
    let [one, two, three] = &mut sockets;
    two.attend(&[]).expect("rests");
    three.attend(&[]).expect("rests");
    one.attend(&[&bound[0], &bound[1], &bound[2]]).expect("attended");
    assert_eq!(numbers(receive(one, 64).await), (0..64).collect::<Vec<_>>());
    let mut none = Vec::new();
    for resting in [two, three] {
        let got = poll_fn(|cx| Poll::Ready(resting.poll_receive(cx, &mut none))).await;
        assert!(got.is_pending());
    }
    send();
    for (position, sockets) in sockets.iter_mut().enumerate() {
        sockets.attend(&[&bound[position]]).expect("its own");
    }
    let mut received = Vec::new();
    while received.len() < 64 {
        let any = poll_fn(|cx| {
            let ready = sockets
                .iter_mut()
                .map(|one| one.poll_receive(cx, &mut received).is_ready());
            if ready.fold(false, std::ops::BitOr::bitor) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::time::timeout(LONG, any).await.expect("all datagrams arrive");
    }
    assert_eq!(numbers(received), (64..128).collect::<Vec<_>>());
}

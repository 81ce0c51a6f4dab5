//! Every timer and state of the server machines, as tables of events.

use super::*;

const T1: Duration = Duration::from_millis(500);

use InviteServerState as I;
use NonInviteServerState as N;
use ServerAction as A;

fn durations() -> Durations {
    Durations::from_t1(T1)
}

fn run(server: &mut InviteServer, start: Instant) -> Vec<(u128, ServerAction)> {
    let mut seen = Vec::new();
    while let Some(at) = server.wake() {
        seen.push(((at - start).as_millis(), server.timeout(at, &durations())));
    }
    seen
}

fn answered(reliable: bool, statuses: &[u16], start: Instant) -> InviteServer {
    let mut server = InviteServer::new(reliable);
    for status in statuses {
        assert!(server.respond(start, &durations(), *status), "{statuses:?}");
    }
    server
}

#[test]
fn timer_g_doubles_up_to_t2_and_timer_h_ends_an_answer_that_nobody_acknowledges() {
    let start = Instant::now();
    let mut server = answered(false, &[100, 403], start);
    let seen = run(&mut server, start);
    let expected = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map(|at| (at, A::Resend));
    assert_eq!(seen[..10], expected);
    assert_eq!(seen[10..], [(32_000, A::Ended)]);
    assert_eq!(server.state(), I::Terminated);
}

#[test]
fn over_a_reliable_transport_only_timer_h_runs() {
    let start = Instant::now();
    assert_eq!(run(&mut answered(true, &[403], start), start), [(32_000, A::Ended)]);
}

#[test]
fn an_ack_confirms_and_timer_i_ends() {
    let start = Instant::now();
    for (reliable, timer_i) in [(false, 5_000), (true, 0)] {
        let mut server = answered(reliable, &[603], start);
        assert_eq!(server.ack(start, &durations()), A::None);
        assert_eq!(server.state(), I::Confirmed);
        assert_eq!(server.ack(start, &durations()), A::None, "absorbed");
        assert_eq!(server.request(), A::None);
        assert_eq!(run(&mut server, start), [(timer_i, A::Ended)]);
    }
}

#[test]
fn an_invite_that_comes_again_gets_the_last_response() {
    let start = Instant::now();
    for (statuses, action, state) in [
        (&[][..], A::Resend, I::Proceeding),
        (&[100], A::Resend, I::Proceeding),
        (&[180], A::Resend, I::Proceeding),
        (&[486], A::Resend, I::Completed),
        (&[200], A::None, I::Accepted),
    ] {
        let mut server = answered(false, statuses, start);
        assert_eq!((server.request(), server.state()), (action, state), "{statuses:?}");
    }
}

#[test]
fn after_a_2xx_others_follow_acks_pass_and_timer_l_ends() {
    let start = Instant::now();
    let mut server = answered(false, &[180, 200, 200], start);
    assert_eq!(server.state(), I::Accepted);
    assert_eq!(server.ack(start, &durations()), A::PassAck);
    assert!(!server.respond(start, &durations(), 486), "no refusal after an answer");
    assert!(!server.respond(start, &durations(), 180));
    assert_eq!(run(&mut server, start), [(32_000, A::Ended)]);
}

#[test]
fn a_final_response_stands() {
    let start = Instant::now();
    let mut server = answered(false, &[487], start);
    for status in [180, 200, 486, 603] {
        assert!(!server.respond(start, &durations(), status), "{status}");
    }
}

#[test]
fn an_ack_before_the_answer_means_nothing() {
    let start = Instant::now();
    let mut server = InviteServer::new(false);
    assert_eq!(
        (server.ack(start, &durations()), server.state()),
        (A::None, I::Proceeding)
    );
    assert_eq!(server.wake(), None);
}

#[test]
fn non_invite_states_follow_the_responses() {
    let start = Instant::now();
    for (statuses, again, state) in [
        (&[][..], A::None, N::Trying),
        (&[100], A::Resend, N::Proceeding),
        (&[200], A::Resend, N::Completed),
        (&[100, 481], A::Resend, N::Completed),
    ] {
        let mut server = NonInviteServer::new(false);
        for status in statuses {
            assert!(server.respond(start, &durations(), *status));
        }
        assert_eq!((server.request(), server.state()), (again, state), "{statuses:?}");
    }
}

#[test]
fn timer_j_ends_a_non_invite() {
    let start = Instant::now();
    for (reliable, timer_j) in [(false, 32_000), (true, 0)] {
        let mut server = NonInviteServer::new(reliable);
        assert!(server.respond(start, &durations(), 200));
        assert!(!server.respond(start, &durations(), 500));
        let at = server.wake().unwrap();
        assert_eq!((at - start).as_millis(), timer_j);
        assert_eq!((server.timeout(at), server.state()), (A::Ended, N::Terminated));
        assert_eq!(server.wake(), None);
    }
}

#[test]
fn an_abandoned_non_invite_is_over() {
    let mut server = NonInviteServer::new(false);
    server.abandon();
    assert_eq!((server.state(), server.request()), (N::Terminated, A::None));
    assert!(!server.respond(Instant::now(), &durations(), 200));
}

//! Every timer and state of the client machines, as tables of events.

use super::*;

const T1: Duration = Duration::from_millis(500);

fn durations() -> Durations {
    Durations::from_t1(T1)
}

fn milliseconds(at: Instant, start: Instant) -> u128 {
    (at - start).as_millis()
}

/// Lets time pass until the machine wants nothing any more; what happened when.
fn run_invite(client: &mut InviteClient, start: Instant) -> Vec<(u128, ClientAction)> {
    let mut seen = Vec::new();
    while let Some(at) = client.wake() {
        seen.push((milliseconds(at, start), client.timeout(at)));
    }
    seen
}

fn run_non_invite(client: &mut NonInviteClient, start: Instant) -> Vec<(u128, ClientAction)> {
    let mut seen = Vec::new();
    while let Some(at) = client.wake() {
        seen.push((milliseconds(at, start), client.timeout(at, &durations())));
    }
    seen
}

use ClientAction as A;
use InviteClientState as I;
use NonInviteClientState as N;

#[test]
fn timer_a_doubles_and_timer_b_ends_an_unanswered_invite() {
    let start = Instant::now();
    let mut client = InviteClient::new(start, &durations(), false);
    let expected = [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(|at| (at, A::Retransmit));
    let seen = run_invite(&mut client, start);
    assert_eq!(seen[..6], expected);
    assert_eq!(seen[6..], [(32_000, A::TimedOut)]);
    assert_eq!(client.state(), I::Terminated);
}

#[test]
fn over_a_reliable_transport_nothing_is_sent_again() {
    let start = Instant::now();
    let mut client = InviteClient::new(start, &durations(), true);
    assert_eq!(run_invite(&mut client, start), [(32_000, A::TimedOut)]);
    let mut client = NonInviteClient::new(start, &durations(), true);
    assert_eq!(run_non_invite(&mut client, start), [(32_000, A::TimedOut)]);
}

#[test]
fn invite_client_states_follow_the_responses() {
    let start = Instant::now();
    for (responses, actions, state, after) in [
        (&[100][..], &[A::Pass][..], I::Proceeding, &[][..]),
        (&[180, 183], &[A::Pass, A::Pass], I::Proceeding, &[]),
        (&[200], &[A::Pass], I::Accepted, &[(32_000, A::Ended)]),
        (
            &[180, 200, 200],
            &[A::Pass, A::Pass, A::Pass],
            I::Accepted,
            &[(32_000, A::Ended)],
        ),
        (&[200, 180], &[A::Pass, A::None], I::Accepted, &[(32_000, A::Ended)]),
        (&[200, 486], &[A::Pass, A::None], I::Accepted, &[(32_000, A::Ended)]),
        (&[486], &[A::PassAndAck], I::Completed, &[(32_000, A::Ended)]),
        (
            &[302, 302],
            &[A::PassAndAck, A::Ack],
            I::Completed,
            &[(32_000, A::Ended)],
        ),
        (
            &[100, 603, 603],
            &[A::Pass, A::PassAndAck, A::Ack],
            I::Completed,
            &[(32_000, A::Ended)],
        ),
        (
            &[503, 100],
            &[A::PassAndAck, A::None],
            I::Completed,
            &[(32_000, A::Ended)],
        ),
        (
            &[503, 180, 200],
            &[A::PassAndAck, A::Late, A::Late],
            I::Completed,
            &[(32_000, A::Ended)],
        ),
    ] {
        let mut client = InviteClient::new(start, &durations(), false);
        let seen: Vec<ClientAction> = responses
            .iter()
            .map(|status| client.response(start, &durations(), *status))
            .collect();
        assert_eq!((&seen[..], client.state()), (actions, state), "{responses:?}");
        assert_eq!(run_invite(&mut client, start), after, "{responses:?}");
    }
}

#[test]
fn timer_d_is_zero_over_a_reliable_transport() {
    let start = Instant::now();
    let mut client = InviteClient::new(start, &durations(), true);
    assert_eq!(client.response(start, &durations(), 404), A::PassAndAck);
    assert_eq!(run_invite(&mut client, start), [(0, A::Ended)]);
}

#[test]
fn an_answer_after_timer_b_is_late_and_a_refusal_is_still_acknowledged() {
    let start = Instant::now();
    for (status, action) in [(100, A::None), (180, A::Late), (200, A::Late), (486, A::Ack)] {
        let mut client = InviteClient::new(start, &durations(), false);
        run_invite(&mut client, start);
        assert_eq!(client.response(start, &durations(), status), action, "{status}");
        assert_eq!(client.state(), I::Terminated);
    }
}

#[test]
fn timer_e_doubles_up_to_t2_and_timer_f_ends() {
    let start = Instant::now();
    let mut client = NonInviteClient::new(start, &durations(), false);
    let expected =
        [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map(|at| (at, A::Retransmit));
    let seen = run_non_invite(&mut client, start);
    assert_eq!(seen[..10], expected);
    assert_eq!(seen[10..], [(32_000, A::TimedOut)]);
    assert_eq!(client.state(), N::Terminated);
}

#[test]
fn in_proceeding_timer_e_is_t2() {
    let start = Instant::now();
    let mut client = NonInviteClient::new(start, &durations(), false);
    assert_eq!(client.response(start, &durations(), 100), A::Pass);
    assert_eq!(client.state(), N::Proceeding);
    let seen = run_non_invite(&mut client, start);
    assert_eq!(seen[..2], [(500, A::Retransmit), (4_500, A::Retransmit)]);
    assert_eq!(seen.last(), Some(&(32_000, A::TimedOut)));
}

#[test]
fn a_final_response_ends_a_non_invite_after_timer_k() {
    let start = Instant::now();
    for (reliable, timer_k) in [(false, 5_000), (true, 0)] {
        for status in [200, 302, 481, 503, 603] {
            let mut client = NonInviteClient::new(start, &durations(), reliable);
            assert_eq!(client.response(start, &durations(), status), A::Pass);
            assert_eq!(client.response(start, &durations(), status), A::None, "absorbed");
            assert_eq!(client.state(), N::Completed);
            assert_eq!(run_non_invite(&mut client, start), [(timer_k, A::Ended)]);
        }
    }
}

#[test]
fn a_failed_transport_ends_both_machines() {
    let start = Instant::now();
    let mut invite = InviteClient::new(start, &durations(), false);
    invite.fail();
    assert_eq!((invite.state(), invite.wake()), (I::Terminated, None));
    let mut other = NonInviteClient::new(start, &durations(), false);
    other.fail();
    assert_eq!((other.state(), other.wake()), (N::Terminated, None));
}

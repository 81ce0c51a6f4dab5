//! The share of calls that is turned away follows the load, without flapping.

use super::*;

/// A worker that needs `cost` of its time in a thousand for all calls that are offered, and nothing for those turned away.
fn run(overload: &mut Overload, cost: u32, intervals: u32) {
    for _ in 0..intervals {
        let accepted = 1000 - overload.loss();
        let busy = (INTERVAL * (cost * accepted / 1000) / 1000).min(INTERVAL);
        overload.worked(busy, INTERVAL.checked_sub(busy).unwrap());
    }
}

#[test]
fn nothing_is_turned_away_below_saturation_nor_for_a_moment_of_it() {
    let mut overload = Overload::default();
    run(&mut overload, 970, 1000);
    assert_eq!(overload.loss(), 0);
    for _ in 0..100 {
        run(&mut overload, 2000, 2);
        run(&mut overload, 500, 1);
        assert_eq!(overload.loss(), 0, "two saturated intervals are a burst");
    }
}

#[test]
fn a_busy_worker_that_leaves_nothing_unread_turns_nobody_away() {
    let mut overload = Overload::default();
    for _ in 0..100 {
        overload.caught_up = true;
        run(&mut overload, 1000, 1);
    }
    assert_eq!(overload.loss(), 0);
    run(&mut overload, 10_000, 60);
    assert!(overload.loss() > 800);
    for _ in 0..150 {
        overload.caught_up = true;
        run(&mut overload, 1_000_000, 1);
    }
    assert_eq!(overload.loss(), 0, "and takes all again");
}

#[test]
fn under_ten_times_the_load_the_accepted_share_settles_near_a_tenth() {
    let mut overload = Overload::default();
    run(&mut overload, 10_000, 60);
    let mut used = Vec::new();
    for _ in 0..200 {
        run(&mut overload, 10_000, 1);
        used.push((1000 - overload.loss()) * 10);
    }
    let mean = used.iter().sum::<u32>() / 200;
    assert!(
        (800..=1100).contains(&mean),
        "{mean} in a thousand of what it can carry"
    );
    assert!(*used.iter().max().unwrap() <= 1300, "{used:?}");
    assert!(*used.iter().min().unwrap() >= 700, "{used:?}");
}

#[test]
fn it_ends_when_the_load_is_gone_and_never_shuts_out_everybody() {
    let mut overload = Overload::default();
    run(&mut overload, 1_000_000, 200);
    assert_eq!(overload.loss(), 1000 - LEAST_ACCEPTED);
    run(&mut overload, 300, 80);
    assert_eq!(overload.loss(), 0, "four seconds later everything is taken again");
}

#[test]
fn full_tables_turn_calls_away_until_a_quarter_is_free() {
    let mut overload = Overload::default();
    for (asks, loss) in [
        (99, 0),
        (100, 1000),
        (99, 1000),
        (76, 1000),
        (75, 0),
        (99, 0),
        (100, 1000),
    ] {
        overload.fill(asks, 100, 0, 100);
        assert_eq!(overload.loss(), loss, "{asks}");
    }
    overload.fill(0, 100, 100, 100);
    assert_eq!(overload.loss(), 1000);
}

#[test]
fn only_a_well_formed_offer_is_one() {
    let offers = |params: &str| {
        let via = format!("SIP/2.0/UDP h;branch=z9hG4bK1{params}");
        let offers = offers_control(&Via::parse(&via).unwrap());
        assert!(!offers || may_offer_control(&via), "{via} is looked at");
        offers
    };
    assert!(offers(";oc;oc-algo=\"loss\""));
    assert!(offers(";oc;oc-algo=\"rate, LOSS\""));
    assert!(offers(";OC-ALGO=\"loss\";OC"));
    for params in [
        "",
        ";oc",
        ";oc=20;oc-algo=\"loss\"",
        ";oc;oc-algo=\"rate\"",
        ";oc-algo=\"loss\"",
        ";ocx;oc-algo=\"loss\"",
    ] {
        assert!(!offers(params), "{params}");
    }
    assert!(!may_offer_control("SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport"));
}

#[test]
fn an_offer_is_filled_in_and_everything_else_stays() {
    let via = Via::parse("SIP/2.0/UDP h:5060;branch=z9hG4bK1;oc;rport=1;oc-algo=\"loss,A\" ;received=1.2.3.4").unwrap();
    assert_eq!(
        filled(&via, "oc=7;oc-algo=\"loss\""),
        "SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport=1;received=1.2.3.4;oc=7;oc-algo=\"loss\""
    );
}

/// A worker that a number of calls are offered to in each interval, and that spends `call` on one it takes, `refusal` on a 503 and
/// nothing on what its sockets drop, in microseconds; calls taken in an interval, and what is held back, over the last fifty.
fn offer(overload: &mut Overload, calls: u32, call: u32, refusal: u32) -> (u32, u32) {
    let mut chance = Chance::new(7);
    let (mut taken, mut held_back) = (0, 0);
    for round in 0..250 {
        let mut busy = 0;
        let dropped = overload.drops();
        for _ in 0..calls {
            if chance.below(1000) < u64::from(dropped) {
                continue;
            }
            let shed = overload.sheds(&mut chance, true);
            busy += if shed { refusal } else { call };
            taken += u32::from(!shed && round >= 200);
        }
        let busy = Duration::from_micros(busy.into());
        // What does not fit into this interval makes it longer.
        overload.worked(busy, INTERVAL.saturating_sub(busy));
        let load = Load {
            loss: overload.loss(),
            held_back: overload.held_back,
        };
        overload.in_force = Some(load);
        held_back += if round >= 200 { load.held_back } else { 0 };
    }
    (taken / 50, held_back / 50)
}

#[test]
fn ten_times_the_load_leaves_nine_tenths_of_the_calls_that_could_be_carried() {
    // A hundred microseconds a call: five hundred fit into an interval.
    let (taken, held_back) = offer(&mut Overload::default(), 5_000, 100, 20);
    assert!((430..=500).contains(&taken), "{taken} of 500");
    assert!((850..=950).contains(&held_back), "{held_back} in a thousand");
}

#[test]
fn whom_there_is_time_to_answer_is_answered() {
    // Somewhat more than fit: a 503 for each that does not.
    let (taken, held_back) = offer(&mut Overload::default(), 505, 100, 20);
    assert!((430..=500).contains(&taken), "{taken} of 500");
    assert_eq!(held_back, 0);
    let (taken, held_back) = offer(&mut Overload::default(), 400, 100, 20);
    assert_eq!((taken, held_back), (400, 0), "no overload");
}

#[test]
fn nothing_is_held_back_when_the_load_is_gone() {
    let mut overload = Overload::default();
    offer(&mut overload, 5_000, 100, 20);
    assert!(overload.held_back > 0);
    offer(&mut overload, 100, 100, 20);
    assert_eq!((overload.loss(), overload.held_back), (0, 0));
}

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
    let offers = |params: &str| offers_control(&Via::parse(&format!("SIP/2.0/UDP h;branch=z9hG4bK1{params}")).unwrap());
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
}

#[test]
fn an_offer_is_filled_in_and_everything_else_stays() {
    let via = Via::parse("SIP/2.0/UDP h:5060;branch=z9hG4bK1;oc;rport=1;oc-algo=\"loss,A\" ;received=1.2.3.4").unwrap();
    assert_eq!(
        filled(&via, "oc=7;oc-algo=\"loss\""),
        "SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport=1;received=1.2.3.4;oc=7;oc-algo=\"loss\""
    );
}

//! The demonstration checks itself; here it is run as a whole, and what it covers is counted.

use super::cases::{CASES, Then};
use super::world::World;
use super::{Shown, table};
use crate::rules::Reason;

#[test]
fn every_call_goes_as_it_should_and_the_table_fits_a_hundred_columns() {
    let mut world = World::build().expect("a world");
    let shown: Vec<Shown> = CASES.iter().map(|case| world.play(case).expect("answered")).collect();
    world.close().expect("closed");
    for one in &shown {
        assert_eq!(one.differs, None, "{}", one.case.words);
    }
    let text = table::render(&shown);
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
    assert!(!text.contains('\u{1b}'), "no colours");
}

#[test]
fn every_reason_that_a_call_can_meet_has_a_call() {
    // Not in this demonstration: the rate and the identity check are not built, and a store that fails needs a disk that does.
    let apart = [Reason::SourceRate, Reason::CallerIdUnverified, Reason::StoreUnavailable];
    for reason in Reason::ALL.iter().filter(|reason| !apart.contains(reason)) {
        let shown = CASES.iter().any(|case| match case.then {
            Then::Goes(code) | Then::Refused(code, _) => code == reason.code(),
        });
        assert!(shown, "{reason}");
    }
}

#[test]
fn the_calls_stand_in_the_order_of_their_dates() {
    let moments: Vec<_> = CASES
        .iter()
        .flat_map(|case| case.calls)
        .map(|(at, _)| super::world::moment(at))
        .collect();
    assert!(moments.is_sorted());
}

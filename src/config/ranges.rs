//! Ranges of caller numbers as the file writes them, and the check that no two legal entities own the same number.

use std::ops::Range;

use serde::Deserialize;

use super::section::{Faults, Section};
use crate::gate::NumberRange;
use crate::numbering::{E164, Number, Plan};

/// A range and where it stands.
pub(super) type Placed = (NumberRange, Range<usize>);

/// A list of ranges under a key; empty where the key is absent.
pub(super) fn list<'t>(section: &mut Section<'t, '_>, key: &'static str, plan: &Plan) -> Vec<Placed> {
    let texts = section.list::<Text<'t>>(key);
    let mut ranges = Vec::new();
    for text in texts.map(|(_, texts)| texts).unwrap_or_default() {
        match range(&text.get_ref().0, plan) {
            Ok(range) => ranges.push((range, text.span())),
            Err(why) => section
                .faults
                .push(text.span(), format!("{:?}: {why}", text.get_ref().0)),
        }
    }
    ranges
}

#[derive(Deserialize)]
struct Text<'t>(#[serde(borrow)] std::borrow::Cow<'t, str>);

/// One number, or two joined by a hyphen. A hyphen may as well stand within a number, so the whole is tried first.
fn range(text: &str, plan: &Plan) -> Result<NumberRange, String> {
    let open = text.trim().starts_with('-') || text.trim().ends_with('-');
    if open {
        return Err(EXPECTED.to_owned());
    }
    if let Ok(Number::E164(number)) = plan.read(text) {
        return Ok(bounded(number, number));
    }
    let ends: Vec<_> = text
        .match_indices('-')
        .filter_map(|(at, _)| match (plan.read(&text[..at]), plan.read(&text[at + 1..])) {
            (Ok(Number::E164(first)), Ok(Number::E164(last))) => Some((first, last)),
            _ => None,
        })
        .collect();
    let [(first, last)] = ends[..] else {
        return Err(EXPECTED.to_owned());
    };
    let digits = |number: E164| number.get().ilog10();
    if first > last || digits(first) != digits(last) {
        return Err("expected a range whose last number is no lower than its first, with as many digits".to_owned());
    }
    Ok(bounded(first, last))
}

fn bounded(first: E164, last: E164) -> NumberRange {
    NumberRange {
        first,
        last,
        from: None,
        until: None,
    }
}

/// Two ranges of different owners that share a number are a fault at the later of the two.
pub(super) fn disjoint<O: PartialEq, D: Fn(&O) -> String>(
    mut owned: Vec<(O, NumberRange, Range<usize>)>,
    describe: D,
    faults: &Faults,
) {
    owned.sort_by_key(|(_, range, _)| (range.first, range.last));
    // The range that reaches furthest, and the furthest of anybody else: enough to meet every owner that overlaps.
    let mut furthest: [Option<usize>; 2] = [None, None];
    for (position, (owner, range, at)) in owned.iter().enumerate() {
        let other = furthest
            .iter()
            .flatten()
            .map(|&before| &owned[before])
            .find(|(before, reach, _)| before != owner && reach.last >= range.first);
        if let Some((other, reach, other_at)) = other {
            let (at, of) = if other_at.start > at.start {
                (other_at, owner)
            } else {
                (at, other)
            };
            let shared = range.last.min(reach.last);
            faults.push(
                at.clone(),
                format!(
                    "{} to {shared} also belong to {}: expected one owner",
                    range.first,
                    describe(of)
                ),
            );
        }
        let reaches = |slot: Option<usize>| slot.is_none_or(|before| owned[before].1.last < range.last);
        let same_owner = furthest[0].is_some_and(|first| owned[first].0 == *owner);
        if same_owner && reaches(furthest[0]) {
            furthest[0] = Some(position);
        } else if !same_owner && reaches(furthest[0]) {
            furthest = [Some(position), furthest[0]];
        } else if !same_owner && reaches(furthest[1]) {
            furthest[1] = Some(position);
        }
    }
}

const EXPECTED: &str =
    "expected a number or a range such as \"+33162001000-+33162001999\", in any dialled form but no short number";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::Law;

    #[test]
    fn ranges_are_read_in_any_dialled_form() {
        let law = Law::embedded();
        for text in [
            "+33162001000-+33162001999",
            "0162001000-0162001999",
            "01 62 00 10 00 - 01 62 00 19 99",
            "01-62-00-10-00-01-62-00-19-99",
            "0033162001000-33162001999",
        ] {
            let range = range(text, &law.plan).unwrap();
            assert_eq!(
                (range.first.get(), range.last.get()),
                (33_162_001_000, 33_162_001_999),
                "{text}"
            );
        }
        let one = range("01-62-00-10-00", &law.plan).unwrap();
        assert_eq!(
            (one.first, one.last),
            (E164::new(33_162_001_000).unwrap(), E164::new(33_162_001_000).unwrap())
        );
        for text in [
            "",
            "-",
            "+33162001999-+33162001000",
            "15",
            "+33162001000-",
            "+33162001000-15",
            "+33162001000-+442079460000",
        ] {
            assert!(range(text, &law.plan).is_err(), "{text}");
        }
    }

    /// Owners and ranges as digits after a common beginning, and how many overlaps are told.
    #[test]
    fn numbers_of_two_owners_are_found_whatever_lies_between() {
        for (owned, told) in [
            (&[("a", 1, 5), ("b", 6, 9)][..], 0),
            (&[("a", 1, 5), ("b", 5, 9)], 1),
            (&[("a", 1, 9), ("a", 2, 3), ("b", 4, 4)], 1),
            (&[("a", 1, 9), ("a", 1, 9)], 0),
            (&[("b", 1, 6), ("a", 1, 9), ("a", 5, 9), ("b", 7, 7)], 3),
            (&[("a", 1, 9), ("b", 2, 8), ("a", 3, 7)], 2),
        ] {
            let faults = Faults::default();
            let owned = owned.iter().enumerate().map(|(at, (owner, first, last))| {
                let number = |digit: &u64| E164::new(33_162_001_000 + digit).unwrap();
                (*owner, bounded(number(first), number(last)), at..at + 1)
            });
            disjoint(owned.collect(), ToString::to_string, &faults);
            assert_eq!(faults.into_parts().0.len(), told);
        }
    }
}

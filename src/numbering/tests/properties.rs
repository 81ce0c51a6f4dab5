//! What holds of any number, however it is dialled, and of any text.

use proptest::prelude::*;

use super::*;

/// A number in some block, as its national form where it has one.
fn any_number() -> impl Strategy<Value = (String, Number)> {
    (prop::sample::select(NATIONAL), 0u64..1000).prop_map(|((dialled, key, ..), tail)| {
        let replaced = |text: &str| format!("{}{tail:03}", &text[..text.len() - 3]);
        (replaced(dialled), number(&replaced(key)))
    })
}

/// A number's digits with separators strewn between them, some of them escaped.
fn strewn(prefix: &'static str, digits: String) -> impl Strategy<Value = String> {
    let separators = prop::collection::vec(
        prop::sample::select(&["", "", "", "", " ", ".", "-", "(", ")", "%20", "\u{a0}", "\t"][..]),
        digits.len(),
    );
    separators.prop_map(move |between| {
        let pairs = digits
            .chars()
            .zip(between)
            .map(|(digit, separator)| format!("{digit}{separator}"));
        format!("{prefix}{}", pairs.collect::<String>())
    })
}

fn any_dialled_form() -> impl Strategy<Value = (String, Number)> {
    any_number().prop_flat_map(|(national, key)| {
        let Number::E164(e164) = key else {
            unreachable!("NATIONAL holds no short numbers")
        };
        let own = e164.get().to_string();
        let mistaken = national[1..].to_owned();
        let forms = prop_oneof![
            strewn("", national.clone()),
            strewn("tel:", national),
            strewn("+", own.clone()),
            strewn("00", own.clone()),
            strewn("", own.clone()),
            strewn("%2B", own.clone()),
            strewn("sip:+", own.clone()),
            strewn("tel:+", own),
            strewn("+33", mistaken.clone()),
            strewn("0033", mistaken.clone()),
            strewn("33", mistaken.clone()),
            strewn("+33(0)", mistaken),
        ];
        let tails = prop::sample::select(
            &[
                "",
                ";phone-context=+33",
                ";isub=12",
                ";npdi;rn=+3310200",
                "@host;user=phone",
            ][..],
        );
        (forms, tails).prop_map(move |(form, tail)| (format!("{form}{tail}"), key))
    })
}

proptest! {
    #[test]
    fn any_dialled_form_of_a_number_gives_the_same_key((dialled, key) in any_dialled_form()) {
        prop_assert_eq!(read(&dialled), Ok(key), "{}", dialled);
    }

    #[test]
    fn reading_never_panics(dialled in "\\PC*") {
        let _ = read(&dialled);
    }

    #[test]
    fn reading_what_looks_like_a_number_never_panics(dialled in "(tel:|sip:|)[+%]?[0-9%+;=:@ ().a-fB\u{a0}-]{0,40}(;phone-context=[+0-9]{0,20})?") {
        if let Ok(read) = read(&dialled) {
            let _ = class(read, TODAY);
        }
    }

    #[test]
    fn what_is_read_is_read_again_from_its_own_spelling(dialled in "[+]?[0-9]{1,16}") {
        if let Ok(Number::E164(key)) = read(&dialled) {
            prop_assert_eq!(read(&key.to_string()), Ok(Number::E164(key)));
        }
    }

    #[test]
    fn every_number_has_a_class(digits in 1u64..=E164::MAX, code in 10u32..=999_999, days in -200_000i32..200_000) {
        let on = NaiveDate::from_epoch_days(days).unwrap();
        let plan = &Law::embedded().plan;
        let international = plan.class(Number::E164(E164::new(digits).unwrap()), on);
        prop_assert_eq!(international.category == Foreign, international.territory.is_none());
        prop_assert_eq!(plan.class(Number::Short(ShortCode::new(code).unwrap()), on).territory, None);
    }
}

//! The plan as the law file ships it: every root of the numbering plan. This is the one place in numbering that knows `law`, for its
//! data.
//!
//! - [`dialled`]: every way in which a number is dialled.
//! - [`properties`]: what holds of any number and any text.

mod dialled;
mod properties;

use chrono::NaiveDate;

use super::*;
use crate::law::Law;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn read(dialled: &str) -> Result<Number, NumberError> {
    Law::embedded().plan.read(dialled)
}

fn class(number: Number, on: &str) -> Class {
    Law::embedded().plan.class(number, day(on))
}

/// `+33…`, or a short number without plus.
fn number(text: &str) -> Number {
    match text.strip_prefix('+') {
        Some(digits) => Number::E164(E164::new(digits.parse().unwrap()).unwrap()),
        None => Number::Short(ShortCode::new(text.parse().unwrap()).unwrap()),
    }
}

fn in_territory(category: Category, territory: Territory) -> Class {
    Class {
        category,
        territory: Some(territory),
    }
}

const TODAY: &str = "2026-09-01";

use Category::{
    Directory, Emergency, ExtendedMobile, ExtendedPolyvalent, Foreign, GeneralInterest, Geographic, Mobile, Npv,
    Platform, Polyvalent, Premium, Premium089, Short, ShortFree, Special, SpecialFree, Unallocated,
};
use Territory::{
    Guadeloupe, Guyane, Martinique, Mayotte, Metropole, NewCaledonia, Polynesia, Reunion, SaintPierre, WallisFutuna,
};

/// regulation.md §1.1, §1.3 and §1.4: national form, its E.164 form, category and territory.
#[rustfmt::skip]
const NATIONAL: &[(&str, &str, Category, Territory)] = &[
    // §1.1, verified numbers
    ("0162001000", "+33162001000", Npv, Metropole),
    ("0163001000", "+33163001000", Npv, Metropole),
    ("0270001000", "+33270001000", Npv, Metropole),
    ("0271001000", "+33271001000", Npv, Metropole),
    ("0377001000", "+33377001000", Npv, Metropole),
    ("0378001000", "+33378001000", Npv, Metropole),
    ("0424001000", "+33424001000", Npv, Metropole),
    ("0425001000", "+33425001000", Npv, Metropole),
    ("0568001000", "+33568001000", Npv, Metropole),
    ("0569001000", "+33569001000", Npv, Metropole),
    ("0948001000", "+33948001000", Npv, Metropole),
    ("0949001000", "+33949001000", Npv, Metropole),
    ("0947500100", "+590947500100", Npv, Guadeloupe),
    ("0947600100", "+594947600100", Npv, Guyane),
    ("0947700100", "+596947700100", Npv, Martinique),
    ("0947800100", "+262947800100", Npv, Mayotte),
    ("0947900100", "+262947900100", Npv, Reunion),
    ("0598700100", "+590598700100", Npv, Guadeloupe),
    ("0598800100", "+594598800100", Npv, Guyane),
    ("0598900100", "+596598900100", Npv, Martinique),
    ("0268800100", "+262268800100", Npv, Reunion),
    ("0268900100", "+262268900100", Npv, Mayotte),
    // §1.3, what the categories begin with
    ("0123456789", "+33123456789", Geographic, Metropole),
    ("0223456789", "+33223456789", Geographic, Metropole),
    ("0323456789", "+33323456789", Geographic, Metropole),
    ("0423456789", "+33423456789", Geographic, Metropole),
    ("0523456789", "+33523456789", Geographic, Metropole),
    ("0164001000", "+33164001000", Geographic, Metropole),
    ("0261001000", "+33261001000", Geographic, Metropole),
    ("0264001000", "+33264001000", Geographic, Metropole),
    ("0970123456", "+33970123456", Polyvalent, Metropole),
    ("0947412345", "+33947412345", Polyvalent, Metropole),
    ("0976512345", "+33976512345", Polyvalent, Metropole),
    ("0612345678", "+33612345678", Mobile, Metropole),
    ("0639912345", "+262639912345", Mobile, Mayotte),
    ("0730123456", "+33730123456", Mobile, Metropole),
    ("0799123456", "+33799123456", Mobile, Metropole),
    ("0937001000", "+33937001000", Platform, Metropole),
    ("0938001000", "+33938001000", Platform, Metropole),
    ("0939012345", "+33939012345", Platform, Metropole),
    ("0939412345", "+33939412345", Platform, Metropole),
    ("0939512345", "+590939512345", Platform, Guadeloupe),
    ("0939612345", "+594939612345", Platform, Guyane),
    ("0939712345", "+596939712345", Platform, Martinique),
    ("0939812345", "+262939812345", Platform, Mayotte),
    ("0939912345", "+262939912345", Platform, Reunion),
    ("0151012345", "+33151012345", GeneralInterest, Metropole),
    ("0281012345", "+33281012345", GeneralInterest, Metropole),
    ("0341012345", "+33341012345", GeneralInterest, Metropole),
    ("0441012345", "+33441012345", GeneralInterest, Metropole),
    ("0541012345", "+33541012345", GeneralInterest, Metropole),
    ("0941012345", "+33941012345", GeneralInterest, Metropole),
    ("07000123456789", "+337000123456789", ExtendedMobile, Metropole),
    ("07004123456789", "+337004123456789", ExtendedMobile, Metropole),
    ("09010123456789", "+339010123456789", ExtendedPolyvalent, Metropole),
    ("09014123456789", "+339014123456789", ExtendedPolyvalent, Metropole),
    ("0800123456", "+33800123456", SpecialFree, Metropole),
    ("0805123456", "+33805123456", SpecialFree, Metropole),
    ("0806123456", "+33806123456", Special, Metropole),
    ("0809123456", "+33809123456", Special, Metropole),
    ("0810123456", "+33810123456", Premium, Metropole),
    ("0825123456", "+33825123456", Premium, Metropole),
    ("0836123456", "+33836123456", Premium, Metropole),
    ("0860123456", "+33860123456", Premium, Metropole),
    ("0868123456", "+33868123456", Premium, Metropole),
    ("0890123456", "+33890123456", Premium089, Metropole),
    ("0899123456", "+33899123456", Premium089, Metropole),
    // §1.4, overseas
    ("0262123456", "+262262123456", Geographic, Reunion),
    ("0263001234", "+262263001234", Geographic, Reunion),
    ("0269601234", "+262269601234", Geographic, Mayotte),
    ("0508412345", "+508412345", Geographic, SaintPierre),
    ("0708412345", "+508708412345", Mobile, SaintPierre),
    ("0708512345", "+508708512345", Mobile, SaintPierre),
    ("0590123456", "+590590123456", Geographic, Guadeloupe),
    ("0594123456", "+594594123456", Geographic, Guyane),
    ("0596123456", "+596596123456", Geographic, Martinique),
    ("0690123456", "+590690123456", Mobile, Guadeloupe),
    ("0691223456", "+590691223456", Mobile, Guadeloupe),
    ("0709012345", "+590709012345", Mobile, Guadeloupe),
    ("0694123456", "+594694123456", Mobile, Guyane),
    ("0709301234", "+594709301234", Mobile, Guyane),
    ("0709331234", "+594709331234", Mobile, Guyane),
    ("0696123456", "+596696123456", Mobile, Martinique),
    ("0697123456", "+596697123456", Mobile, Martinique),
    ("0709112345", "+596709112345", Mobile, Martinique),
    ("0692123456", "+262692123456", Mobile, Reunion),
    ("0693123456", "+262693123456", Mobile, Reunion),
    ("0709212345", "+262709212345", Mobile, Reunion),
    ("0639123456", "+262639123456", Mobile, Mayotte),
    ("0709351234", "+262709351234", Mobile, Mayotte),
    ("0709371234", "+262709371234", Mobile, Mayotte),
    ("0976012345", "+590976012345", Polyvalent, Guadeloupe),
    ("0976112345", "+590976112345", Polyvalent, Guadeloupe),
    ("0976812345", "+590976812345", Polyvalent, Guadeloupe),
    ("0976212345", "+262976212345", Polyvalent, Reunion),
    ("0976312345", "+262976312345", Polyvalent, Reunion),
    ("0976412345", "+594976412345", Polyvalent, Guyane),
    ("0976612345", "+596976612345", Polyvalent, Martinique),
    ("0976712345", "+596976712345", Polyvalent, Martinique),
    ("0976912345", "+262976912345", Polyvalent, Mayotte),
    // In the code space and in no block
    ("0700512345", "+33700512345", Unallocated, Metropole),
    ("0712345678", "+33712345678", Unallocated, Metropole),
    ("0729123456", "+33729123456", Unallocated, Metropole),
    ("0709341234", "+33709341234", Unallocated, Metropole),
    ("0830123456", "+33830123456", Unallocated, Metropole),
];

#[test]
fn every_root_of_the_plan_has_its_key_category_and_territory() {
    for (dialled, key, category, territory) in NATIONAL {
        assert_eq!(read(dialled), Ok(number(key)), "{dialled}");
        assert_eq!(
            class(number(key), TODAY),
            in_territory(*category, *territory),
            "{dialled}"
        );
        assert_eq!(read(key), Ok(number(key)), "{key}");
    }
}

#[test]
fn pacific_numbers_have_plans_of_their_own() {
    for (dialled, category, territory) in [
        ("+687201234", Geographic, NewCaledonia),
        ("+687881234", Geographic, NewCaledonia),
        ("+687501234", Mobile, NewCaledonia),
        ("+687751234", Mobile, NewCaledonia),
        ("+687801234", Mobile, NewCaledonia),
        ("+687911234", Mobile, NewCaledonia),
        ("+687611234", Unallocated, NewCaledonia),
        ("+68940123456", Geographic, Polynesia),
        ("+68949123456", Geographic, Polynesia),
        ("+68987123456", Mobile, Polynesia),
        ("+68989123456", Mobile, Polynesia),
        ("+68930123456", Unallocated, Polynesia),
        ("+681721234", Geographic, WallisFutuna),
        ("+681821234", Mobile, WallisFutuna),
        ("+681831234", Mobile, WallisFutuna),
        ("+681501234", Unallocated, WallisFutuna),
    ] {
        assert_eq!(read(dialled), Ok(number(dialled)), "{dialled}");
        assert_eq!(read(&dialled.replace('+', "00")), Ok(number(dialled)), "{dialled}");
        assert_eq!(
            class(number(dialled), TODAY),
            in_territory(category, territory),
            "{dialled}"
        );
    }
    for wrong in ["+6872012345", "+68720123", "+6894012345", "+689401234567", "+68172123"] {
        assert!(matches!(read(wrong), Err(NumberError::Length(_))), "{wrong}");
    }
}

/// regulation.md §1.4, the rows of short numbers.
#[test]
fn short_numbers_have_their_categories() {
    for (category, codes) in [
        (Emergency, "15 17 18 112 114 115 119 191 196 197 116000 116111 116117"),
        (
            Short,
            "116006 116123 1014 1023 3008 3170 3179 3200 3246 3400 3900 3919 3949 3999",
        ),
        (ShortFree, "3000 3007 3009 3010 3117 3169 3180 3199"),
        (Directory, "118000 118218 118712 118999"),
        (
            Unallocated,
            "16 19 110 113 116 118 1160 11800 30 300 20 2000 4000 12345 333",
        ),
    ] {
        for code in codes.split(' ') {
            assert_eq!(read(code), Ok(number(code)), "{code}");
            let expected = Class {
                category,
                territory: None,
            };
            assert_eq!(class(number(code), TODAY), expected, "{code}");
        }
    }
    assert_eq!(class(number("3010"), "2022-12-31").category, Short);
    assert_eq!(class(number("15"), "1990-01-01").category, Emergency);
}

#[test]
fn categories_hold_from_their_first_day() {
    for (key, before, from, category) in [
        ("+33162001000", Geographic, "2023-01-01", Npv),
        ("+33948001000", Polyvalent, "2023-01-01", Npv),
        ("+590947500100", Unallocated, "2023-01-01", Npv),
        ("+262947900100", Unallocated, "2023-01-01", Npv),
        ("+33937001000", Polyvalent, "2023-01-01", Platform),
        ("+590598700100", Unallocated, "2026-01-01", Npv),
        ("+594598800100", Unallocated, "2026-01-01", Npv),
        ("+596598900100", Unallocated, "2026-01-01", Npv),
        ("+262268800100", Unallocated, "2026-01-01", Npv),
        ("+262268900100", Unallocated, "2026-01-01", Npv),
        ("+33151012345", Geographic, "2026-01-01", GeneralInterest),
        ("+33941012345", Polyvalent, "2026-01-01", GeneralInterest),
    ] {
        let eve = day(from).pred_opt().unwrap().to_string();
        assert_eq!(class(number(key), &eve).category, before, "{key}");
        assert_eq!(class(number(key), from).category, category, "{key}");
    }
}

#[test]
fn other_countries_are_foreign() {
    for dialled in [
        "+442079460000",
        "00442079460000",
        "+12025550123",
        "+2612034567",
        "+5912345678",
        "+68812345",
        "+3212345678",
    ] {
        let read = read(dialled).unwrap();
        let foreign = Class {
            category: Foreign,
            territory: None,
        };
        assert_eq!(class(read, TODAY), foreign, "{dialled}");
    }
    assert_eq!(read("00442079460000"), Ok(number("+442079460000")));
}

#[test]
fn a_key_of_the_wrong_length_is_unallocated() {
    for key in [
        "+3316200100",
        "+331620010000",
        "+33700012345",
        "+50841234",
        "+33",
        "+590",
    ] {
        assert_eq!(class(number(key), TODAY).category, Unallocated, "{key}");
    }
}

//! The plan as the law file ships it: every root of the numbering plan, and every way in which a number is dialled. This is
//! the one place in numbering that knows `law`, for its data.

use chrono::NaiveDate;
use proptest::prelude::*;

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
fn every_root_is_read_behind_33_by_mistake() {
    for (dialled, key, ..) in NATIONAL {
        for prefix in ["+33", "0033", "33", "+33 (0)", "+330", "00330", "330"] {
            assert_eq!(
                read(&format!("{prefix}{}", &dialled[1..])),
                Ok(number(key)),
                "{prefix} {dialled}"
            );
        }
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

#[test]
fn one_number_however_it_is_written() {
    let written = [
        "0612345678",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "06-12-34-56-78",
        "(06) 12 34 56 78",
        "\t0612345678 ",
        "06\u{a0}12\u{202f}34\u{2009}56\u{2007}78",
        "06‑12–34‐56-78",
        "\u{feff}0612345678",
        "\u{202a}0612345678\u{202c}",
        "+33612345678",
        "+33 6 12 34 56 78",
        "+33 (0)6 12 34 56 78",
        "(+33) 6 12 34 56 78",
        "+330612345678",
        "+33-6-12-34-56-78",
        "0033612345678",
        "00 33 6 12 34 56 78",
        "0033 (0)6 12 34 56 78",
        "33612345678",
        "330612345678",
        "%2B33612345678",
        "%2b33612345678",
        "+33%20612%2D345%2E678",
        "%30612345678",
        "tel:+33612345678",
        "tel:+33-6-12-34-56-78",
        "TEL:+33612345678",
        "tel:0612345678;phone-context=+33",
        "tel:612345678;phone-context=+33",
        "tel:06-12-34-56-78;phone-context=%2B33",
        "tel:0612345678;Phone-Context=+33",
        "tel:0612345678;phone-context=example.net",
        "tel:33612345678;phone-context=+33",
        "tel:0612345678;phone-context=+590",
        "tel:+33612345678;phone-context=+44",
        "tel:0033612345678;phone-context=+44",
        "tel:+33612345678;isub=12345",
        "tel:+33612345678;ext=12",
        "tel:+33612345678;npdi;rn=+3310200",
        "tel:+33612345678;npdi",
        "+33612345678;npdi;rn=+3310200;cic=+33",
        "0612345678;phone-context=+33",
        "sip:+33612345678@proxy.example.net",
        "sip:0612345678@192.0.2.1:5060;user=phone",
        "sips:+33612345678@host;transport=tls",
        "SIP:%2B33612345678@host",
        "sip:0612345678;phone-context=+33@host",
        "sip:+33612345678;npdi@host;phone-context=+44",
        "sip:0612345678:secret@host",
        "sip:+33612345678;phone-context=+33;isub=1@[2001:db8::1]:5060",
        "0612345678@host",
        "  tel:+33612345678",
    ];
    for dialled in written {
        assert_eq!(read(dialled), Ok(number("+33612345678")), "{dialled:?}");
    }
}

#[test]
fn no_number_begins_with_the_national_prefix_after_its_code() {
    // Read as a number, each would read back as another one.
    for dialled in ["+33 00 55401456", "0508 00 00 10", "+508 000010", "+262 00 123456"] {
        assert!(read(dialled).is_err(), "{dialled}: {:?}", read(dialled));
    }
}

#[test]
fn overseas_numbers_however_they_are_written() {
    for (key, written) in [
        (
            "+590947512345",
            "0947512345 +33947512345 0033947512345 33947512345 +330947512345 +590947512345 590947512345 +5900947512345",
        ),
        (
            "+262947812345",
            "0947812345 +33947812345 +262947812345 262947812345 00262947812345",
        ),
        (
            "+508412345",
            "0508412345 +508412345 508412345 00508412345 +33508412345 33508412345 +5080508412345 +508508412345 +5080412345",
        ),
        (
            "+508708412345",
            "0708412345 +508708412345 +33708412345 508708412345 +5080708412345",
        ),
        ("+68940123456", "+68940123456 0068940123456 68940123456"),
        ("+687501234", "+687501234 00687501234 tel:501234;phone-context=+687"),
        (
            "+508412345",
            "tel:412345;phone-context=+508 tel:0508412345;phone-context=+508 tel:508412345;phone-context=+508",
        ),
        (
            "+590590123456",
            "tel:0590123456;phone-context=+590 tel:590123456;phone-context=+590 tel:590590123456;phone-context=+33",
        ),
    ] {
        for dialled in written.split(' ') {
            assert_eq!(read(dialled), Ok(number(key)), "{dialled}");
        }
    }
}

#[test]
fn only_33_is_mistaken_for_a_code_of_another_territory() {
    // Under their own codes, numbers are what they are: here in no block.
    for key in ["+590612345678", "+262123456789", "+596590123456"] {
        assert_eq!(read(key), Ok(number(key)));
        assert_eq!(class(number(key), TODAY).category, Unallocated, "{key}");
    }
}

#[test]
fn short_numbers_behind_a_prefix_are_short_numbers() {
    for (dialled, code) in [
        ("+33112", "112"),
        ("0033112", "112"),
        ("33112", "112"),
        ("+3315", "15"),
        ("+590 15", "15"),
        ("+687 17", "17"),
        ("+112", "112"),
        ("+15", "15"),
        ("+116000", "116000"),
        ("+33116000", "116000"),
        ("+333949", "3949"),
        ("+3949", "3949"),
        ("+33118712", "118712"),
        ("0112", "112"),
        ("015", "15"),
        ("3315", "3315"), // a number of its own; +3315 says otherwise
        ("tel:112;phone-context=+33", "112"),
        ("tel:112;phone-context=+1", "112"),
        ("tel:0112;phone-context=+1", "112"),
        ("tel:3949;phone-context=+33", "3949"),
        ("tel:118712;phone-context=+687", "118712"),
        ("sip:17@host", "17"),
        ("sip:1%35@host", "15"),
        ("1-1-2", "112"),
    ] {
        assert_eq!(read(dialled), Ok(number(code)), "{dialled}");
    }
    // No such favour to numbers that are no emergency.
    assert_eq!(read("03949"), Err(NumberError::Length(5)));
    assert_eq!(read("+33999"), Err(NumberError::Length(5)));
}

#[test]
fn what_is_no_number_is_refused_with_its_reason() {
    use NumberError::{Character, Context, CountryCode, Empty, Length};
    for (dialled, error) in [
        ("", Empty),
        ("   ", Empty),
        ("+", Empty),
        ("tel:", Empty),
        ("sip:@host", Empty),
        (";phone-context=+33", Empty),
        ("*31#0612345678", Character('*', 0)),
        ("%2A31%230612345678", Character('*', 0)),
        ("#31#0612345678", Character('#', 0)),
        ("0612345678#", Character('#', 10)),
        ("0612345678,,12", Character(',', 10)),
        ("0612345678p12", Character('p', 10)),
        ("alice", Character('a', 0)),
        ("sip:alice@host", Character('a', 4)),
        ("anonymous", Character('a', 0)),
        ("06123x5678", Character('x', 5)),
        ("0612+345678", Character('+', 4)),
        ("++33612345678", Character('+', 1)),
        ("0612%2A56", Character('*', 4)),
        ("0612%", Character('%', 4)),
        ("0612%4", Character('%', 4)),
        ("0612%zz", Character('%', 4)),
        ("0612%C3%A9", Character('%', 4)),
        ("06/12/34/56/78", Character('/', 2)),
        ("٠٦١٢٣٤٥٦٧٨", Character('٠', 0)),
        ("061234567", Length(9)),
        ("06123456789", Length(11)), // a digit too many reaches the same telephone
        ("+3361234567", Length(10)),
        ("+336123456789", Length(12)),
        ("0700012345", Length(10)), // fourteen digits there
        ("0700012345678", Length(13)),
        ("612345678", Length(9)),
        ("687123456", Length(9)),    // Nouméa, or 06 87 12 34 56 without its zero
        ("90612345678", Length(11)), // an outside line and a mobile, or Türkiye
        ("442079460000", Length(12)),
        ("1", Length(1)),
        ("0", Length(1)),
        ("+12345", Length(5)),
        ("+1234567890123456", Length(16)),
        ("123456789012345678901234567890", Length(30)),
        ("00", Length(2)),
        ("+0612345678", CountryCode),
        ("000612345678", CountryCode),
        ("tel:0612345678;phone-context=+44", Context),
        ("tel:612345678;phone-context=+44", Context),
        ("tel:0612345678;phone-context=+687", Context),
    ] {
        assert_eq!(read(dialled), Err(error), "{dialled:?}");
    }
    let long = " ".repeat(10_000) + "0612345678";
    assert!(read(&long).is_ok(), "leading blanks are no part of it");
    let spread = format!("06{}12345678", " ".repeat(10_000));
    assert_eq!(read(&spread), Err(NumberError::Length(2)));
}

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

//! Every way in which a number is dialled, and what is no number.

use super::*;

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

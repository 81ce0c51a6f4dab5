//! `import`: each kind, what it changes, and the lines set aside.

use crate::support::server::{Site, faketime};
use crate::{CALLEE, NPV, OPT_IN, TUESDAY, decide, expect, import, reasons, rejected, site};

#[test]
fn imported_refusals_bind() {
    let site = site();
    let text = "number,professional,at,channel\n06 12 34 56 78,acme,2023-06-01T11:00:00+02:00,call\n\
                +33612345679,acme,2023-06-01T11:00:00+02:00,letter\n";
    expect(&import(&site, "refusals", text, &[]), 0);
    assert_eq!(rejected(&site, "refusals"), None);
    let (code, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!((code, value["reason"].as_str()), (1, Some("refusal.active")));
    let next = value["next_allowed"].as_str().expect("a moment");
    let first = chrono::DateTime::parse_from_rfc3339("2023-08-01T10:00:00+02:00").expect("a moment");
    assert_eq!(chrono::DateTime::parse_from_rfc3339(next).expect("a moment"), first);
    // Sixty days have to elapse: the first lawful day is D+61.
    let (_, value) = decide(&site, NPV, CALLEE, Some("2023-07-31T10:30:00+02:00"));
    assert_eq!(value["reason"].as_str(), Some("refusal.active"), "{value}");
    let (code, value) = decide(&site, NPV, CALLEE, Some("2023-08-01T10:30:00+02:00"));
    assert_eq!(code, 0, "{value}");
}

#[test]
fn imported_consents_open_the_opt_in() {
    let site = site();
    let text = "number,professional,given_at,channel,evidence,scope,expires,object\n\
                0612345678,acme,2026-10-01T09:00:00+02:00,web,proof-1,prospecting,2027-09-30T00:00:00+02:00,insurance\n";
    expect(&import(&site, "consents", text, &[]), 0);
    let (code, value) = decide(&site, NPV, CALLEE, Some(OPT_IN));
    assert_eq!(code, 0, "{value}");
    assert_eq!(value["attempts_left"], 4);
    let (_, value) = decide(&site, NPV, "0612345679", Some(OPT_IN));
    assert_eq!(value["reason"].as_str(), Some("consent.missing"));
}

#[test]
fn imported_attempts_count() {
    let site = site();
    let mut text = String::from("number,professional,at,outcome,source\n");
    for (day, outcome) in [(1, "answered"), (2, "no-answer"), (5, "busy"), (5, "failed")] {
        text += &format!("0612345678,acme,2023-06-0{day}T11:00:00+02:00,{outcome},old-dialer\n");
    }
    expect(&import(&site, "attempts", &text, &[]), 0);
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(value["attempts_left"], 1, "a failed one is not counted: {value}");
    expect(&import(&site, "attempts", &text, &[]), 0);
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(value["attempts_left"], 1, "the same lines again change nothing");
    let more = "number,professional,at,outcome,source\n0612345678,acme,2023-06-05T15:00:00+02:00,answered,old-dialer\n";
    expect(&import(&site, "attempts", more, &[]), 0);
    let (code, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!((code, value["reason"].as_str()), (1, Some("frequency.exhausted")));
    let next = value["next_allowed"].as_str().expect("a moment");
    let next = chrono::DateTime::parse_from_rfc3339(next).expect("a moment");
    // The attempt of Thursday 1 June leaves the thirty days on Saturday 1 July; the next open hour is Monday's first.
    assert_eq!(
        next,
        chrono::DateTime::parse_from_rfc3339("2023-07-03T10:00:00+02:00").expect("a moment")
    );
}

#[test]
fn imported_contracts_exempt_from_consent() {
    let site = site();
    let text = "number,professional,reference,from,until\n0612345678,acme,C-1,2026-01-01,2026-12-31\n";
    expect(&import(&site, "contracts", text, &[]), 0);
    let (code, value) = decide(&site, NPV, CALLEE, Some(OPT_IN));
    assert_eq!(
        (code, value["reason"].as_str()),
        (0, Some("exempt.contract")),
        "{value}"
    );
    let (code, value) = decide(&site, NPV, CALLEE, Some("2027-01-05T10:30:00+01:00"));
    assert_eq!(
        (code, value["reason"].as_str()),
        (1, Some("consent.missing")),
        "{value}"
    );
}

#[test]
fn imported_numbers_have_their_owner() {
    let site = site();
    let other = "+33162009900";
    let (code, value) = decide(&site, other, CALLEE, Some(TUESDAY));
    assert_eq!(code, 1, "{value}");
    let text = "first,last,professional,from,until\n+33162009900,+33162009999,acme,2023-01-01,2023-12-31\n";
    expect(&import(&site, "numbers", text, &[]), 0);
    let (code, value) = decide(&site, other, CALLEE, Some(TUESDAY));
    assert_eq!(code, 0, "{value}");
    let (code, _) = decide(&site, other, CALLEE, Some("2024-01-09T10:30:00+01:00"));
    assert_eq!(code, 1, "no longer its number");
}

#[test]
fn an_imported_opposition_binds_from_now_on() {
    let site = site();
    expect(&import(&site, "opposition", "0612345678\n", &[]), 0);
    // Whatever the day and hour: the list is among the violated rules.
    let (code, value) = decide(&site, NPV, CALLEE, None);
    assert_eq!(code, 1);
    assert!(reasons(&value).contains(&"opposition.listed"), "{value}");
    let (_, value) = decide(&site, NPV, "0612345679", None);
    assert!(!reasons(&value).contains(&"opposition.listed"), "{value}");
}

#[test]
fn imported_bloctel_lists_oppose_in_each_of_their_forms() {
    let Some(library) = faketime() else { return };
    let list = |site: &Site, text: &str, more: &[&str]| import(site, "bloctel", text, more);
    let asked = |site: &Site, callee: &str| {
        let (_, value) = decide(site, NPV, callee, Some(TUESDAY));
        value["reason"].as_str().map(str::to_owned)
    };
    let opposed = Some("bloctel.opposed".to_owned());

    let site = || site().at("2023-06-05 08:00:00", &library);
    let plain = site();
    expect(
        &list(&plain, "0612345678\n+33612345680\n", &["--professional", "acme"]),
        0,
    );
    assert_eq!(asked(&plain, CALLEE), opposed);
    assert_eq!(asked(&plain, "0612345679"), None);

    let status = site();
    let text = "numero;identifiant;statut\n0612345678;1;INSCRIT\n0612345679;2;OK\n";
    expect(&list(&status, text, &["--professional", "acme"]), 0);
    assert_eq!(asked(&status, CALLEE), opposed);
    assert_eq!(asked(&status, "0612345679"), None);

    let returned = site();
    let sent = returned.write("sent.csv", "0612345678\n0612345679\n0612345680\n");
    let sent = sent.to_string_lossy().into_owned();
    let arguments = ["--professional", "acme", "--submitted", &sent];
    expect(&list(&returned, "0612345679\n0612345680\n", &arguments), 0);
    assert_eq!(asked(&returned, CALLEE), opposed, "sent, not returned");
    assert_eq!(asked(&returned, "0612345679"), None);

    // None or all opposed of a file that was sent: somebody took the wrong file.
    let wrong = site();
    let sent = wrong
        .write("sent.csv", "0612345678\n0612345679\n")
        .to_string_lossy()
        .into_owned();
    let arguments = ["--professional", "acme", "--submitted", sent.as_str()];
    expect(&list(&wrong, "0612345678\n0612345679\n", &arguments), 2);
    let forced = [&arguments[..], &["--force"]].concat();
    expect(&list(&wrong, "0612345678\n0612345679\n", &forced), 0);

    // Thirty days later the list is too old to call by.
    let (_, value) = decide(&plain, NPV, "0612345679", Some("2023-07-18T10:30:00+02:00"));
    assert_eq!(value["reason"].as_str(), Some("bloctel.stale"));
}

#[test]
fn bad_lines_are_set_aside_with_their_number_and_reason_and_good_ones_loaded() {
    // (kind, header, a good line, bad lines)
    let table: [(&str, &str, &str, &[&str]); 6] = [
        (
            "refusals",
            "number,professional,at,channel",
            "0612345678,acme,2023-06-01T11:00:00+02:00,call",
            &[
                "12,acme,2023-06-01T11:00:00+02:00,call",
                "0612345679,nobody,2023-06-01T11:00:00+02:00,call",
                "0612345679,acme,yesterday,call",
                "0612345679,acme",
            ],
        ),
        (
            "consents",
            "number,professional,given_at,channel,evidence,scope,expires,object",
            "0612345678,acme,2026-10-01T09:00:00+02:00,web,proof-1,prospecting,2027-09-30T00:00:00+02:00,insurance",
            &[
                "0612345679,acme,2026-10-01T09:00:00+02:00,web,,prospecting,,insurance",
                "0612345679,acme,2026-10-01T09:00:00+02:00,web,proof-2,prospecting,,",
                "0612345679,acme,2026-10-01T09:00:00+02:00,web,proof-3,everything,,insurance",
            ],
        ),
        (
            "contracts",
            "number,professional,reference,from,until",
            "0612345678,acme,C-1,2026-01-01,",
            &["0612345679,acme,C-2,2026-13-01,", "x,acme,C-3,2026-01-01,"],
        ),
        (
            "attempts",
            "number,professional,at,outcome,source",
            "0612345678,acme,2023-06-01T11:00:00+02:00,answered,old",
            &["0612345679,acme,2023-06-01T11:00:00+02:00,vanished,old"],
        ),
        (
            "numbers",
            "first,last,professional,from,until",
            "+33162009900,+33162009999,acme,2023-01-01,",
            &[
                "+33162009999,+33162009900,acme,2023-01-01,",
                "+33162009900,+33162009999,nobody,2023-01-01,",
            ],
        ),
        ("opposition", "number", "0612345678", &["none", "0612"]),
    ];
    for (kind, header, good, bad) in table {
        let site = site();
        let text = format!("{header}\n{good}\n{}\n", bad.join("\n"));
        let output = import(&site, kind, &text, &[]);
        expect(&output, 1);
        let aside = rejected(&site, kind).expect("a .rejected file");
        for (number, line) in (3..).zip(bad) {
            let found = aside.lines().find(|rejected| rejected.contains(line));
            let found = found.unwrap_or_else(|| panic!("{kind}: {line} is not in\n{aside}"));
            assert!(
                found.contains(&number.to_string()),
                "{kind}: no line number {number} in {found}"
            );
            assert!(found.len() > line.len() + 5, "{kind}: no reason in {found}");
        }
        assert!(!aside.contains(good), "{kind}: a good line is rejected\n{aside}");

        let none = format!("{header}\n{}\n", bad.join("\n"));
        expect(&import(&site, kind, &none, &[]), 2);
        let empty = site.path("nothing.csv").to_string_lossy().into_owned();
        expect(&site.run(&["import", kind, &empty]), 2);
    }
}

#[test]
fn a_slot_wider_than_an_hour_is_a_rejected_line() {
    let site = site();
    let text = "number,professional,given_at,channel,evidence,scope,expires,object,slot_from,slot_until\n\
        0612345678,acme,2026-10-01T09:00:00+02:00,web,p1,hours,,insurance,2026-11-28T18:00:00+01:00,2026-11-28T19:00:00+01:00\n\
        0612345679,acme,2026-10-01T09:00:00+02:00,web,p2,hours,,insurance,2026-11-28T18:00:00+01:00,2026-11-28T19:00:01+01:00\n";
    expect(&import(&site, "consents", text, &[]), 1);
    let aside = rejected(&site, "consents").expect("a .rejected file");
    assert!(aside.contains("p2") && !aside.contains("p1"), "{aside}");
}

//! `decide`: the answer, its exit code, and that asking reserves nothing.

use crate::{CALLEE, NPV, OPT_IN, TUESDAY, decide, expect, reasons, site, stderr, stdout};

/// Caller, callee, moment; exit code, reason, next allowed moment.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    i32,
    Option<&'static str>,
    Option<&'static str>,
);

#[test]
fn decide_answers_by_the_regime_of_the_moment() {
    let site = site();
    let table: [Row; 10] = [
        (NPV, CALLEE, TUESDAY, 0, None, None),
        (
            NPV,
            CALLEE,
            "2023-06-06T13:30:00+02:00",
            1,
            Some("hours.window"),
            Some("2023-06-06T14:00:00+02:00"),
        ),
        (
            NPV,
            CALLEE,
            "2023-06-06T20:00:00+02:00",
            1,
            Some("hours.window"),
            Some("2023-06-07T10:00:00+02:00"),
        ),
        (
            NPV,
            CALLEE,
            "2023-06-10T10:30:00+02:00",
            1,
            Some("hours.day"),
            Some("2023-06-12T10:00:00+02:00"),
        ),
        (
            NPV,
            CALLEE,
            "2023-05-01T10:30:00+02:00",
            1,
            Some("hours.holiday"),
            Some("2023-05-02T10:00:00+02:00"),
        ),
        ("0123456789", CALLEE, TUESDAY, 1, Some("caller-id.not-npv"), None),
        (NPV, CALLEE, OPT_IN, 1, Some("consent.missing"), None),
        (
            NPV,
            "112",
            "2023-06-10T03:00:00+02:00",
            0,
            Some("exempt.emergency"),
            None,
        ),
        (
            NPV,
            "+4930123456",
            "2023-06-10T03:00:00+02:00",
            0,
            Some("exempt.foreign"),
            None,
        ),
        // 14:30 in Paris is 08:30 in Guadeloupe.
        (
            NPV,
            "0590123456",
            "2023-06-06T14:30:00+02:00",
            1,
            Some("hours.window"),
            Some("2023-06-06T16:00:00+02:00"),
        ),
    ];
    for (from, to, at, code, reason, next) in table {
        let (exit, value) = decide(&site, from, to, Some(at));
        assert_eq!(exit, code, "{from} {to} {at}: {value}");
        assert_eq!(value["verdict"], if code == 0 { "allow" } else { "refuse" });
        assert_eq!(value["reason"].as_str(), reason, "{from} {to} {at}: {value}");
        let moment = |text: &str| chrono::DateTime::parse_from_rfc3339(text).expect("a moment");
        let said = value["next_allowed"].as_str().map(moment);
        assert_eq!(said, next.map(moment), "{from} {to} {at}: {value}");
    }
    let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
    assert_eq!(value["regime"], "fr-2023-03");
    assert_eq!(value["attempts_left"], 4);
    assert_eq!(value["reasons"], serde_json::json!([]));
    let (_, value) = decide(&site, "0123456789", CALLEE, Some("2023-06-10T10:30:00+02:00"));
    assert_eq!(
        reasons(&value),
        ["caller-id.not-npv", "hours.day"],
        "every violated rule, in the regime's order"
    );
}

#[test]
fn decide_without_json_says_it_in_words() {
    let site = site();
    let allowed = site.run(&["decide", "--from", NPV, "--to", CALLEE, "--at", TUESDAY]);
    expect(&allowed, 0);
    let refused = site.run(&[
        "decide",
        "--from",
        NPV,
        "--to",
        CALLEE,
        "--at",
        "2023-06-10T10:30:00+02:00",
    ]);
    expect(&refused, 1);
    assert!(stdout(&refused).contains("hours.day"), "{}", stdout(&refused));
}

#[test]
fn decide_reserves_nothing() {
    let site = site();
    for _ in 0..6 {
        let (_, value) = decide(&site, NPV, CALLEE, Some(TUESDAY));
        assert_eq!(value["attempts_left"], 4);
    }
}

#[test]
fn what_cannot_be_asked_is_an_error() {
    let site = site();
    for arguments in [
        vec!["decide", "--from", NPV, "--to", CALLEE, "--at", "tomorrow"],
        vec!["decide", "--from", NPV],
        vec!["decide", "--from", NPV, "--to", CALLEE, "--source", "nobody"],
        vec!["decide", "--from", NPV, "--to", CALLEE, "--professional", "nobody"],
        vec!["import", "nonsense", "file"],
        vec!["nonsense"],
    ] {
        let output = site.run(&arguments);
        expect(&output, 2);
        assert!(stdout(&output).is_empty(), "messages go to stderr: {}", stdout(&output));
        assert!(!stderr(&output).is_empty());
    }
}

#[test]
fn help_names_every_command() {
    let output = site().run_bare(&["--help"]);
    expect(&output, 0);
    for command in ["serve", "demo", "check-config", "decide", "import", "forget", "journal"] {
        assert!(stdout(&output).contains(command), "{command}");
    }
}

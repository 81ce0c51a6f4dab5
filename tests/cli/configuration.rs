//! `check-config`, and a start with a bad file: file, line and key, exit code 2.

use crate::support::server::{Site, configuration};
use crate::{CALLEE, NPV, expect, site, stderr, stdout};

#[test]
fn a_good_configuration_is_printed_as_it_is_in_force() {
    let token = "[[api.token]]\nname = \"ops\"\nsha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\nrole = \"operator\"\n\n";
    let text = configuration("127.0.0.1:0", &["127.0.0.2:5090".parse().expect("an address")], token);
    let site = Site::new(&text);
    let output = site.run_bare(&["check-config", &site.configuration().to_string_lossy()]);
    expect(&output, 0);
    let printed = stdout(&output);
    for word in ["acme", "bpo-lyon", "carrier-1", "552100554"] {
        assert!(printed.contains(word), "{word} is missing in\n{printed}");
    }
    assert!(!printed.contains("9f86d081884c7d65"), "a secret is printed");
}

#[test]
fn the_shipped_configuration_is_good() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/clapet.toml");
    expect(&site().run_bare(&["check-config", shipped]), 0);
}

#[test]
fn a_bad_configuration_is_told_with_file_line_and_key() {
    let good = configuration("127.0.0.1:0", &["127.0.0.2:5090".parse().expect("an address")], "");
    // (what is changed, into what, the key that the message names)
    let table = [
        ("udp://127.0.0.1:0", "udp://nonsense", "listen"),
        ("drain = \"2s\"", "drain = \"soon\"", "drain"),
        ("drain = \"2s\"", "drian = \"2s\"", "drian"),
        ("siren = \"552100554\"", "siren = \"55210\"", "siren"),
        ("+33162001000-+33162001999", "+33162001999-+33162001000", "numbers"),
        (
            "professionals = [\"acme\"]",
            "professionals = [\"nobody\"]",
            "professionals",
        ),
        ("dialling = \"automated\"", "dialling = \"telepathy\"", "dialling"),
        ("[store]\n", "[store]\nengine = \"redis\"\n", "engine"),
        (
            "purpose = \"canvassing\"",
            "purpose = \"canvassing\"\nrefuse_with = 500",
            "refuse_with",
        ),
        ("target = \"sip:127.0.0.2:5090\"", "target = \"127.0.0.2\"", "target"),
    ];
    for (old, new, key) in table {
        let text = good.replacen(old, new, 1);
        assert_ne!(text, good);
        let site = Site::new(&text);
        let path = site.configuration().to_string_lossy().into_owned();
        let wrong = new.lines().last().expect("a line");
        let line = text
            .lines()
            .position(|line| line.contains(wrong))
            .expect("the changed line")
            + 1;
        for arguments in [vec!["check-config", &path], vec!["serve", "--config", &path]] {
            let output = site.run_bare(&arguments);
            expect(&output, 2);
            let message = stderr(&output);
            assert!(
                message.contains(&format!("clapet.toml:{line}")),
                "{new}: no file and line {line} in\n{message}"
            );
            assert!(message.contains(key), "{new}: no {key} in\n{message}");
        }
    }
}

#[test]
fn a_bad_law_file_is_told_with_file_line_and_key() {
    let law = "[law]\nfile = \"{folder}/law.toml\"\n";
    let text = configuration("127.0.0.1:0", &["127.0.0.2:5090".parse().expect("an address")], law);
    let site = Site::new(&text);
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/law/fr.toml")).expect("the law");
    let broken = shipped.replacen(
        "frequency = { max = 4, days = 30 }",
        "frequency = { max = 4, days = \"thirty\" }",
        1,
    );
    assert_ne!(broken, shipped);
    site.write("law.toml", &broken);
    let line = broken
        .lines()
        .position(|line| line.contains("\"thirty\""))
        .expect("the changed line")
        + 1;
    let output = site.run_bare(&["check-config", &site.configuration().to_string_lossy()]);
    expect(&output, 2);
    let message = stderr(&output);
    assert!(
        message.contains(&format!("law.toml:{line}")) && message.contains("days"),
        "{message}"
    );
}

#[test]
fn a_configuration_that_is_not_there_is_an_error() {
    let site = site();
    let missing = site.path("missing.toml").to_string_lossy().into_owned();
    for arguments in [
        vec!["check-config", &missing],
        vec!["serve", "--config", &missing],
        vec!["decide", "--from", NPV, "--to", CALLEE, "--config", &missing],
    ] {
        let output = site.run_bare(&arguments);
        expect(&output, 2);
        assert!(stderr(&output).contains("missing.toml"), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

//! The command line: what is accepted, and which exit code refuses it.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn commands_are_read_as_the_contract_writes_them() {
    for line in [
        "clapet serve --config clapet.toml",
        "clapet --config clapet.toml serve",
        "clapet serve --log-format json",
        "clapet demo",
        "clapet check-config clapet.toml",
        "clapet check-config",
        "clapet decide --from +33162001234 --to 0612345678",
        "clapet decide --from 0162001234 --to 0612345678 --at 2026-11-24T10:30:00+01:00 --professional acme --source bpo-lyon --json",
        "clapet import bloctel retour.csv --professional acme --submitted envoi.csv --force --json",
        "clapet import opposition list.csv",
        "clapet import consents c.csv",
        "clapet import refusals r.csv",
        "clapet import contracts k.csv",
        "clapet import attempts a.csv",
        "clapet import numbers n.csv --config other.toml",
        "clapet journal verify",
        "clapet journal verify var/clapet/journal --json",
        "clapet forget +33612345678",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_exit_code_two() {
    for line in [
        "clapet",
        "clapet server",
        "clapet decide --from 0162001234",
        "clapet decide --from 0162001234 --to 0612345678 --at tomorrow",
        "clapet import calls c.csv",
        "clapet import bloctel",
        "clapet journal",
        "clapet forget",
        "clapet serve --log-format xml",
    ] {
        let error = parse(line).err().unwrap_or_else(|| panic!("{line}"));
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_moment_says_what_was_expected() {
    let error = parse("clapet decide --from 1 --to 2 --at 2026-11-24")
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("expected a time such as \"2026-11-24T10:30:00+01:00\""),
        "{error}"
    );
}

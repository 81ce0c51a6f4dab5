//! Bad law files, and what is said of them.

use super::*;

const SHIPPED: &str = include_str!("../../../config/law/fr.toml");

/// The error for the shipped file with the first `old` after the line that holds `after` made `new`, and the line changed.
fn spoiled(after: &str, old: &str, new: &str) -> (LawError, usize) {
    let start = SHIPPED.find(after).unwrap_or_else(|| panic!("no {after:?}"));
    let at = start
        + SHIPPED[start..]
            .find(old)
            .unwrap_or_else(|| panic!("no {old:?} after {after:?}"));
    let text = format!("{}{new}{}", &SHIPPED[..at], &SHIPPED[at + old.len()..]);
    let error = Law::parse(&text, Path::new("law.toml")).expect_err(new);
    (error, line_of(SHIPPED, at))
}

/// Every row: where in the file, what is replaced by what; then the key and a part of the message.
#[test]
fn errors_name_line_key_and_what_was_expected() {
    let first = "name = \"fr-2023-01\"";
    let decree = "name = \"fr-2023-03\"";
    let opt_in = "name = \"fr-2026-08\"";
    let mut wrong = Vec::new();
    #[rustfmt::skip]
    let rows = [
        ("country", "\"FR\"", "\"BE\"", "country", "expected \"FR\""),
        ("country", "country", "county", "county", "unknown field `county`, expected one of `country`"),
        // Rules and their tables.
        (decree, "\"opposition\"", "\"oposition\"", "regime[1].rules[3]", "unknown variant `oposition`, expected one of `caller-id`"),
        (decree, "\"hours\"", "\"sector\"", "regime[1].rules[5]", "each rule once"),
        (first, "\"bloctel\"]", "\"bloctel\", \"hours\"]", "regime[0].rules[4]", "expected `hours = …`"),
        (first, "\"sector\"", "\"refusal\"", "regime[0].rules[1]", "expected `refusal = …`"),
        (first, "\"bloctel\"]", "\"frequency\"]", "regime[0].rules[3]", "expected `frequency = …`"),
        (opt_in, "\"consent\"", "\"bloctel\"", "regime[3].rules[4]", "expected `bloctel = …`"),
        (opt_in, "required = true", "required = false", "regime[3].consent", "`required = true` exactly where `rules` lists"),
        (decree, "consent = {", "consent = { required = true,", "regime[1].consent", "`required = true` exactly where"),
        // Names and dates.
        (decree, "fr-2023-03", "fr-2023-01", "regime[1].name", "a second regime called \"fr-2023-01\""),
        (decree, "\"fr-2023-03\"", "\"\"", "regime[1].name", "expected a name"),
        (decree, "2023-03-01", "2023-01-01", "regime[1].from", "expected a day after 2023-01-01"),
        (decree, "2023-03-01", "2022-03-01", "regime[1].from", "oldest first"),
        (decree, "2023-03-01", "2023-02-29", "regime[1].from", "\"2023-02-29\": expected a date such as"),
        (decree, "\"2023-03-01\"", "2023-03-01", "regime[1].from", "invalid type"),
        // Hours.
        (decree, "\"10:00\"", "\"10h00\"", "regime[1].hours.windows[0]", "expected a time from \"00:00\" to \"24:00\""),
        (decree, "\"20:00\"", "\"24:01\"", "regime[1].hours.windows[1]", "\"24:01\": expected a time"),
        (decree, "\"13:00\"", "\"10:00\"", "regime[1].hours.windows", "10:00 to 10:00: expected a window that ends after it begins"),
        (decree, "\"14:00\"", "\"12:30\"", "regime[1].hours.windows", "12:30 to 20:00: expected windows in order, none overlapping"),
        (decree, "[[\"10:00\", \"13:00\"], [\"14:00\", \"20:00\"]]", "[[\"14:00\", \"20:00\"], [\"10:00\", \"13:00\"]]", "regime[1].hours.windows", "in order"),
        (decree, "[[\"10:00\", \"13:00\"], [\"14:00\", \"20:00\"]]", "[]", "regime[1].hours.windows", "at least one window"),
        (decree, "\"tue\"", "\"mon\"", "regime[1].hours.days", "each day once"),
        (decree, "\"tue\"", "\"mardi\"", "regime[1].hours.days[1]", "unknown variant `mardi`"),
        (decree, "\"national\"", "\"some\"", "regime[1].hours.holidays", "expected one of `national`"),
        // Numbers.
        (decree, "max = 4", "max = 400", "regime[1].frequency.max", "expected u8"),
        (decree, "days = 30 }", "days = 0 }", "regime[1].frequency", "at least one day"),
        (decree, "fresh_days = 30", "fresh_days = 0", "regime[1].bloctel.fresh_days", "at least one day"),
        (decree, "fresh_days = 30", "fresh = 30", "regime[1].bloctel.fresh", "unknown field `fresh`, expected `fresh_days`"),
        (decree, "requested_working_days = 5", "requested_working_days = 0", "regime[1].requested_working_days", "at least one day"),
        (decree, "refusal = { days = 60 }", "refusal = {}", "regime[1].refusal", "either `days = 60` or"),
        (decree, "refusal = { days = 60 }", "refusal = { days = 60, until = \"new-consent\" }", "regime[1].refusal", "either `days = 60` or"),
        (opt_in, "max_days = 365", "max_days = 0", "regime[3].consent", "at least one day"),
        // Lists.
        (decree, "\"npv\"", "\"vpn\"", "regime[1].caller_id.automated[0]", "unknown variant `vpn`"),
        (decree, "\"npv\"", "\"unallocated\"", "regime[1].caller_id.automated[0]", "a category that a call may show"),
        (decree, "\"energy-renovation\"", "\"energy\"", "regime[1].sector.banned[0]", "unknown variant `energy`"),
        (decree, "\"bloctel\", \"hours\"] }", "\"all\"] }", "regime[1].consent.lifts[0]", "unknown variant `all`"),
        // Calendar and territories.
        ("[calendar]", "easter+1\"", "easter+\"", "calendar.holidays[1].on", "expected a day of the year"),
        ("[calendar]", "\"07-14\"", "\"14-07\"", "calendar.holidays[6].on", "\"14-07\": expected a day of the year"),
        ("[calendar]", "name = \"Noël\", ", "", "calendar.holidays[10]", "missing field `name`"),
        ("[[territory]]", "Europe/Paris", "Europe/Lutece", "territory[0].zone", "\"Europe/Lutece\": expected a zone"),
        ("[[territory]]", "\"metropole\"", "\"corse\"", "territory[0].name", "unknown variant `corse`"),
        ("[[territory]]", "\"guyane\"", "\"guadeloupe\"", "territory[2].name", "a second table for the territory"),
        // The numbering plan.
        ("[numbering]", "home = \"33\"", "home = \"32\"", "numbering.home", "one of the country codes"),
        ("[numbering]", "\"00\"", "\"00x\"", "numbering.international_prefix", "expected a prefix"),
        ("[numbering]", "code = \"262\"", "code = \"0262\"", "numbering.code[1].code", "expected a country code"),
        ("[numbering]", "code = \"262\"", "code = \"338\"", "numbering.code[1].code", "begins with the same digits"),
        ("[numbering]", "\"emergency\"", "\"urgence\"", "numbering.block[0].category", "unknown variant `urgence`"),
        ("[numbering]", "\"112\"", "\"1x2\"", "numbering.block[0].prefixes[3]", "\"1x2\": expected digits"),
        ("[numbering]", "\"112\"", "\"15\"", "numbering.block[0].prefixes[0]", "given twice for the same first day"),
        ("[numbering]", "3000-3007", "3007-3000", "numbering.block[5].prefixes[0]", "expected a range"),
        ("[numbering]", "+331-+335", "+441-+445", "numbering.block[6].prefixes[0]", "none of the country codes"),
        ("\"+33162\"", "2023-01-01", "demain", "numbering.block[11].from", "\"demain\": expected a date"),
        ("\"+590590\"", "territory = \"guadeloupe\"\n", "\n", "numbering.block[18].prefixes[0]", "expected a territory"),
        ("\"+508\"", "\"0508\"", "\"508\"", "numbering.block[48].prefixes[0]", "begin with the national prefix"),
    ];
    for (after, old, new, key, message) in rows {
        let (error, line) = spoiled(after, old, new);
        let near = error.line <= line && line - error.line <= 12;
        if error.key != key || !error.message.contains(message) || !near {
            wrong.push(format!(
                "{new} for {old} in line {line}: {error}\n  expected {key}: {message}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_line_is_that_of_the_value_at_fault() {
    let (error, line) = spoiled("name = \"fr-2023-03\"", "\"13:00\"", "\"13:60\"");
    assert_eq!(error.line, line);
    assert_eq!(
        error.to_string(),
        format!("law.toml:{line}: regime[1].hours.windows[0]: \"13:60\": expected a time from \"00:00\" to \"24:00\"")
    );
    let (error, line) = spoiled("[numbering]", "\"197\"", "\"197000000\"");
    assert_eq!(
        (error.line, error.key.as_str()),
        (line, "numbering.block[0].prefixes[9]")
    );
}

#[test]
fn a_missing_table_or_territory_is_named() {
    let without = |from: &str, until: &str| {
        let (start, end) = (SHIPPED.find(from).unwrap(), SHIPPED.find(until).unwrap());
        let text = format!("{}{}", &SHIPPED[..start], &SHIPPED[end..]);
        Law::parse(&text, Path::new("law.toml")).unwrap_err()
    };
    let error = without("[calendar]", "[[territory]]");
    assert_eq!(
        (error.key.as_str(), error.message.as_str()),
        ("file", "missing field `calendar`")
    );
    let error = without(
        "[[territory]]\nname = \"mayotte\"",
        "[[territory]]\nname = \"saint-pierre\"",
    );
    assert_eq!(error.message, "no table for Mayotte: expected one for every territory");
}

#[test]
fn text_that_is_no_toml_is_an_error_with_its_line() {
    let error = Law::parse("country = \"FR\"\n[[regime]\n", Path::new("law.toml")).unwrap_err();
    assert_eq!((error.line, error.key.as_str()), (2, "toml"));
    assert!(Law::parse("", Path::new("law.toml")).is_err());
    assert!(Law::parse("\0", Path::new("law.toml")).is_err());
}

#[test]
fn a_window_may_be_the_whole_day_and_the_working_days_may_be_left_out() {
    let text = SHIPPED
        .replace(
            "[[\"10:00\", \"13:00\"], [\"14:00\", \"20:00\"]]",
            "[[\"00:00\", \"24:00\"]]",
        )
        .replace("requested_working_days = 5", "");
    let law = Law::parse(&text, Path::new("law.toml")).unwrap();
    let last = law.regimes().last().unwrap();
    assert_eq!(last.hours.as_ref().unwrap().windows, [(0, 86_400)]);
    assert_eq!(last.requested_working_days, 5);
}

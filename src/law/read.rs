//! From the text of a law file to a [`Law`], or to an error that names file, line, key and what was expected.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::{
    CallerIdTable, ConsentTable, LawFile, Lifted, Numbering, RefusalTable, RegimeTable, TerritoryTable,
};
use super::{
    CategorySet, ConsentTerm, DEFAULT_REQUESTED_WORKING_DAYS, Law, LawError, Place, RefusalTerm, Regime, RuleKind,
};
use crate::numbering::{Category, Plan, PlanError, PlanSpec, Territory};

/// Something wrong at a place of the text.
struct Fault {
    at: Range<usize>,
    message: String,
}

/// Reads a law file's text; `file` names it in errors.
pub(super) fn law(text: &str, file: &Path) -> Result<Law, LawError> {
    let located = |fault: Fault| LawError {
        file: file.to_owned(),
        line: line_of(text, fault.at.start),
        key: key_at(text, &fault.at),
        message: fault.message,
    };
    let read: LawFile = toml::from_str(text).map_err(|error| {
        located(Fault {
            at: error.span().unwrap_or(0..0),
            message: error.message().replace('\n', ", "),
        })
    })?;
    build(text, read).map_err(located)
}

fn build(text: &str, read: LawFile) -> Result<Law, Fault> {
    if read.country.get_ref() != COUNTRY {
        return Err(fault(
            &read.country,
            format!("expected {COUNTRY:?}: the kinds of rules are those of French law"),
        ));
    }
    let regimes_at = read.regime.span();
    let regimes = regimes(read.regime.into_inner(), regimes_at)?;
    Ok(Law {
        plan: plan(text, read.numbering)?,
        regimes,
        places: places(read.territory)?,
        national_holidays: read.calendar.holidays,
    })
}

fn regimes(tables: Vec<Spanned<RegimeTable>>, at: Range<usize>) -> Result<Vec<Regime>, Fault> {
    let mut regimes: Vec<Regime> = Vec::with_capacity(tables.len());
    for table in tables {
        let (name_at, from_at) = (table.get_ref().name.span(), table.get_ref().from.span());
        let table_at = table.span();
        let regime = regime(table.into_inner(), table_at)?;
        if regimes.iter().any(|other| other.name == regime.name) {
            return Err(Fault {
                at: name_at,
                message: format!("a second regime called {:?}: expected a name of its own", regime.name),
            });
        }
        if let Some(before) = regimes.last().filter(|before| before.from >= regime.from) {
            return Err(Fault {
                at: from_at,
                message: format!(
                    "expected a day after {}, when {:?} begins: oldest first",
                    before.from, before.name
                ),
            });
        }
        regimes.push(regime);
    }
    if regimes.is_empty() {
        return Err(Fault {
            at,
            message: "expected at least one regime".to_owned(),
        });
    }
    Ok(regimes)
}

fn regime(table: RegimeTable, at: Range<usize>) -> Result<Regime, Fault> {
    let rules = rules(&table)?;
    if table.name.get_ref().is_empty() {
        return Err(fault(&table.name, "expected a name"));
    }
    if let Some(frequency) = table
        .frequency
        .as_ref()
        .filter(|frequency| frequency.get_ref().days == 0)
    {
        return Err(fault(frequency, "expected at least one day"));
    }
    if let Some(bloctel) = table
        .bloctel
        .as_ref()
        .filter(|bloctel| *bloctel.fresh_days.get_ref() == 0)
    {
        return Err(fault(&bloctel.fresh_days, "expected at least one day"));
    }
    let (automated, manual) = match &table.caller_id {
        Some(CallerIdTable { automated, manual }) => (categories(automated)?, categories(manual)?),
        None => <_>::default(),
    };
    let requested_working_days = match &table.requested_working_days {
        Some(days) if *days.get_ref() == 0 => return Err(fault(days, "expected at least one day")),
        Some(days) => *days.get_ref(),
        None => DEFAULT_REQUESTED_WORKING_DAYS,
    };
    let consent = consent(table.consent, &rules, at)?;
    Ok(Regime {
        name: Arc::from(table.name.into_inner()),
        from: table.from.into_inner().0,
        rules,
        automated,
        manual,
        hours: table.hours,
        frequency: table.frequency.map(Spanned::into_inner),
        refusal: table.refusal.as_ref().map(refusal).transpose()?,
        bloctel_fresh_days: table.bloctel.map(|bloctel| bloctel.fresh_days.into_inner()),
        banned_sectors: table.sector.map(|sector| sector.banned).unwrap_or_default(),
        consent,
        requested_working_days,
    })
}

/// The regime's rules, each once and each with the table it needs.
fn rules(table: &RegimeTable) -> Result<Vec<RuleKind>, Fault> {
    let mut rules = Vec::with_capacity(table.rules.get_ref().len());
    for rule in table.rules.get_ref() {
        let (present, key) = match rule.get_ref() {
            RuleKind::CallerId => (table.caller_id.is_some(), "caller_id"),
            RuleKind::Sector => (table.sector.is_some(), "sector"),
            RuleKind::Refusal => (table.refusal.is_some(), "refusal"),
            RuleKind::Opposition => (true, ""),
            RuleKind::Consent => (table.consent.is_some(), "consent"),
            RuleKind::Bloctel => (table.bloctel.is_some(), "bloctel"),
            RuleKind::Hours => (table.hours.is_some(), "hours"),
            RuleKind::Frequency => (table.frequency.is_some(), "frequency"),
        };
        if !present {
            return Err(fault(
                rule,
                format!("the rule needs its table: expected `{key} = …` in the same regime"),
            ));
        }
        if rules.contains(rule.get_ref()) {
            return Err(fault(rule, "expected each rule once"));
        }
        rules.push(*rule.get_ref());
    }
    Ok(rules)
}

fn categories(list: &[Spanned<Category>]) -> Result<CategorySet, Fault> {
    list.iter()
        .try_fold(CategorySet::default(), |set, category| match category.get_ref() {
            Category::Emergency | Category::Unallocated => Err(fault(
                category,
                "expected a category that a call may show: not emergency, not unallocated",
            )),
            category => Ok(set.with(*category)),
        })
}

fn refusal(table: &Spanned<RefusalTable>) -> Result<RefusalTerm, Fault> {
    match (table.get_ref().days, &table.get_ref().until) {
        (Some(days), None) => Ok(RefusalTerm::Days(days)),
        (None, Some(_)) => Ok(RefusalTerm::UntilNewConsent),
        _ => Err(fault(
            &table,
            "expected either `days = 60` or `until = \"new-consent\"`",
        )),
    }
}

fn consent(
    table: Option<Spanned<ConsentTable>>,
    rules: &[RuleKind],
    regime_at: Range<usize>,
) -> Result<ConsentTerm, Fault> {
    let listed = rules.contains(&RuleKind::Consent);
    let at = table.as_ref().map_or(regime_at, Spanned::span);
    let table = table.map(Spanned::into_inner);
    let term = ConsentTerm {
        lifts_bloctel: table
            .as_ref()
            .is_some_and(|table| table.lifts.contains(&Lifted::Bloctel)),
        lifts_hours: table.as_ref().is_some_and(|table| table.lifts.contains(&Lifted::Hours)),
        required: table.as_ref().is_some_and(|table| table.required),
        max_days: table.as_ref().and_then(|table| table.max_days),
        slot_max_minutes: table.as_ref().and_then(|table| table.slot_minutes),
    };
    let message = if term.required != listed {
        "expected `required = true` exactly where `rules` lists \"consent\""
    } else if term.max_days == Some(0) || term.slot_max_minutes == Some(0) {
        "expected at least one day and one minute"
    } else {
        return Ok(term);
    };
    Err(Fault {
        at,
        message: message.to_owned(),
    })
}

/// Zone and holidays of every territory, by its position.
fn places(tables: Vec<Spanned<TerritoryTable>>) -> Result<[Place; Territory::ALL.len()], Fault> {
    let mut places: [Option<Place>; Territory::ALL.len()] = <_>::default();
    let mut last = 0..0;
    for table in tables {
        last = table.span();
        let table = table.into_inner();
        let place = &mut places[*table.name.get_ref() as usize];
        if place.is_some() {
            return Err(fault(&table.name, "a second table for the territory: expected one"));
        }
        *place = Some(Place {
            zone: table.zone.0,
            holidays: table.holidays,
        });
    }
    for (territory, place) in Territory::ALL.iter().zip(&places) {
        if place.is_none() {
            return Err(Fault {
                at: last,
                message: format!("no table for {territory:?}: expected one for every territory"),
            });
        }
    }
    // None is left: checked above, so that the error can name it.
    Ok(places.map(|place| place.unwrap_or_else(|| unreachable!("every territory has its place"))))
}

fn plan(text: &str, numbering: Spanned<Numbering>) -> Result<Plan, Fault> {
    let at = numbering.span();
    let numbering = numbering.into_inner();
    let spans: Vec<_> = numbering.block.iter().map(Spanned::span).collect();
    let spec = PlanSpec {
        international_prefix: numbering.international_prefix,
        national_prefix: numbering.national_prefix,
        home: numbering.home,
        codes: numbering.code,
        blocks: numbering.block.into_iter().map(Spanned::into_inner).collect(),
    };
    Plan::build(&spec).map_err(|PlanError { block, value, why }| {
        // The value stands after its table's header, quoted.
        let table = block.and_then(|block| spans.get(block)).unwrap_or(&at);
        let quoted = format!("\"{value}\"");
        let rest = text.get(table.start..).unwrap_or_default();
        let at = rest.find(&quoted).map_or(table.clone(), |found| {
            let start = table.start + found;
            start..start + quoted.len()
        });
        Fault {
            at,
            message: format!("{value:?}: {why}"),
        }
    })
}

fn fault<T>(at: &Spanned<T>, message: impl Into<String>) -> Fault {
    Fault {
        at: at.span(),
        message: message.into(),
    }
}

/// Line of a byte position, from one.
fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// The dotted key whose value or name holds a place of the text, such as `regime[1].hours.windows[0]`; `toml` where the text
/// is no TOML and `file` where the place is the whole of it.
fn key_at(text: &str, at: &Range<usize>) -> String {
    let Ok(root) = DeTable::parse(text) else {
        return "toml".to_owned();
    };
    let mut best = (usize::MAX, String::new());
    in_table(root.get_ref(), "", at, &mut best);
    if best.1.is_empty() { "file".to_owned() } else { best.1 }
}

fn in_table(table: &DeTable<'_>, path: &str, at: &Range<usize>, best: &mut (usize, String)) {
    for (name, value) in table {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", name.get_ref());
        consider(&name.span(), &path, at, best);
        in_value(value, &path, at, best);
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, path: &str, at: &Range<usize>, best: &mut (usize, String)) {
    consider(&value.span(), path, at, best);
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, path, at, best),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                in_value(value, &format!("{path}[{index}]"), at, best);
            }
        }
        _ => {}
    }
}

/// The narrowest that holds the place wins; of two as narrow, the deeper, which comes later.
fn consider(span: &Range<usize>, path: &str, at: &Range<usize>, best: &mut (usize, String)) {
    if span.start <= at.start && at.end <= span.end && span.len() <= best.0 {
        *best = (span.len(), path.to_owned());
    }
}

/// The one country whose kinds of rules this program knows.
const COUNTRY: &str = "FR";

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../config/law/fr.toml");

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
        for (after, old, new, key, message) in [
            ("country", "\"FR\"", "\"BE\"", "country", "expected \"FR\""),
            (
                "country",
                "country",
                "county",
                "county",
                "unknown field `county`, expected one of `country`",
            ),
            // Rules and their tables.
            (
                decree,
                "\"opposition\"",
                "\"oposition\"",
                "regime[1].rules[3]",
                "unknown variant `oposition`, expected one of `caller-id`",
            ),
            (
                decree,
                "\"hours\"",
                "\"sector\"",
                "regime[1].rules[5]",
                "each rule once",
            ),
            (
                first,
                "\"bloctel\"]",
                "\"bloctel\", \"hours\"]",
                "regime[0].rules[4]",
                "expected `hours = …`",
            ),
            (
                first,
                "\"sector\"",
                "\"refusal\"",
                "regime[0].rules[1]",
                "expected `refusal = …`",
            ),
            (
                first,
                "\"bloctel\"]",
                "\"frequency\"]",
                "regime[0].rules[3]",
                "expected `frequency = …`",
            ),
            (
                opt_in,
                "\"consent\"",
                "\"bloctel\"",
                "regime[3].rules[4]",
                "expected `bloctel = …`",
            ),
            (
                opt_in,
                "required = true",
                "required = false",
                "regime[3].consent",
                "`required = true` exactly where `rules` lists",
            ),
            (
                decree,
                "consent = {",
                "consent = { required = true,",
                "regime[1].consent",
                "`required = true` exactly where",
            ),
            // Names and dates.
            (
                decree,
                "fr-2023-03",
                "fr-2023-01",
                "regime[1].name",
                "a second regime called \"fr-2023-01\"",
            ),
            (decree, "\"fr-2023-03\"", "\"\"", "regime[1].name", "expected a name"),
            (
                decree,
                "2023-03-01",
                "2023-01-01",
                "regime[1].from",
                "expected a day after 2023-01-01",
            ),
            (decree, "2023-03-01", "2022-03-01", "regime[1].from", "oldest first"),
            (
                decree,
                "2023-03-01",
                "2023-02-29",
                "regime[1].from",
                "\"2023-02-29\": expected a date such as",
            ),
            (decree, "\"2023-03-01\"", "2023-03-01", "regime[1].from", "invalid type"),
            // Hours.
            (
                decree,
                "\"10:00\"",
                "\"10h00\"",
                "regime[1].hours.windows[0]",
                "expected a time from \"00:00\" to \"24:00\"",
            ),
            (
                decree,
                "\"20:00\"",
                "\"24:01\"",
                "regime[1].hours.windows[1]",
                "\"24:01\": expected a time",
            ),
            (
                decree,
                "\"13:00\"",
                "\"10:00\"",
                "regime[1].hours.windows",
                "10:00 to 10:00: expected a window that ends after it begins",
            ),
            (
                decree,
                "\"14:00\"",
                "\"12:30\"",
                "regime[1].hours.windows",
                "12:30 to 20:00: expected windows in order, none overlapping",
            ),
            (
                decree,
                "[[\"10:00\", \"13:00\"], [\"14:00\", \"20:00\"]]",
                "[[\"14:00\", \"20:00\"], [\"10:00\", \"13:00\"]]",
                "regime[1].hours.windows",
                "in order",
            ),
            (
                decree,
                "[[\"10:00\", \"13:00\"], [\"14:00\", \"20:00\"]]",
                "[]",
                "regime[1].hours.windows",
                "at least one window",
            ),
            (decree, "\"tue\"", "\"mon\"", "regime[1].hours.days", "each day once"),
            (
                decree,
                "\"tue\"",
                "\"mardi\"",
                "regime[1].hours.days[1]",
                "unknown variant `mardi`",
            ),
            (
                decree,
                "\"national\"",
                "\"some\"",
                "regime[1].hours.holidays",
                "expected one of `national`",
            ),
            // Numbers.
            (decree, "max = 4", "max = 400", "regime[1].frequency.max", "expected u8"),
            (
                decree,
                "days = 30 }",
                "days = 0 }",
                "regime[1].frequency",
                "at least one day",
            ),
            (
                decree,
                "fresh_days = 30",
                "fresh_days = 0",
                "regime[1].bloctel.fresh_days",
                "at least one day",
            ),
            (
                decree,
                "fresh_days = 30",
                "fresh = 30",
                "regime[1].bloctel.fresh",
                "unknown field `fresh`, expected `fresh_days`",
            ),
            (
                decree,
                "requested_working_days = 5",
                "requested_working_days = 0",
                "regime[1].requested_working_days",
                "at least one day",
            ),
            (
                decree,
                "refusal = { days = 60 }",
                "refusal = {}",
                "regime[1].refusal",
                "either `days = 60` or",
            ),
            (
                decree,
                "refusal = { days = 60 }",
                "refusal = { days = 60, until = \"new-consent\" }",
                "regime[1].refusal",
                "either `days = 60` or",
            ),
            (
                opt_in,
                "max_days = 365",
                "max_days = 0",
                "regime[3].consent",
                "at least one day",
            ),
            // Lists.
            (
                decree,
                "\"npv\"",
                "\"vpn\"",
                "regime[1].caller_id.automated[0]",
                "unknown variant `vpn`",
            ),
            (
                decree,
                "\"npv\"",
                "\"unallocated\"",
                "regime[1].caller_id.automated[0]",
                "a category that a call may show",
            ),
            (
                decree,
                "\"energy-renovation\"",
                "\"energy\"",
                "regime[1].sector.banned[0]",
                "unknown variant `energy`",
            ),
            (
                decree,
                "\"bloctel\", \"hours\"] }",
                "\"all\"] }",
                "regime[1].consent.lifts[0]",
                "unknown variant `all`",
            ),
            // Calendar and territories.
            (
                "[calendar]",
                "easter+1\"",
                "easter+\"",
                "calendar.holidays[1].on",
                "expected a day of the year",
            ),
            (
                "[calendar]",
                "\"07-14\"",
                "\"14-07\"",
                "calendar.holidays[6].on",
                "\"14-07\": expected a day of the year",
            ),
            (
                "[calendar]",
                "name = \"Noël\", ",
                "",
                "calendar.holidays[10]",
                "missing field `name`",
            ),
            (
                "[[territory]]",
                "Europe/Paris",
                "Europe/Lutece",
                "territory[0].zone",
                "\"Europe/Lutece\": expected a zone",
            ),
            (
                "[[territory]]",
                "\"metropole\"",
                "\"corse\"",
                "territory[0].name",
                "unknown variant `corse`",
            ),
            (
                "[[territory]]",
                "\"guyane\"",
                "\"guadeloupe\"",
                "territory[2].name",
                "a second table for the territory",
            ),
            // The numbering plan.
            (
                "[numbering]",
                "home = \"33\"",
                "home = \"32\"",
                "numbering.home",
                "one of the country codes",
            ),
            (
                "[numbering]",
                "\"00\"",
                "\"00x\"",
                "numbering.international_prefix",
                "expected a prefix",
            ),
            (
                "[numbering]",
                "code = \"262\"",
                "code = \"0262\"",
                "numbering.code[1].code",
                "expected a country code",
            ),
            (
                "[numbering]",
                "code = \"262\"",
                "code = \"338\"",
                "numbering.code[1].code",
                "begins with the same digits",
            ),
            (
                "[numbering]",
                "\"emergency\"",
                "\"urgence\"",
                "numbering.block[0].category",
                "unknown variant `urgence`",
            ),
            (
                "[numbering]",
                "\"112\"",
                "\"1x2\"",
                "numbering.block[0].prefixes[3]",
                "\"1x2\": expected digits",
            ),
            (
                "[numbering]",
                "\"112\"",
                "\"15\"",
                "numbering.block[0].prefixes[0]",
                "given twice for the same first day",
            ),
            (
                "[numbering]",
                "3000-3007",
                "3007-3000",
                "numbering.block[5].prefixes[0]",
                "expected a range",
            ),
            (
                "[numbering]",
                "+331-+335",
                "+441-+445",
                "numbering.block[6].prefixes[0]",
                "none of the country codes",
            ),
            (
                "\"+33162\"",
                "2023-01-01",
                "demain",
                "numbering.block[11].from",
                "\"demain\": expected a date",
            ),
            (
                "\"+590590\"",
                "territory = \"guadeloupe\"\n",
                "\n",
                "numbering.block[18].prefixes[0]",
                "expected a territory",
            ),
            (
                "\"+508\"",
                "\"0508\"",
                "\"508\"",
                "numbering.block[48].prefixes[0]",
                "begin with the national prefix",
            ),
        ] {
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
            format!(
                "law.toml:{line}: regime[1].hours.windows[0]: \"13:60\": expected a time from \"00:00\" to \"24:00\""
            )
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
}

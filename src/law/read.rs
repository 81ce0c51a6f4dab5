//! From the text of a law file to a [`Law`], or to an error that names file, line, key and what was expected.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use super::schema::{
    CallerIdTable, ConsentTable, LawFile, Lifted, Numbering, RefusalTable, RegimeTable, TerritoryTable,
};
use super::{
    CategorySet, ConsentTerm, DEFAULT_REQUESTED_WORKING_DAYS, Law, LawError, Place, RefusalTerm, Regime, RuleKind,
};
use crate::locate::{key_at, line_of};
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
        _ => Err(fault(table, "expected either `days = 60` or `until = \"new-consent\"`")),
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

/// The one country whose kinds of rules this program knows.
const COUNTRY: &str = "FR";

#[cfg(test)]
mod tests;

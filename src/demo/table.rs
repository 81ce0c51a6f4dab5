//! What the demonstration prints: at most a hundred columns, without colours, so that it reads the same everywhere.

use chrono::DateTime;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::Shown;
use super::cases::Then;

/// Columns of the whole.
const WIDTH: u16 = 100;

const INTRO: &str = "\
clapet between a contact centre's PBX and a carrier's trunk: real SIP over UDP on loopback, one call for
each rule, each at the date that shows it. Numbers and names are invented; times are the callee's.
";

/// The whole text.
pub(super) fn render(shown: &[Shown]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["When", "From → to", "Outcome", "Why"]);
    for (column, width) in [(0, 17), (1, 18), (2, 17)] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    let mut text = String::from(INTRO);
    for one in shown {
        if !one.case.part.is_empty() {
            table.add_row([
                Cell::new(one.case.part.to_uppercase()),
                Cell::new(""),
                Cell::new(""),
                Cell::new(""),
            ]);
        }
        table.add_row([
            Cell::new(when(one)),
            Cell::new(format!("{}\n→ {}", one.case.caller, one.case.to)),
            Cell::new(outcome(one)),
            Cell::new(why(one)),
        ]);
    }
    text.push_str(&table.to_string());
    text.push('\n');
    text.push_str(&summary(shown));
    text
}

/// `Tue 14 May 2024`, and `10:30` under it; several calls: first and last day.
fn when(shown: &Shown) -> String {
    let local = |at: &str| DateTime::parse_from_rfc3339(at).unwrap_or_default();
    match shown.case.calls {
        [(at, _)] => local(at).format("%a %-d %b %Y\n%H:%M").to_string(),
        [(first, _), .., (last, _)] => {
            format!(
                "{} to\n{}",
                local(first).format("%a %-d"),
                local(last).format("%a %-d %b %Y")
            )
        }
        [] => String::new(),
    }
}

fn outcome(shown: &Shown) -> String {
    if shown.reached > 0 {
        let answers: Vec<&str> = shown.case.calls.iter().map(|(_, status)| said(*status)).collect();
        match answers[..] {
            [one] => format!("goes through\n{} {one}", shown.status),
            _ => format!("{} go through", answers.len()),
        }
    } else {
        format!("STOPPED\n{}", shown.status)
    }
}

fn said(status: u16) -> &'static str {
    match status {
        200 => "answered",
        404 => "no such number",
        480 => "no answer",
        486 => "busy",
        _ => "",
    }
}

fn why(shown: &Shown) -> String {
    let mut text = String::from(shown.case.words);
    let next = shown
        .next
        .as_deref()
        .and_then(|next| DateTime::parse_from_rfc3339(next).ok());
    match (&shown.reason, next) {
        (Some(reason), Some(next)) => {
            text.push_str(&format!("\n{reason}, lawful {}", next.format("%a %-d %b %Y %H:%M")));
        }
        (Some(reason), None) => text.push_str(&format!("\n{reason}")),
        _ => {}
    }
    if let Some(differs) = &shown.differs {
        text.push_str(&format!("\n!! NOT AS IT SHOULD BE: {differs}"));
    }
    text
}

fn summary(shown: &[Shown]) -> String {
    let calls: usize = shown.iter().map(|shown| shown.case.calls.len()).sum();
    let reached: usize = shown.iter().map(|shown| shown.reached).sum();
    let different = shown.iter().filter(|shown| shown.differs.is_some()).count();
    let refused = shown
        .iter()
        .filter(|shown| matches!(shown.case.then, Then::Refused(..)))
        .count();
    let verdict = match different {
        0 => "All as it should be.".to_owned(),
        different => format!("{different} rows are NOT AS THEY SHOULD BE."),
    };
    format!(
        "\n{calls} calls placed, {reached} reached the trunk, {refused} were stopped before it, each with its reason. {verdict}\n\
         Not shown: source.rate and caller-id.unverified need equipment that misbehaves, store.unavailable a dead disk.\n\
         Next: copy config/clapet.toml, then `clapet serve --config clapet.toml`.\n"
    )
}

//! What the demonstration prints: at most a hundred columns, without colours, so that it reads the same everywhere.

use std::fmt::Write as _;

use chrono::DateTime;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::Shown;
use super::cases::Then;

/// Columns of the whole.
const WIDTH: u16 = 100;

/// Of each column, the space around it included.
const COLUMNS: [u16; 4] = [17, 19, 17, 47];

const INTRO: &str = "\
clapet stands between a contact centre's PBX and a carrier's trunk. These are real SIP calls over
UDP on loopback, one for each rule, each made at the date that shows it. Numbers and names are
invented; times are those where it rings. A row: when, from whom to whom, what became of it, why.
";

/// The whole text.
pub(super) fn render(shown: &[Shown]) -> String {
    let mut text = String::from(INTRO);
    for part in shown.chunk_by(|_, next| next.case.part.is_empty()) {
        let heading = part.first().map_or("", |first| first.case.part);
        let rule = "─".repeat(usize::from(WIDTH).saturating_sub(heading.chars().count() + 4));
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n── {heading} {rule}");
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        for one in part {
            table.add_row([when(one), who(one), outcome(one), why(one)]);
        }
        for (column, width) in table.column_iter_mut().zip(COLUMNS) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        text.push_str(&table.trim_fmt());
        text.push('\n');
    }
    text.push_str(&summary(shown));
    text
}

/// `Tue 14 May 2024`, and `10:30` under it; several calls: first and last day.
fn when(shown: &Shown) -> String {
    let local = |at: &str| DateTime::parse_from_rfc3339(at).unwrap_or_default();
    match shown.case.calls {
        [(at, _)] => local(at).format("%a %-d %b %Y\n%H:%M").to_string(),
        [(first, _), .., (last, _)] => format!(
            "{} to\n{}",
            local(first).format("%a %-d"),
            local(last).format("%a %-d %b %Y")
        ),
        [] => String::new(),
    }
}

fn who(shown: &Shown) -> String {
    format!("{}\n→ {}", shown.case.caller, shown.case.to)
}

fn outcome(shown: &Shown) -> String {
    match (shown.reached, shown.case.calls) {
        (0, _) => format!("✗ stopped\n  {}", shown.status),
        (1, [(_, status)]) => format!("✓ goes through\n  {} {}", shown.status, said(*status)),
        (reached, _) => format!("✓ {reached} go through"),
    }
}

fn said(status: u16) -> &'static str {
    match status {
        200 => "answered",
        404 => "unknown",
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
    // Writing into a String cannot fail.
    if let Some(reason) = &shown.reason {
        let _ = write!(text, "\n{reason}");
    }
    if let Some(next) = next {
        let _ = write!(text, "; next {}", next.format("%a %-d %b %Y %H:%M"));
    }
    if let Some(differs) = &shown.differs {
        let _ = write!(text, "\n!! NOT AS IT SHOULD BE: {differs}");
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
        "\n{calls} calls placed: {reached} reached the trunk, {refused} were stopped before it and told why.\n{verdict}\n\n\
         Next: copy config/clapet.toml, then `clapet serve --config clapet.toml`.\n"
    )
}

//! Files with a header: columns by name in any order, and the fields of a line read as what they should be.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};

use super::ImportError;
use super::lines::{Fields, separator, split};
use super::reject::Fault;
use crate::numbering::{E164, Number, Plan};

/// The columns of one kind of file.
pub(super) struct Columns {
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

/// A header that was read: where each column stands.
pub(super) struct Header {
    pub separator: char,
    /// By position in the file.
    names: Vec<&'static str>,
}

impl Header {
    /// Reads a header line. Unknown columns are refused: one that was misspelt (`withdrawn`) would silently change what a line means.
    pub(super) fn read(line: &str, columns: &Columns) -> Result<Self, ImportError> {
        let fault = |fault: String| {
            let required = columns.required.join(", ");
            let expected = match columns.optional {
                [] => required,
                optional => format!("{required} (and optionally {})", optional.join(", ")),
            };
            ImportError::Header { expected, fault }
        };
        let separator = separator(line);
        let mut names = Vec::new();
        for field in split(line, separator).map_err(|why| fault(why.to_owned()))? {
            let mut known = columns.required.iter().chain(columns.optional);
            let Some(name) = known.find(|name| name.eq_ignore_ascii_case(&field)) else {
                let shown: String = field.chars().take(60).collect();
                return Err(fault(format!("column {shown:?} is unknown")));
            };
            if names.contains(name) {
                return Err(fault(format!("column `{name}` stands there twice")));
            }
            names.push(*name);
        }
        match columns.required.iter().find(|name| !names.contains(name)) {
            Some(missing) => Err(fault(format!("column `{missing}` is missing"))),
            None => Ok(Self { separator, names }),
        }
    }

    /// The fields of a line.
    pub(super) fn row<'a>(&'a self, line: &'a str) -> Result<Row<'a>, Fault> {
        let fields = split(line, self.separator).map_err(Fault::line)?;
        if fields.len() > self.names.len() && fields[self.names.len()..].iter().any(|field| !field.is_empty()) {
            let expected = format!("expected {} columns, found {}", self.names.len(), fields.len());
            return Err(Fault::line(&expected));
        }
        Ok(Row {
            names: &self.names,
            fields,
        })
    }
}

/// One line.
pub(super) struct Row<'a> {
    names: &'a [&'static str],
    fields: Fields<'a>,
}

impl Row<'_> {
    /// A field; empty where the column or the field is missing.
    pub(super) fn get(&self, column: &str) -> &str {
        let at = self.names.iter().position(|name| *name == column);
        at.and_then(|at| self.fields.get(at)).map_or("", Cow::as_ref)
    }

    /// A field that may not be empty.
    pub(super) fn text(&self, column: &'static str, expected: &str) -> Result<&str, Fault> {
        let text = self.get(column);
        if text.is_empty() {
            Err(Fault::new(column, expected, text))
        } else {
            Ok(text)
        }
    }

    pub(super) fn number(&self, column: &'static str, plan: &Plan) -> Result<E164, Fault> {
        number(column, self.get(column), plan)
    }

    /// RFC 3339, with its offset.
    pub(super) fn time(&self, column: &'static str) -> Result<DateTime<Utc>, Fault> {
        let text = self.get(column);
        let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
        time.map_err(|_| {
            Fault::new(
                column,
                "expected an RFC 3339 time such as 2023-06-06T10:00:00+02:00",
                text,
            )
        })
    }

    /// As [`Row::time`]; an empty field is `None`.
    pub(super) fn time_or_none(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, Fault> {
        if self.get(column).is_empty() {
            Ok(None)
        } else {
            self.time(column).map(Some)
        }
    }

    /// A local date.
    pub(super) fn day(&self, column: &'static str) -> Result<NaiveDate, Fault> {
        let text = self.get(column);
        parse_day(text).ok_or_else(|| Fault::new(column, "expected a date such as 2023-06-06", text))
    }

    /// As [`Row::day`]; an empty field is `None`.
    pub(super) fn day_or_none(&self, column: &'static str) -> Result<Option<NaiveDate>, Fault> {
        if self.get(column).is_empty() {
            Ok(None)
        } else {
            self.day(column).map(Some)
        }
    }
}

/// `2023-06-06` and nothing else: chrono alone would take other widths too.
pub(super) fn parse_day(text: &str) -> Option<NaiveDate> {
    (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
}

/// A subscriber number in any dialled form.
pub(super) fn number(column: &'static str, text: &str, plan: &Plan) -> Result<E164, Fault> {
    match plan.read(text) {
        Ok(Number::E164(number)) => Ok(number),
        Ok(Number::Short(_)) => Err(Fault::new(column, "expected a subscriber number, no short one", text)),
        Err(why) => Err(Fault::new(column, format!("expected a telephone number ({why})"), text)),
    }
}

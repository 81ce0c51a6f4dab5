//! Bloctel's answers and plain lists, streamed into snapshots.

use std::io::Read;

use super::lines::{Fields, Line, Lines, separator, split};
use super::reject::{Counted, Fault};
use super::table::number;
use super::{Content, ImportError, Options, Snapshot};
use crate::numbering::{E164, Plan};
use crate::screening::{Built, List, SnapshotBuilder};

/// Header names of the column that holds the number.
const NUMBER: &[&str] = &[
    "number",
    "numero",
    "numéro",
    "num",
    "telephone",
    "téléphone",
    "tel",
    "tél",
    "phone",
    "msisdn",
];
/// Header names of the column that holds Bloctel's status.
const STATUS: &[&str] = &[
    "status",
    "statut",
    "etat",
    "état",
    "state",
    "resultat",
    "résultat",
    "result",
];
/// The status of a number that may be called.
const OK: &str = "OK";

/// A plain list: every number is one that is never called.
pub(super) fn opposition(
    reader: &mut dyn Read,
    options: &Options<'_>,
    plan: &Plan,
    rejects: &mut Counted<'_>,
) -> Result<Content, ImportError> {
    let mut builder = SnapshotBuilder::plain();
    let file = &mut Lines::new(reader, options.progress);
    each(file, Form::Numbers, plan, rejects, |row| builder.opposed(row.number))?;
    Ok(plain(List::Opposition, options, builder.finish()))
}

/// Bloctel's list in one of its three forms (contract, "Import files").
pub(super) fn bloctel(
    reader: &mut dyn Read,
    mut options: Options<'_>,
    plan: &Plan,
    rejects: &mut Counted<'_>,
) -> Result<Content, ImportError> {
    let sent = match options.submitted.take() {
        Some(submitted) => Some(sent(submitted, plan, rejects)?),
        None => None,
    };
    let mut answer = SnapshotBuilder::screened();
    let form = if sent.is_some() { Form::Callable } else { Form::Answer };
    let lines = &mut Lines::new(reader, options.progress);
    let with_status = each_checked(lines, form, plan, rejects, |row| {
        if sent.as_ref().is_some_and(|sent| sent.holds(row.number).is_none()) {
            return Err(Fault::new(
                "number",
                "expected a number of the submitted file",
                row.text,
            ));
        }
        // Without a status, what came back may be called, and a list of its own is the opposed.
        let clear = row
            .status
            .map_or(sent.is_some(), |status| status.eq_ignore_ascii_case(OK));
        if clear {
            answer.clear(row.number);
        } else {
            answer.opposed(row.number);
        }
        Ok(())
    })?;
    let answer = answer.finish();
    let screened = match sent {
        Some(sent) => sent.answered_by(&answer),
        None if with_status => answer,
        None => {
            return Ok(plain(List::Bloctel, &options, answer.into_plain()));
        }
    };
    let (numbers, opposed) = (screened.numbers(), screened.opposed());
    if numbers > 0 && !options.force {
        if opposed == 0 {
            return Err(ImportError::NoneOpposed { sent: numbers });
        }
        if opposed == numbers {
            return Err(ImportError::AllOpposed { sent: numbers });
        }
    }
    let counts = vec![
        ("screened", numbers),
        ("opposed", opposed),
        ("clear", numbers - opposed),
    ];
    let snapshot = (numbers > 0).then_some(Snapshot {
        list: List::Bloctel,
        day: options.today,
        numbers: screened,
    });
    Ok((Vec::new(), snapshot, counts))
}

fn plain(list: List, options: &Options<'_>, numbers: Built) -> Content {
    let counts = vec![("opposed", numbers.opposed())];
    let snapshot = (numbers.numbers() > 0).then_some(Snapshot {
        list,
        day: options.today,
        numbers,
    });
    (Vec::new(), snapshot, counts)
}

/// The numbers that were sent, opposed until the answer says otherwise.
fn sent(submitted: &mut dyn Read, plan: &Plan, rejects: &mut Counted<'_>) -> Result<Built, ImportError> {
    let mut builder = SnapshotBuilder::screened();
    rejects.within = "submitted file: ";
    let read = each(&mut Lines::new(submitted, None), Form::Callable, plan, rejects, |row| {
        builder.opposed(row.number);
    });
    rejects.within = "";
    read?;
    Ok(builder.finish())
}

/// What a file of numbers may look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A number a line.
    Numbers,
    /// A number a line, or number, line identifier and status.
    Answer,
    /// A call list or the part of it that came back: a number in its named or first column, perhaps a status.
    Callable,
}

/// Where a line's parts stand.
#[derive(Clone, Copy)]
struct Layout {
    separator: char,
    number: usize,
    status: Option<usize>,
}

struct NumberRow<'a> {
    number: E164,
    text: &'a str,
    status: Option<&'a str>,
}

fn each(
    lines: &mut Lines<'_>,
    form: Form,
    plan: &Plan,
    rejects: &mut Counted<'_>,
    mut take: impl FnMut(&NumberRow<'_>),
) -> Result<bool, ImportError> {
    each_checked(lines, form, plan, rejects, |row| {
        take(row);
        Ok(())
    })
}

/// Hands every good line to `take`, rejects the others. Returns whether the lines have a status.
fn each_checked(
    lines: &mut Lines<'_>,
    form: Form,
    plan: &Plan,
    rejects: &mut Counted<'_>,
    mut take: impl FnMut(&NumberRow<'_>) -> Result<(), Fault>,
) -> Result<bool, ImportError> {
    lines
        .begin()
        .map_err(ImportError::Read)?
        .map_err(|_| ImportError::Encoding)?;
    let mut layout: Option<Layout> = None;
    while let Some(Line { number: at, text }) = lines.next().map_err(ImportError::Read)? {
        let line = match text {
            Ok(line) => line,
            Err((expected, legible)) => {
                rejects.reject(at, &Fault::line(expected), &legible)?;
                continue;
            }
        };
        let known = if let Some(layout) = layout {
            layout
        } else {
            let (first, header) = first_line(line, form, plan)?;
            layout = Some(first);
            if header {
                continue;
            }
            first
        };
        if let Err(fault) = row(line, known, plan, &mut take) {
            rejects.reject(at, &fault, line)?;
        }
    }
    Ok(layout.is_some_and(|layout| layout.status.is_some()))
}

fn row(
    line: &str,
    layout: Layout,
    plan: &Plan,
    take: &mut impl FnMut(&NumberRow<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let fields = split(line, layout.separator).map_err(Fault::line)?;
    let text = fields.get(layout.number).map_or("", |field| field.as_ref());
    let number = number("number", text, plan)?;
    let status = match layout.status {
        Some(at) => {
            let missing = || Fault::new("status", "expected Bloctel's status", "");
            Some(fields.get(at).ok_or_else(missing)?.as_ref())
        }
        None => None,
    };
    take(&NumberRow { number, text, status })
}

/// Is the first line a header, and where do the parts stand? A first line that is no number is a header.
fn first_line(line: &str, form: Form, plan: &Plan) -> Result<(Layout, bool), ImportError> {
    let separator = separator(line);
    let mut layout = Layout {
        separator,
        number: 0,
        status: None,
    };
    let refused = |fault: String| ImportError::Header {
        expected: match form {
            Form::Numbers => "number".to_owned(),
            Form::Answer | Form::Callable => "number, or number, line identifier, status".to_owned(),
        },
        fault,
    };
    let mut fields = split(line, separator).map_err(|why| refused(why.to_owned()))?;
    // A separator at the end of the line makes no column.
    while fields.len() > 1 && fields.last().is_some_and(|field| field.is_empty()) {
        fields.pop();
    }
    let header = plan.read(&fields[0]).is_err();
    if header {
        layout.number = position(&fields, NUMBER).unwrap_or(0);
        layout.status = position(&fields, STATUS).filter(|_| form != Form::Numbers);
        let named = position(&fields, NUMBER).is_some() || fields.len() == 1;
        // Bloctel's answer under names of its own: its three columns keep their order.
        if form == Form::Answer && layout.status.is_none() && fields.len() == 3 {
            layout.status = Some(2);
        } else if form != Form::Callable && layout.status.is_none() && !named {
            return Err(refused(format!("{} columns and none is called `number`", fields.len())));
        }
    } else {
        match (form, fields.len()) {
            (Form::Answer | Form::Callable, 3) => layout.status = Some(2),
            (_, 1) | (Form::Callable, _) => {}
            (_, count) => return Err(refused(format!("there is no header, and {count} columns"))),
        }
    }
    Ok((layout, header))
}

fn position(fields: &Fields<'_>, names: &[&str]) -> Option<usize> {
    fields.iter().position(|field| {
        let field = field.to_lowercase();
        names.contains(&field.as_str())
    })
}

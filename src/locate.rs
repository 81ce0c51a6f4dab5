//! Where in a TOML text something is wrong: its line and its dotted key. Used by the readers of the law file and of the
//! configuration; knows neither.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Line of a byte position, from one.
pub(crate) fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// The dotted key whose value or name holds a place of the text, such as `regime[1].hours.windows[0]`; `toml` where the text
/// is no TOML and `file` where the place is the whole of it.
pub(crate) fn key_at(text: &str, at: &Range<usize>) -> String {
    match DeTable::parse(text) {
        Ok(root) => key_in(root.get_ref(), at),
        Err(_) => "toml".to_owned(),
    }
}

/// As [`key_at`], in a text already taken apart.
pub(crate) fn key_in(root: &DeTable<'_>, at: &Range<usize>) -> String {
    let mut best = (usize::MAX, String::new());
    in_table(root, "", at, &mut best);
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[a]\nb = [1, 2]\n\n[[c]]\nd = \"x\"\n";

    #[test]
    fn a_place_has_its_line_and_dotted_key() {
        for (what, line, key) in [("b", 2, "a.b"), ("2", 2, "a.b[1]"), ("\"x\"", 5, "c[0].d")] {
            let start = TEXT.find(what).unwrap();
            let at = start..start + what.len();
            assert_eq!((line_of(TEXT, start), key_at(TEXT, &at)), (line, key.to_owned()));
        }
        assert_eq!(key_at(TEXT, &(0..TEXT.len())), "file");
        assert_eq!(key_at("= 1", &(0..1)), "toml");
    }
}

//! Reading one table of the file key by key, so that every mistake is found in one pass: each value goes through serde on its
//! own, each key that nobody asked for is refused with the one that may have been meant. Used by the readers in this room.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Something wrong at a place of the text.
pub(super) struct Fault {
    pub at: Range<usize>,
    /// A key that should stand in the table at `at` and does not.
    pub missing: Option<&'static str>,
    /// That table is the file's own.
    pub top: bool,
    pub message: String,
}

/// Something odd, and where.
pub(super) type Warning = (Range<usize>, String);

/// What was found wrong, in the order of the finding, up to [`MAX_FAULTS`]; and what is only odd.
#[derive(Default)]
pub(super) struct Faults {
    list: RefCell<Vec<Fault>>,
    more: Cell<usize>,
    warnings: RefCell<Vec<Warning>>,
}

impl Faults {
    pub(super) fn push(&self, at: Range<usize>, message: impl Into<String>) {
        self.add(at, None, false, message.into());
    }

    pub(super) fn warn(&self, at: Range<usize>, message: impl Into<String>) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < MAX_FAULTS {
            warnings.push((at, message.into()));
        }
    }

    fn add(&self, at: Range<usize>, missing: Option<&'static str>, top: bool, message: String) {
        let mut list = self.list.borrow_mut();
        if list.len() < MAX_FAULTS {
            list.push(Fault {
                at,
                missing,
                top,
                message,
            });
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    /// How many were found so far.
    pub(super) fn count(&self) -> usize {
        self.list.borrow().len() + self.more.get()
    }

    /// The faults, how many more there were, and the warnings.
    pub(super) fn into_parts(self) -> (Vec<Fault>, usize, Vec<Warning>) {
        (self.list.into_inner(), self.more.get(), self.warnings.into_inner())
    }
}

/// One table being read. [`Section::finish`] refuses what is left of it.
pub(super) struct Section<'t, 'f> {
    table: DeTable<'t>,
    at: Range<usize>,
    pub faults: &'f Faults,
    known: Vec<&'static str>,
    top: bool,
}

impl<'t, 'f> Section<'t, 'f> {
    /// The file's own table.
    pub(super) fn top(table: Spanned<DeTable<'t>>, faults: &'f Faults) -> Self {
        Self {
            top: true,
            ..Self::new(table, faults)
        }
    }

    fn new(table: Spanned<DeTable<'t>>, faults: &'f Faults) -> Self {
        let at = table.span();
        Self {
            table: table.into_inner(),
            at,
            faults,
            known: Vec::new(),
            top: false,
        }
    }

    /// The table's place.
    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// A value as it stands in the file; `None` where the key is absent.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// A value; `None` where the key is absent or its value is a fault, which is then recorded.
    pub(super) fn get<T: Deserialize<'t>>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.raw(key)?;
        read(value, self.faults)
    }

    /// A list, element by element: how many there are, and those that are no fault; `None` where the key is absent.
    pub(super) fn list<T: Deserialize<'t>>(&mut self, key: &'static str) -> Option<(usize, Vec<Spanned<T>>)> {
        let value = self.raw(key)?;
        let at = value.span();
        let DeValue::Array(array) = value.into_inner() else {
            self.faults.push(at, "expected a list in brackets");
            return Some((usize::MAX, Vec::new()));
        };
        let faults = self.faults;
        let count = array.len();
        Some((
            count,
            array.into_iter().filter_map(|value| read(value, faults)).collect(),
        ))
    }

    /// A value that must be there; the example shows what was expected.
    pub(super) fn required<T: Deserialize<'t>>(&mut self, key: &'static str, example: &str) -> Option<Spanned<T>> {
        if !self.table.contains_key(key) {
            self.missing(key, &format!("expected `{key} = {example}`"));
        }
        self.get(key)
    }

    /// A key that is absent and should not be.
    pub(super) fn missing(&self, key: &'static str, expected: &str) {
        let message = format!("missing: {expected}");
        self.faults.add(self.at(), Some(key), self.top, message);
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'t, 'f>> {
        let value = self.raw(key)?;
        as_section(value, self.faults)
    }

    /// The tables `[[key]]`, at most `most` of them.
    pub(super) fn sections(&mut self, key: &'static str, most: usize) -> Vec<Section<'t, 'f>> {
        let Some(value) = self.raw(key) else {
            return Vec::new();
        };
        let at = value.span();
        let DeValue::Array(array) = value.into_inner() else {
            self.faults.push(at, format!("expected tables headed `[[{key}]]`"));
            return Vec::new();
        };
        if array.len() > most {
            let found = array.len();
            self.faults.push(at, format!("{found} tables: expected at most {most}"));
            return Vec::new();
        }
        let faults = self.faults;
        array
            .into_iter()
            .filter_map(|value| as_section(value, faults))
            .collect()
    }

    /// Refuses a key that would hold a secret in clear.
    pub(super) fn no_plaintext(&mut self, keys: &[&str], instead: &str) {
        for key in keys {
            if let Some((name, _)) = self.table.remove_entry(*key) {
                let message = format!("a secret in clear: expected {instead} in its place");
                self.faults.push(name.span(), message);
            }
        }
    }

    /// Every key that was not asked for is a fault.
    pub(super) fn finish(self) {
        for (name, _) in &self.table {
            let written = name.get_ref();
            let near = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(written, known), known))
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
                .min();
            let message = match near {
                Some((_, known)) => format!("unknown key: did you mean `{known}`?"),
                None => format!("unknown key: expected one of `{}`", self.known.join("`, `")),
            };
            self.faults.push(name.span(), message);
        }
    }
}

/// A value through serde.
pub(super) fn read<'t, T: Deserialize<'t>>(value: Spanned<DeValue<'t>>, faults: &Faults) -> Option<Spanned<T>> {
    let at = value.span();
    match T::deserialize(ValueDeserializer::from(value)) {
        Ok(read) => Some(Spanned::new(at, read)),
        Err(error) => {
            let message = error.message().replace('\n', ", ");
            faults.push(error.span().unwrap_or(at), message);
            None
        }
    }
}

/// A value that must be a table.
pub(super) fn as_section<'t, 'f>(value: Spanned<DeValue<'t>>, faults: &'f Faults) -> Option<Section<'t, 'f>> {
    let at = value.span();
    if let DeValue::Table(table) = value.into_inner() {
        Some(Section::new(Spanned::new(at, table), faults))
    } else {
        faults.push(at, "expected a table");
        None
    }
}

/// Faults and warnings told of at once; the rest are counted.
pub(super) const MAX_FAULTS: usize = 64;

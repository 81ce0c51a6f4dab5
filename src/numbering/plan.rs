//! The plan: blocks of numbers with their category and territory, dated, looked up by longest prefix. All of it is data from
//! the law file. How dialled strings become numbers is in [`super::read`].

use chrono::NaiveDate;

use super::digits::Digits;
use super::spec::{BlockSpec, PlanError, PlanSpec};
use super::trie::Trie;
use super::{Category, Class, Number, Territory};

/// The plan, ready for lookups.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) international_prefix: Digits,
    pub(super) national_prefix: Digits,
    /// Position of the home code in `codes`.
    home: u16,
    pub(super) codes: Vec<Code>,
    by_code: Trie,
    /// International prefixes → position in `lots`.
    international: Trie,
    /// Short numbers and their prefixes → position in `lots`.
    short: Trie,
    /// First digits of national numbers → position in `roots`.
    national: Trie,
    roots: Vec<Root>,
    lots: Vec<Lot>,
}

/// A country code of the State.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    pub(super) digits: Digits,
    /// Digits of a whole number after the code, where its block does not say.
    pub(super) whole: u8,
    pub(super) territory: Territory,
    pub(super) national: bool,
}

/// What national numbers with a certain beginning become: `code`, then their digits without the first `strip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) code: u16,
    pub(super) strip: u8,
}

/// One prefix: its lines, oldest first. Nearly all have one.
#[derive(Clone, Debug)]
struct Lot {
    /// Digits of a whole number: after the country code, or of a short number.
    digits: u8,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    from: NaiveDate,
    category: Category,
    territory: Option<Territory>,
}

/// Where a number stands in the plan.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    plan: &'a Plan,
    /// Of the prefixes that it begins with, as many as there are, shortest first.
    lots: [u16; Digits::MAX],
    prefixes: usize,
    /// Its digits, those of a country code left out.
    whole: usize,
    /// Of a number that no block holds.
    otherwise: Class,
}

impl<'a> Placed<'a> {
    fn outside(plan: &'a Plan, category: Category, territory: Option<Territory>) -> Self {
        Self {
            plan,
            lots: [0; Digits::MAX],
            prefixes: 0,
            whole: 0,
            otherwise: Class { category, territory },
        }
    }

    /// Category and territory on a local day ([`Plan::class`]).
    pub fn on(&self, day: NaiveDate) -> Class {
        let in_force = |&lot: &u16| {
            let lot = &self.plan.lots[usize::from(lot)];
            let line = lot.lines.iter().rev().find(|line| line.from <= day)?;
            Some((lot.digits, line))
        };
        match self.lots[..self.prefixes].iter().rev().find_map(in_force) {
            Some((digits, line)) if usize::from(digits) == self.whole => Class {
                category: line.category,
                territory: line.territory,
            },
            _ => self.otherwise,
        }
    }
}

impl Plan {
    /// Builds the plan from its lines.
    pub fn build(spec: &PlanSpec) -> Result<Self, PlanError> {
        let mut plan = Self::without_blocks(spec)?;
        for (index, block) in spec.blocks.iter().enumerate() {
            for written in &block.prefixes {
                plan.add(block, written).map_err(|why| PlanError {
                    block: Some(index),
                    value: written.clone(),
                    why,
                })?;
            }
        }
        for lot in &mut plan.lots {
            lot.lines.sort_by_key(|line| line.from);
        }
        Ok(plan)
    }

    /// Category and territory of `number` on the local day `on`, by the longest prefix with a line in force. Numbers of the
    /// State in no block are `Unallocated`, with the territory of their country code; short numbers have no territory.
    pub fn class(&self, number: Number, on: NaiveDate) -> Class {
        self.placed(number).on(on)
    }

    /// The number's place in the plan, for asking about several days.
    pub fn placed(&self, number: Number) -> Placed<'_> {
        let (trie, digits, code, otherwise) = match number {
            Number::E164(number) => {
                let digits = Digits::of(number.get());
                let Some(code) = self.code_of(digits.as_slice()) else {
                    return Placed::outside(self, Category::Foreign, None);
                };
                let code = &self.codes[usize::from(code)];
                (&self.international, digits, code.digits.len(), Some(code.territory))
            }
            Number::Short(code) => (&self.short, Digits::of(code.get().into()), 0, None),
        };
        let mut placed = Placed::outside(self, Category::Unallocated, otherwise);
        placed.whole = digits.len() - code;
        trie.walk(digits.as_slice(), |lot| {
            // A prefix for each digit at most.
            placed.lots[placed.prefixes] = lot;
            placed.prefixes += 1;
        });
        placed
    }

    /// Position of the State's country code that `digits` begin with.
    pub(super) fn code_of(&self, digits: &[u8]) -> Option<u16> {
        self.by_code.longest(digits, Some)
    }

    /// Country code and digits to drop for a national number, given without the national prefix.
    pub(super) fn root_of(&self, national: &[u8]) -> Root {
        self.national
            .longest(national, |root| self.roots.get(usize::from(root)).copied())
            .unwrap_or(Root {
                code: self.home,
                strip: 0,
            })
    }

    pub(super) fn is_home(&self, code: u16) -> bool {
        code == self.home
    }

    /// How many digits a number with these (`code` included) has after its code, whatever the day.
    pub(super) fn whole(&self, code: u16, international: &[u8]) -> usize {
        let digits = self
            .international
            .longest(international, |lot| Some(self.lots[usize::from(lot)].digits));
        digits.unwrap_or(self.codes[usize::from(code)].whole).into()
    }

    /// Digits of an ordinary national number after the prefix.
    pub(super) fn national_digits(&self) -> usize {
        self.codes[usize::from(self.home)].whole.into()
    }

    /// Is it a short number of the plan, whatever the day? The category it has had last.
    pub(super) fn known_short(&self, digits: &[u8]) -> Option<Category> {
        self.short
            .longest(digits, |lot| {
                let lot = &self.lots[usize::from(lot)];
                let last = lot.lines.last().filter(|_| usize::from(lot.digits) == digits.len());
                Some(last.map(|line| line.category))
            })
            .flatten()
    }

    fn without_blocks(spec: &PlanSpec) -> Result<Self, PlanError> {
        let fault = |value: &str, why| PlanError {
            block: None,
            value: value.to_owned(),
            why,
        };
        let mut by_code = Trie::new();
        let mut codes = Vec::with_capacity(spec.codes.len());
        for line in &spec.codes {
            let digits = Digits::parse(&line.code)
                .filter(|code| !code.starts_with(&[0]) && code.len() <= MAX_CODE)
                .ok_or_else(|| fault(&line.code, "expected a country code of one to three digits without +"))?;
            if by_code.longest(digits.as_slice(), Some).is_some() {
                return Err(fault(&line.code, "another code begins with the same digits"));
            }
            if !(4..=MAX_E164 - digits.len()).contains(&usize::from(line.digits)) {
                return Err(fault(
                    &line.code,
                    "expected at least 4 digits after it, and 15 with it at most",
                ));
            }
            let slot = by_code.slot(digits.as_slice()).ok_or_else(|| fault(&line.code, FULL))?;
            *slot = Some(position(codes.len()).ok_or_else(|| fault(&line.code, FULL))?);
            codes.push(Code {
                digits,
                whole: line.digits,
                territory: line.territory,
                national: line.national,
            });
        }
        let spec_home = Digits::parse(&spec.home).unwrap_or(Digits::EMPTY);
        let home = codes
            .iter()
            .position(|code| code.national && code.digits.as_slice() == spec_home.as_slice())
            .and_then(position)
            .ok_or_else(|| fault(&spec.home, "expected one of the country codes with national = true"))?;
        let prefix = |text: &str| {
            Digits::parse(text)
                .filter(|prefix| prefix.starts_with(&[0]) && prefix.len() <= MAX_CODE)
                .ok_or_else(|| fault(text, "expected a prefix of one to three digits that begins with 0"))
        };
        Ok(Self {
            international_prefix: prefix(&spec.international_prefix)?,
            national_prefix: prefix(&spec.national_prefix)?,
            home,
            codes,
            by_code,
            international: Trie::new(),
            short: Trie::new(),
            national: Trie::new(),
            roots: Vec::new(),
            lots: Vec::new(),
        })
    }

    /// Adds one prefix or range of a block.
    fn add(&mut self, block: &BlockSpec, written: &str) -> Result<(), &'static str> {
        let (first, last) = written.split_once('-').unwrap_or((written, written));
        let international = first.starts_with('+');
        if international != last.starts_with('+') {
            return Err(RANGE);
        }
        let first = Digits::parse(first.trim_start_matches('+')).ok_or(PREFIX)?;
        let last = Digits::parse(last.trim_start_matches('+')).ok_or(PREFIX)?;
        let (from, until) = (first.value(), last.value());
        if first.starts_with(&[0]) {
            return Err(PREFIX);
        }
        if first.len() != last.len() || from > until || until - from >= MAX_RANGE {
            return Err(RANGE);
        }
        for digits in (from..=until).map(Digits::of) {
            if international {
                self.add_international(block, digits)?;
            } else {
                self.add_short(block, digits)?;
            }
        }
        Ok(())
    }

    fn add_international(&mut self, block: &BlockSpec, prefix: Digits) -> Result<(), &'static str> {
        let index = self
            .code_of(prefix.as_slice())
            .ok_or("begins with none of the country codes")?;
        let code = self.codes[usize::from(index)];
        let whole = block.digits.unwrap_or(code.whole);
        let code_len = code.digits.len();
        if usize::from(whole) + code_len > MAX_E164 || prefix.len() - code_len > usize::from(whole) {
            return Err("expected a prefix no longer than its numbers, and those no longer than 15 digits");
        }
        let territory = Some(
            block
                .territory
                .ok_or("expected a territory: only short numbers have none")?,
        );
        Self::add_line(&mut self.international, &mut self.lots, prefix, whole, block, territory)?;

        // How the block's numbers are dialled inside the country.
        let (dialled, strip) = match &block.dialled {
            None if !code.national => return Ok(()),
            None => (Digits::parse_slice(&prefix.as_slice()[code_len..]), 0),
            Some(text) => {
                let dialled = Digits::parse(text)
                    .and_then(|d| Digits::parse_slice(d.as_slice().strip_prefix(self.national_prefix.as_slice())?));
                let strip = dialled.map_or(0, |d| d.len());
                (dialled, strip)
            }
        };
        let dialled = dialled.ok_or("dialled: expected digits that begin with the national prefix")?;
        if dialled.len() == 0 {
            return if self.is_home(index) {
                Ok(())
            } else {
                Err("expected more than the country code, or `dialled`")
            };
        }
        let root = Root {
            code: index,
            #[allow(clippy::cast_possible_truncation)] // no longer than `Digits`
            strip: strip as u8,
        };
        let slot = self.national.slot(dialled.as_slice()).ok_or(FULL)?;
        match *slot {
            Some(known) if self.roots[usize::from(known)] == root => Ok(()),
            Some(_) => Err("dialled nationally like another block of another country code"),
            None => {
                *slot = Some(position(self.roots.len()).ok_or(FULL)?);
                self.roots.push(root);
                Ok(())
            }
        }
    }

    fn add_short(&mut self, block: &BlockSpec, prefix: Digits) -> Result<(), &'static str> {
        if block.territory.is_some() || block.dialled.is_some() {
            return Err("short numbers have no territory and are dialled as they are");
        }
        #[allow(clippy::cast_possible_truncation)] // no longer than `Digits`
        let whole = block.digits.unwrap_or(prefix.len() as u8);
        if !(2..=6).contains(&whole) || prefix.len() > usize::from(whole) {
            return Err("expected a short number of two to six digits, or a prefix of one");
        }
        Self::add_line(&mut self.short, &mut self.lots, prefix, whole, block, None)
    }

    fn add_line(
        trie: &mut Trie,
        lots: &mut Vec<Lot>,
        prefix: Digits,
        whole: u8,
        block: &BlockSpec,
        territory: Option<Territory>,
    ) -> Result<(), &'static str> {
        let line = Line {
            from: block.from.unwrap_or(NaiveDate::MIN),
            category: block.category,
            territory,
        };
        let slot = trie.slot(prefix.as_slice()).ok_or(FULL)?;
        if let Some(known) = *slot {
            let lot = &mut lots[usize::from(known)];
            if lot.digits != whole {
                return Err("given twice with different numbers of digits");
            }
            if lot.lines.iter().any(|other| other.from == line.from) {
                return Err("given twice for the same first day");
            }
            lot.lines.push(line);
        } else {
            *slot = Some(position(lots.len()).ok_or(FULL)?);
            lots.push(Lot {
                digits: whole,
                lines: vec![line],
            });
        }
        Ok(())
    }
}

fn position(index: usize) -> Option<u16> {
    u16::try_from(index).ok()
}

/// Digits of the longest country code.
const MAX_CODE: usize = 3;

/// Digits of the longest international number (ITU-T E.164).
pub(super) const MAX_E164: usize = 15;

/// Most prefixes that one range stands for.
const MAX_RANGE: u64 = 10_000;

const FULL: &str = "more prefixes than a plan can hold";
const PREFIX: &str = "expected digits such as +33162 or 3000, or a range of them";
const RANGE: &str = "expected a range such as 3000-3007 or +3373-+3379 with as many digits at both ends";

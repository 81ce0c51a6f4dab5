//! A layer: sorted numbers with their status and day, packed into a few bytes each and searched where they lie. Immutable once encoded.
//!
//! Numbers stand in blocks of [`BLOCK`], each as its distance from the block's first in as many bits as the block's widest needs, so that
//! a search needs no decoding. The firsts form a static tree of fan-out [`FANOUT`] whose upper levels stay in the cache.

use chrono::NaiveDate;

/// Numbers in a block.
pub(super) const BLOCK: usize = 128;
/// Entries of one node of the tree over the blocks' firsts: two cache lines.
const FANOUT: usize = 16;
/// How far from the place where it should stand a number is looked for first: twice the spread of evenly drawn numbers.
const REACH: usize = 12;
/// Most bits of a distance: an E.164 number has fifteen digits, less than 2^50.
pub(super) const MAX_WIDTH: u32 = 50;
/// Most different days in one layer.
pub(super) const MAX_DAYS: usize = 1 << 15;

/// One number as a layer holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub number: u64,
    pub opposed: bool,
    pub day: NaiveDate,
}

/// The parts of a layer as they are written and read; [`Layer::new`] checks that they fit together.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// Ascending.
    pub days: Vec<NaiveDate>,
    /// Are there numbers that are not opposed? If not, no bit is spent on it.
    pub mixed: bool,
    pub len: u64,
    pub opposed: u64,
    /// First number of each block.
    pub firsts: Vec<u64>,
    /// For each block: position of its first word, and bits of a distance in the lowest eight bits.
    pub places: Vec<u64>,
    pub words: Vec<u64>,
}

/// Sorted numbers, ready for lookups.
#[derive(Debug)]
pub(super) struct Layer {
    parts: Parts,
    /// Every sixteenth of the level below; the lowest is every sixteenth of `parts.firsts`.
    levels: Vec<Vec<u64>>,
}

impl Layer {
    /// Checks parts that may come from a file and builds the tree over them.
    pub(super) fn new(parts: Parts) -> Result<Self, &'static str> {
        let count = usize::try_from(parts.len).map_err(|_| "too many numbers")?;
        if parts.firsts.len() != count.div_ceil(BLOCK) || parts.places.len() != parts.firsts.len() {
            return Err("blocks and numbers do not agree");
        }
        if parts.days.is_empty() || parts.days.len() > MAX_DAYS || parts.opposed > parts.len {
            return Err("days or counts are impossible");
        }
        if !parts.firsts.is_sorted_by(|a, b| a < b) || !parts.days.is_sorted_by(|a, b| a < b) {
            return Err("numbers or days are out of order");
        }
        let tag = tag_bits(&parts);
        let mut next = 0;
        for (block, &place) in parts.places.iter().enumerate() {
            let (start, width) = unpack_place(place);
            if width > MAX_WIDTH || start != next {
                return Err("a block is out of place");
            }
            next = start + words_of(in_block(count, block), width, tag);
        }
        if next != parts.words.len() {
            return Err("blocks and their words do not agree");
        }
        let mut levels = Vec::new();
        let mut below = &parts.firsts;
        while below.len() > FANOUT {
            levels.push(below.iter().copied().step_by(FANOUT).collect());
            below = levels.last().unwrap_or(&parts.firsts);
        }
        Ok(Self { parts, levels })
    }

    /// The parts, to be written.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The parts, to be changed.
    pub(super) fn into_parts(self) -> Parts {
        self.parts
    }

    /// How many numbers.
    pub(super) fn len(&self) -> u64 {
        self.parts.len
    }

    /// How many of them are opposed.
    pub(super) fn opposed(&self) -> u64 {
        self.parts.opposed
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let levels: usize = self.levels.iter().map(Vec::len).sum();
        8 * (self.parts.firsts.len() + self.parts.places.len() + self.parts.words.len() + levels)
            + size_of::<NaiveDate>() * self.parts.days.len()
    }

    /// What the layer holds of a number.
    pub(super) fn get(&self, number: u64) -> Option<Listed> {
        let block = self.block_of(number)?;
        let reader = self.reader(block);
        let distance = number - self.parts.firsts[block];
        let (mut low, mut high) = self.near(block, &reader, distance);
        while low < high {
            let middle = usize::midpoint(low, high);
            if reader.distance(middle) < distance {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < reader.count && reader.distance(low) == distance).then(|| self.listed(block, &reader, low))
    }

    /// Where in its block a distance stands if at all: numbers are spread evenly enough that a guess saves most reads of memory.
    fn near(&self, block: usize, reader: &Reader<'_>, distance: u64) -> (usize, usize) {
        let most = 1 << reader.width;
        let range = self
            .parts
            .firsts
            .get(block + 1)
            .map_or(most, |next| most.min(next - self.parts.firsts[block]));
        // At most 2^50 times 128; beyond the last number the guess lies beyond it too.
        let guess = usize::try_from(distance * reader.count as u64 / range.max(1)).unwrap_or(usize::MAX);
        let guess = guess.min(reader.count - 1);
        if reader.distance(guess) < distance {
            let above = guess + REACH;
            if above < reader.count && reader.distance(above) < distance {
                (above + 1, reader.count)
            } else {
                (guess + 1, reader.count.min(above + 1))
            }
        } else {
            match guess.checked_sub(REACH) {
                Some(below) if reader.distance(below) < distance => (below + 1, guess + 1),
                Some(below) => (0, below + 1),
                None => (0, guess + 1),
            }
        }
    }

    /// All numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Listed> + '_ {
        (0..self.parts.firsts.len()).flat_map(move |block| {
            let reader = self.reader(block);
            (0..reader.count).map(move |at| self.listed(block, &reader, at))
        })
    }

    /// The block in which a number stands if it is in the layer; `None` before the first.
    fn block_of(&self, number: u64) -> Option<usize> {
        let mut node = 0;
        for level in self.levels.iter().rev().chain(std::iter::once(&self.parts.firsts)) {
            let from = node * FANOUT;
            let upto = level.len().min(from + FANOUT);
            let smaller = level[from..upto].partition_point(|first| *first <= number);
            node = from + smaller.checked_sub(1)?;
        }
        Some(node)
    }

    fn reader(&self, block: usize) -> Reader<'_> {
        let (start, width) = unpack_place(self.parts.places[block]);
        #[allow(clippy::cast_possible_truncation)] // `new` checked that it fits
        let count = in_block(self.parts.len as usize, block);
        Reader {
            words: &self.parts.words[start..],
            count,
            width,
            tag: tag_bits(&self.parts),
        }
    }

    fn listed(&self, block: usize, reader: &Reader<'_>, at: usize) -> Listed {
        let tag = reader.tag(at);
        let (opposed, day) = if self.parts.mixed {
            (tag & 1 == 1, tag >> 1)
        } else {
            (true, tag)
        };
        // A tag beyond the table is possible only in a file that was forged together with its sums: it reads as the newest day.
        let last = self.parts.days.len() - 1;
        let day = usize::try_from(day).map_or(last, |day| day.min(last));
        Listed {
            number: self.parts.firsts[block] + reader.distance(at),
            opposed,
            day: self.parts.days[day],
        }
    }
}

/// One block's bits.
#[derive(Clone, Copy)]
struct Reader<'a> {
    words: &'a [u64],
    count: usize,
    width: u32,
    tag: u32,
}

impl Reader<'_> {
    fn distance(&self, at: usize) -> u64 {
        bits(self.words, at * self.width as usize, self.width)
    }

    fn tag(&self, at: usize) -> u64 {
        bits(
            self.words,
            self.count * self.width as usize + at * self.tag as usize,
            self.tag,
        )
    }
}

fn bits(words: &[u64], at: usize, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    let (word, shift) = (at / 64, at % 64);
    let mut value = words[word] >> shift;
    if shift + width as usize > 64 {
        value |= words[word + 1] << (64 - shift);
    }
    value & (u64::MAX >> (64 - width))
}

/// Takes numbers in ascending order and packs them.
pub(super) struct Encoder {
    parts: Parts,
    tag: u32,
    block: Vec<(u64, u64)>,
}

impl Encoder {
    /// `days`: every day that will occur, ascending. `mixed`: will there be numbers that are not opposed?
    pub(super) fn new(days: Vec<NaiveDate>, mixed: bool) -> Self {
        let parts = Parts {
            days,
            mixed,
            ..Parts::default()
        };
        Self {
            tag: tag_bits(&parts),
            parts,
            block: Vec::with_capacity(BLOCK),
        }
    }

    pub(super) fn push(&mut self, listed: Listed) {
        let day = self.parts.days.binary_search(&listed.day).unwrap_or_else(|at| at) as u64;
        let tag = if self.parts.mixed {
            day << 1 | u64::from(listed.opposed)
        } else {
            day
        };
        self.parts.len += 1;
        self.parts.opposed += u64::from(listed.opposed);
        self.block.push((listed.number, tag));
        if self.block.len() == BLOCK {
            self.flush();
        }
    }

    /// The finished layer.
    ///
    /// # Panics
    /// Where numbers were not pushed in strictly ascending order: a mistake of the caller's.
    pub(super) fn finish(mut self) -> Layer {
        self.flush();
        self.parts.words.shrink_to_fit();
        self.parts.firsts.shrink_to_fit();
        self.parts.places.shrink_to_fit();
        Layer::new(self.parts).unwrap_or_else(|why| panic!("an encoded layer is sound: {why}"))
    }

    fn flush(&mut self) {
        let (Some(&(first, _)), Some(&(last, _))) = (self.block.first(), self.block.last()) else {
            return;
        };
        assert!(
            self.block.is_sorted_by(|a, b| a.0 < b.0),
            "numbers come in ascending order"
        );
        let width = u64::BITS - (last - first).leading_zeros();
        let start = self.parts.words.len();
        self.parts.firsts.push(first);
        self.parts.places.push((start as u64) << 8 | u64::from(width));
        let length = words_of(self.block.len(), width, self.tag);
        self.parts.words.resize(start + length, 0);
        let words = &mut self.parts.words[start..];
        let mut at = 0;
        for (number, _) in &self.block {
            put(words, &mut at, number - first, width);
        }
        for (_, tag) in &self.block {
            put(words, &mut at, *tag, self.tag);
        }
        self.block.clear();
    }
}

fn put(words: &mut [u64], at: &mut usize, value: u64, width: u32) {
    if width == 0 {
        return;
    }
    let (word, shift) = (*at / 64, *at % 64);
    words[word] |= value << shift;
    if shift + width as usize > 64 {
        words[word + 1] |= value >> (64 - shift);
    }
    *at += width as usize;
}

/// Bits beside each distance: the status where there are two, and the day where there are several.
fn tag_bits(parts: &Parts) -> u32 {
    let days = usize::BITS - parts.days.len().saturating_sub(1).leading_zeros();
    u32::from(parts.mixed) + days
}

fn in_block(count: usize, block: usize) -> usize {
    (count - block * BLOCK).min(BLOCK)
}

fn words_of(count: usize, width: u32, tag: u32) -> usize {
    (count * (width + tag) as usize).div_ceil(64)
}

#[allow(clippy::cast_possible_truncation)] // 56 bits of position on a 64-bit machine; eight of width
fn unpack_place(place: u64) -> (usize, u32) {
    ((place >> 8) as usize, (place & 0xff) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn day(n: i32) -> NaiveDate {
        NaiveDate::from_epoch_days(19_500 + n).unwrap()
    }

    fn layer(model: &BTreeMap<u64, (bool, i32)>, days: i32, mixed: bool) -> Layer {
        let mut encoder = Encoder::new((0..days).map(day).collect(), mixed);
        for (number, (opposed, on)) in model {
            encoder.push(Listed {
                number: *number,
                opposed: *opposed || !mixed,
                day: day(*on % days),
            });
        }
        encoder.finish()
    }

    #[test]
    fn an_empty_layer_holds_nothing() {
        let empty = Encoder::new(vec![day(0)], true).finish();
        assert_eq!((empty.len(), empty.get(1), empty.iter().count()), (0, None, 0));
    }

    #[test]
    fn neighbours_of_every_number_are_not_found() {
        let mut encoder = Encoder::new(vec![day(0)], false);
        for number in 0..100_000u64 {
            encoder.push(Listed {
                number: 3_360_000_000 + 3 * number,
                opposed: true,
                day: day(0),
            });
        }
        let layer = encoder.finish();
        for number in 3_359_999_999..3_360_300_003u64 {
            let there = (3_360_000_000..3_360_300_000).contains(&number) && number.is_multiple_of(3);
            assert_eq!(layer.get(number).is_some(), there, "{number}");
        }
        assert!(layer.bytes() < 200_000, "{} bytes for 100,000 numbers", layer.bytes());
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let model = (0..1000u64).map(|n| (n * 7_919, (n % 2 == 0, 0))).collect();
        let good = layer(&model, 3, true).parts().clone();
        assert!(Layer::new(good.clone()).is_ok());
        let spoil: [fn(&mut Parts); 9] = [
            |p| p.len += 200,
            |p| p.opposed = p.len + 1,
            |p| p.days.clear(),
            |p| p.days.reverse(),
            |p| p.firsts.swap(0, 1),
            |p| p.places.truncate(1),
            |p| p.places[1] += 1 << 8,
            |p| p.places[1] = p.places[1] & !0xff | 0x3c,
            |p| p.words.truncate(1),
        ];
        for (at, spoil) in spoil.iter().enumerate() {
            let mut parts = good.clone();
            spoil(&mut parts);
            assert!(Layer::new(parts).is_err(), "fault {at}");
        }
    }

    proptest! {
        #[test]
        fn a_layer_holds_what_was_pushed(
            model in prop::collection::btree_map(prop_oneof![0..5_000u64, 33_600_000_000..33_600_009_000u64, 0..1u64 << 50], (any::<bool>(), 0..9), 0..600),
            days in 1..10i32,
            mixed: bool,
            others in prop::collection::vec(prop_oneof![0..5_000u64, 0..1u64 << 50], 50),
        ) {
            let layer = layer(&model, days, mixed);
            let expected = |number: u64| model.get(&number).map(|(opposed, on)| Listed { number, opposed: *opposed || !mixed, day: day(*on % days) });
            prop_assert_eq!(layer.iter().collect::<Vec<_>>(), model.keys().filter_map(|n| expected(*n)).collect::<Vec<_>>());
            for number in model.keys().copied().chain(others) {
                prop_assert_eq!(layer.get(number), expected(number));
            }
        }
    }
}

//! Digit strings by value: what prefixes, lengths and lookups work on. Private to numbering; never allocates.

/// Up to [`Digits::MAX`] digits by value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    buf: [u8; Self::MAX],
    len: u8,
}

impl Digits {
    /// Holds `00` and fifteen digits, and tells that there were more.
    pub(super) const MAX: usize = 20;

    pub(super) const EMPTY: Self = Self {
        buf: [0; Self::MAX],
        len: 0,
    };

    /// The decimal digits of a number; none of zero.
    pub(super) fn of(value: u64) -> Self {
        let mut digits = Self::EMPTY;
        let mut all = [0; 24];
        for (eight, value) in all
            .chunks_exact_mut(8)
            .zip([value / EIGHT / EIGHT, value / EIGHT % EIGHT, value % EIGHT])
        {
            // A remainder of 10^8, and what is left of 64 bits beyond 10^16: both fit.
            eight.copy_from_slice(&eight_digits(u32::try_from(value).unwrap_or_default()));
        }
        let leading = all.iter().take_while(|&&digit| digit == 0).count();
        let length = all.len() - leading;
        digits.buf[..length].copy_from_slice(&all[leading..]);
        #[allow(clippy::cast_possible_truncation)] // at most `MAX`
        {
            digits.len = length as u8;
        }
        digits
    }

    /// Of ASCII digits; `None` for anything else, nothing, or too many.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut digits = Self::EMPTY;
        for byte in text.bytes() {
            if !byte.is_ascii_digit() || !digits.push(byte - b'0') {
                return None;
            }
        }
        (digits.len > 0).then_some(digits)
    }

    /// Of values 0 to 9; `None` for too many.
    pub(super) fn parse_slice(values: &[u8]) -> Option<Self> {
        let mut digits = Self::EMPTY;
        digits.buf.get_mut(..values.len())?.copy_from_slice(values);
        digits.len = u8::try_from(values.len()).ok()?;
        Some(digits)
    }

    /// Appends one; false where there is no room.
    pub(super) fn push(&mut self, digit: u8) -> bool {
        let Some(place) = self.buf.get_mut(usize::from(self.len)) else {
            return false;
        };
        *place = digit;
        self.len += 1;
        true
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.buf[..usize::from(self.len)]
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    pub(super) fn starts_with(&self, values: &[u8]) -> bool {
        self.as_slice().starts_with(values)
    }

    /// As a number; saturates.
    pub(super) fn value(&self) -> u64 {
        let step = |value: u64, &digit: &u8| value.saturating_mul(10).saturating_add(digit.into());
        self.as_slice().iter().fold(0, step)
    }
}

/// The digits of a number below 10^8, leading zeros included: halves, then pairs, then digits, each step for all of them at once.
fn eight_digits(number: u32) -> [u8; 8] {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    // n * 10486 >> 20 is n / 100 below 10^4, and n * 103 >> 10 is n / 10 below 100.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - 10 * tens) << 8).to_le_bytes()
}

const EIGHT: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_at_the_edges_have_their_digits() {
        for number in [
            0,
            1,
            9,
            10,
            99_999_999,
            EIGHT,
            EIGHT * EIGHT - 1,
            EIGHT * EIGHT,
            u64::MAX,
        ] {
            let expected: Vec<u8> = number.to_string().bytes().map(|digit| digit - b'0').collect();
            let expected = if number == 0 { Vec::new() } else { expected };
            assert_eq!(Digits::of(number).as_slice(), expected);
        }
    }

    proptest! {
        #[test]
        fn digits_read_back_as_their_number(number: u64, below in 0_u32..64) {
            let number = number >> below;
            let digits = Digits::of(number);
            prop_assert_eq!(digits.value(), number);
            prop_assert!(digits.as_slice().first() != Some(&0));
        }
    }
}

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
    pub(super) fn of(mut value: u64) -> Self {
        let mut digits = Self::EMPTY;
        let mut at = Self::MAX;
        while value > 0 {
            at -= 1;
            digits.buf[at] = (value % 10) as u8;
            value /= 10;
        }
        digits.buf.copy_within(at.., 0);
        #[allow(clippy::cast_possible_truncation)] // at most `MAX`
        {
            digits.len = (Self::MAX - at) as u8;
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

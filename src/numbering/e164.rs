//! International numbers and short codes as small integers, with their full and masked spellings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An international number (ITU-T E.164): one to fifteen digits, no leading zero. Cannot hold an unparsed string.
///
/// `Display` writes it in full (`+33612345678`); `Debug` masks it, so that it can be logged by mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(u64);

impl E164 {
    /// The largest value: fifteen nines.
    pub const MAX: u64 = 999_999_999_999_999;

    /// From digits without `+`; `None` for zero or more than fifteen digits.
    pub const fn new(digits: u64) -> Option<Self> {
        if digits == 0 || digits > Self::MAX {
            None
        } else {
            Some(Self(digits))
        }
    }

    /// The digits as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A spelling for logs: country and first digits kept, the rest hidden.
    pub const fn masked(self) -> Masked {
        Masked(self.0)
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.masked().fmt(f)
    }
}

impl Serialize for E164 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for E164 {
    /// Reads the `+33…` spelling only; dialled forms go through [`super::Plan::read`].
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.strip_prefix('+')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .and_then(E164::new)
            .ok_or_else(|| serde::de::Error::custom("expected a number in the form +33612345678"))
    }
}

/// A number with all but its first five digits hidden (`+33612•••••`).
#[derive(Clone, Copy)]
pub struct Masked(u64);

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.checked_ilog10().map_or(1, |l| l as usize + 1);
        let shown = digits.saturating_sub(4).min(5);
        #[allow(clippy::cast_possible_truncation)] // at most fifteen digits
        let head = self.0 / 10u64.pow((digits - shown) as u32);
        if shown > 0 {
            write!(f, "+{head}")?;
        } else {
            f.write_str("+")?;
        }
        (shown..digits).try_for_each(|_| f.write_str("•"))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A short number, two to six digits, no leading zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShortCode(u32);

impl ShortCode {
    /// From digits; `None` outside 10..=999999.
    pub const fn new(digits: u32) -> Option<Self> {
        if digits < 10 || digits > 999_999 {
            None
        } else {
            Some(Self(digits))
        }
    }

    /// The digits as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_masked_hide_the_subscriber_digits() {
        let number = E164::new(33_612_345_678).unwrap();
        assert_eq!(format!("{number:?}"), "+33612••••••");
        assert_eq!(number.masked().to_string(), "+33612••••••");
        assert_eq!(E164::new(68_712).unwrap().masked().to_string(), "+6••••");
        assert_eq!(E164::new(112).unwrap().masked().to_string(), "+•••");
        assert_eq!(number.to_string(), "+33612345678");
    }
}

//! Deterministic CBOR (RFC 8949 §4.2.1), the small part that record bodies use: integers, byte and text strings, arrays, booleans
//! and null, all of definite length and in their shortest form. The same value always has the same bytes, so that a commitment to a
//! body can be checked from its meaning. Called by `body`; knows no record.

/// Why bytes are not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The bytes end in the middle of a value.
    #[error("the value ends too early")]
    End,
    /// Another type, or an indefinite length.
    #[error("a value of another type was expected")]
    Type,
    /// A number outside what the field can hold, or a text that is none.
    #[error("the value is out of its range")]
    Range,
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Begins with an array of so many values.
    pub fn array_of(values: u64) -> Self {
        let mut encoder = Self(Vec::with_capacity(96));
        encoder.array(values);
        encoder
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..=23 => self.0.push(major | bytes[7]),
            24..=0xff => self.0.extend_from_slice(&[major | 0x18, bytes[7]]),
            0x100..=0xffff => {
                self.0.push(major | 0x19);
                self.0.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 0x1a);
                self.0.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.0.push(major | 0x1b);
                self.0.extend_from_slice(&bytes);
            }
        }
        self
    }

    pub fn array(&mut self, values: u64) -> &mut Self {
        self.head(4, values)
    }

    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 {
            self.head(1, !(value.cast_unsigned()))
        } else {
            self.head(0, value.cast_unsigned())
        }
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.0.push(0xf4 | u8::from(value));
        self
    }

    pub fn null(&mut self) -> &mut Self {
        self.0.push(0xf6);
        self
    }

    /// The value by `write`, or null.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CborError::End)?;
        self.0 = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let first = self.take(1)?[0];
        let extra = match first & 0x1f {
            small @ 0..=23 => return Ok((first >> 5, small.into())),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(CborError::Type),
        };
        let value = self
            .take(extra)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        Ok((first >> 5, value))
    }

    fn of(&mut self, major: u8) -> Result<u64, CborError> {
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => Err(CborError::Type),
        }
    }

    fn string(&mut self, major: u8) -> Result<&'a [u8], CborError> {
        let length = self.of(major)?;
        self.take(usize::try_from(length).map_err(|_| CborError::End)?)
    }

    pub fn array(&mut self) -> Result<u64, CborError> {
        self.of(4)
    }

    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.of(0)
    }

    pub fn int(&mut self) -> Result<i64, CborError> {
        let (major, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| CborError::Range)?;
        match major {
            0 => Ok(value),
            1 => Ok(!value),
            _ => Err(CborError::Type),
        }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        self.string(2)
    }

    pub fn text(&mut self) -> Result<&'a str, CborError> {
        std::str::from_utf8(self.string(3)?).map_err(|_| CborError::Range)
    }

    pub fn bool(&mut self) -> Result<bool, CborError> {
        match self.take(1)?[0] {
            0xf4 => Ok(false),
            0xf5 => Ok(true),
            _ => Err(CborError::Type),
        }
    }

    /// Null, or the value by `read`. The end of the bytes is an error here: whoever reads a body knows how many values it has.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, CborError>) -> Result<Option<T>, CborError> {
        if self.0.first() == Some(&0xf6) {
            self.0 = &self.0[1..];
            return Ok(None);
        }
        read(self).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Vec<u8> {
        let mut encoder = Encoder::default();
        write(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn values_are_written_as_in_rfc_8949_appendix_a() {
        assert_eq!(encoded(|e| e.uint(0)), [0x00]);
        assert_eq!(encoded(|e| e.uint(23)), [0x17]);
        assert_eq!(encoded(|e| e.uint(24)), [0x18, 0x18]);
        assert_eq!(encoded(|e| e.uint(1000)), [0x19, 0x03, 0xe8]);
        assert_eq!(encoded(|e| e.uint(1_000_000)), [0x1a, 0x00, 0x0f, 0x42, 0x40]);
        assert_eq!(
            encoded(|e| e.uint(1_000_000_000_000)),
            [0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]
        );
        assert_eq!(encoded(|e| e.int(-1)), [0x20]);
        assert_eq!(encoded(|e| e.int(-1000)), [0x39, 0x03, 0xe7]);
        assert_eq!(encoded(|e| e.bytes(&[1, 2, 3, 4])), [0x44, 1, 2, 3, 4]);
        assert_eq!(encoded(|e| e.text("IETF")), [0x64, 0x49, 0x45, 0x54, 0x46]);
        assert_eq!(encoded(|e| e.array(3).uint(1).uint(2).uint(3)), [0x83, 1, 2, 3]);
        assert_eq!(encoded(|e| e.bool(false).bool(true).null()), [0xf4, 0xf5, 0xf6]);
    }

    #[test]
    fn a_length_beyond_the_bytes_is_an_error_and_takes_no_memory() {
        let bytes = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Decoder::new(&bytes).bytes(), Err(CborError::End));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number: u64, signed: i64, text: String, bytes: Vec<u8>, flag: bool) {
            let encoded = encoded(|e| e.array(6).uint(number).int(signed).text(&text).bytes(&bytes).bool(flag).null());
            let mut decoder = Decoder::new(&encoded);
            prop_assert_eq!(decoder.array(), Ok(6));
            prop_assert_eq!(decoder.uint(), Ok(number));
            prop_assert_eq!(decoder.int(), Ok(signed));
            prop_assert_eq!(decoder.text(), Ok(text.as_str()));
            prop_assert_eq!(decoder.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!(decoder.bool(), Ok(flag));
            prop_assert_eq!(decoder.option(Decoder::uint), Ok(None));
            prop_assert!(decoder.0.is_empty());
        }
    }
}

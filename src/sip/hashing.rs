//! Keyed hashes over many small fields: these are put together first, since hashing each by itself takes several times as long. The hash
//! is that of all bytes in a row, wherever they were cut.

use std::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128};

/// A hash under way.
pub(super) struct Fields<H> {
    hasher: H,
    held: [u8; HELD],
    length: usize,
}

/// More than what is hashed in one go nearly always takes.
const HELD: usize = 256;

impl<H: Hasher + Hasher128> Fields<H> {
    pub(super) fn new(hasher: H) -> Self {
        Self {
            hasher,
            held: [0; HELD],
            length: 0,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if HELD - self.length < bytes.len() {
            self.hasher.write(&self.held[..self.length]);
            self.length = 0;
            if HELD < bytes.len() {
                return self.hasher.write(bytes);
            }
        }
        self.held[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// As [`Fields::write`], ASCII letters made small.
    pub(super) fn write_lowercase(&mut self, text: &str) {
        for piece in text.as_bytes().chunks(HELD) {
            self.write(piece);
            let written = self.length - piece.len();
            self.held[written..self.length].make_ascii_lowercase();
        }
    }

    pub(super) fn finish(&mut self) -> Hash128 {
        self.hasher.write(&self.held[..self.length]);
        self.length = 0;
        self.hasher.finish128()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip128::SipHasher13;

    use super::*;

    proptest! {
        #[test]
        fn the_hash_is_that_of_all_bytes_in_a_row(
            fields in proptest::collection::vec((any::<bool>(), "[A-Za-z0-9.]{0,40}|[A-Z]{200,600}"), 0..20)
        ) {
            let (mut hashed, mut row) = (Fields::new(SipHasher13::new()), String::new());
            for (lowercase, field) in fields {
                if lowercase {
                    hashed.write_lowercase(&field);
                    row += &field.to_ascii_lowercase();
                } else {
                    hashed.write(field.as_bytes());
                    row += &field;
                }
            }
            prop_assert_eq!(hashed.finish().as_u128(), SipHasher13::new().hash(row.as_bytes()).as_u128());
        }
    }
}

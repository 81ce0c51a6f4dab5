//! The hashes of the format: commitments, leaves, Merkle trees as in RFC 6962 §2.1, chain links. Every input starts with a tag of
//! its own, so that no hash of one kind can stand for another. Pure; called by every other file of this room.

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Identity of a journal: random, given when it is created.
pub type Id = [u8; 16];

/// Length of a record's random salt in bytes.
pub(super) const SALT: usize = 16;

const LEAF: u8 = 0;
const NODE: u8 = 1;
const COMMITMENT: u8 = 2;
const LINK: u8 = 3;
const GENESIS: u8 = 4;
const BATCH: u8 = 5;

/// The chain's value before the first batch.
pub(super) fn genesis(id: &Id) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([GENESIS]);
    hasher.update(b"clapet journal 1");
    hasher.update(id);
    hasher.finalize().into()
}

/// What stands in the chain for a record's body: hides it, and binds to it.
pub(super) fn commitment(salt: &[u8], body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([COMMITMENT]);
    hasher.update(salt);
    hasher.update(body);
    hasher.finalize().into()
}

/// The public part of a record, as it enters its batch's tree. 54 bytes: one block of SHA-256.
pub(super) fn leaf(sequence: u64, at: i64, siren: u32, kind: u8, commitment: &[u8]) -> Hash {
    let mut bytes = [0; 54];
    bytes[0] = LEAF;
    bytes[1..9].copy_from_slice(&sequence.to_le_bytes());
    bytes[9..17].copy_from_slice(&at.to_le_bytes());
    bytes[17..21].copy_from_slice(&siren.to_le_bytes());
    bytes[21] = kind;
    bytes[22..].copy_from_slice(commitment);
    Sha256::digest(bytes).into()
}

/// A batch as a leaf of its checkpoint's tree.
pub(super) fn batch_leaf(link: &Hash) -> Hash {
    let mut bytes = [BATCH; 33];
    bytes[1..].copy_from_slice(link);
    Sha256::digest(bytes).into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [NODE; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The chain's value after a batch.
pub(super) fn link(previous: &Hash, root: &Hash, first: u64, count: u32) -> Hash {
    let mut bytes = [0; 77];
    bytes[0] = LINK;
    bytes[1..33].copy_from_slice(previous);
    bytes[33..65].copy_from_slice(root);
    bytes[65..73].copy_from_slice(&first.to_le_bytes());
    bytes[73..].copy_from_slice(&count.to_le_bytes());
    Sha256::digest(bytes).into()
}

/// A Merkle tree under construction: holds the roots of its perfect subtrees only, so at most 64 hashes whatever its size.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    pub(super) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            size >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The root; of no leaves: zeros, which no batch or checkpoint ever holds.
    pub(super) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let mut root = peaks.next().copied().unwrap_or_default();
        for peak in peaks {
            root = node(peak, &root);
        }
        root
    }
}

/// The hashes that lead from a leaf to the root, the leaf's neighbour first (RFC 6962 §2.1.1).
pub(super) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    // The largest power of two below the number of leaves.
    let half = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
    let (left, right) = leaves.split_at(half);
    let (mut path, other) = if index < half {
        (self::path(left, index), right)
    } else {
        (self::path(right, index - half), left)
    };
    let mut tree = Tree::default();
    for leaf in other {
        tree.push(*leaf);
    }
    path.push(tree.root());
    path
}

/// The root that a leaf and its path lead to, if a tree of this size has such a path (RFC 9162 §2.1.3.2).
pub(super) fn root_of(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut index, mut last, mut root) = (index, size - 1, leaf);
    for other in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            root = node(other, &root);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            root = node(&root, other);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// Hashes and keys as lower-case hexadecimal text in JSON.
pub(super) mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in super::super) fn encode(bytes: &[u8]) -> String {
        bytes
            .iter()
            .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    pub(in super::super) fn decode(text: &str) -> Option<Vec<u8>> {
        let digits = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()?;
        (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
    }

    pub(in super::super) fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
        decode(text)?.try_into().ok()
    }

    pub(in super::super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        array(&text).ok_or_else(|| D::Error::custom(format!("{N} bytes as hexadecimal text were expected")))
    }
}

/// Any number of bytes as hexadecimal text in JSON.
pub(super) mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::hex;

    pub(in super::super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(bytes, serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex::decode(&text).ok_or_else(|| D::Error::custom("hexadecimal text was expected"))
    }
}

/// A list of hashes as hexadecimal texts in JSON.
pub(super) mod hex_list {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Hash, hex};

    pub(in super::super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| hex::encode(hash)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| hex::array(text))
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("hashes as hexadecimal texts were expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|byte| Sha256::digest([byte]).into()).collect()
    }

    /// The definition in RFC 6962 §2.1, recursive as it stands there.
    fn reference(leaves: &[Hash]) -> Hash {
        if leaves.len() == 1 {
            return leaves[0];
        }
        let mut half = 1;
        while half * 2 < leaves.len() {
            half *= 2;
        }
        node(&reference(&leaves[..half]), &reference(&leaves[half..]))
    }

    #[test]
    fn tree_built_leaf_by_leaf_has_the_root_of_the_definition() {
        for count in 1..70 {
            let leaves = leaves(count);
            let mut tree = Tree::default();
            for leaf in &leaves {
                tree.push(*leaf);
            }
            assert_eq!(tree.root(), reference(&leaves), "{count} leaves");
            assert_eq!(tree.size(), u64::from(count));
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_no_other_place() {
        for count in 1_u8..20 {
            let leaves = leaves(count);
            let root = reference(&leaves);
            for index in 0..leaves.len() {
                let path = path(&leaves, index);
                for claimed in 0..leaves.len() {
                    let reached = root_of(leaves[index], claimed as u64, u64::from(count), &path);
                    assert_eq!(
                        reached == Some(root),
                        claimed == index,
                        "{index} of {count} as {claimed}"
                    );
                }
                assert_eq!(root_of(leaves[index], u64::from(count), u64::from(count), &path), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(
                        root_of(leaves[index], index as u64, u64::from(count), shorter),
                        Some(root)
                    );
                }
            }
        }
    }

    #[test]
    fn hexadecimal_text_of_the_wrong_length_or_alphabet_is_refused() {
        assert_eq!(hex::array::<2>("00ff"), Some([0, 255]));
        assert_eq!(hex::array::<2>("00f"), None);
        assert_eq!(hex::array::<2>("00ff00"), None);
        assert_eq!(hex::array::<2>("00fg"), None);
        assert_eq!(hex::encode(&[0, 255, 16]), "00ff10");
    }
}

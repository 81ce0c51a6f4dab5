//! Everything keyed by the secret: tags, branches, the hash of a call, the MAC on Record-Route. Nobody without the secret can make
//! one, and every process that has it recognises them all.

use siphasher::sip128::SipHasher24;

use crate::sip::hashing;
use crate::sip::message::{Header, Message};
use crate::sip::peer::Peer;
use crate::sip::transaction::key::MAGIC_COOKIE;

/// What a hash is for: two uses never give the same value.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Use {
    Tag = 1,
    Branch,
    Stamp,
    Loop,
    Call,
    Party,
    Dialog,
    Nonce,
    Probe,
}

/// The two keys in the secret.
pub(super) struct Keys {
    /// For hashes that find things in memory.
    pub(super) table: [u8; 16],
    /// For what others carry and bring back.
    mac: [u8; 16],
    instance: u32,
}

/// A hash over fields.
pub(super) struct Fields(hashing::Fields<SipHasher24>);

impl Fields {
    /// Adds a field; its length goes in too, so that two fields never run into each other.
    pub(super) fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write(&(bytes.len() as u64).to_le_bytes());
        self.0.write(bytes);
        self
    }

    pub(super) fn wide(&mut self) -> u128 {
        self.0.finish().as_u128()
    }

    pub(super) fn short(&mut self) -> u64 {
        self.0.finish().as_u64().0
    }
}

/// What our branches say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The process that made it.
    pub(super) instance: u32,
    /// The client transaction.
    pub(super) unique: u64,
    /// What the routing was taken from (RFC 5393 §4.2): the same again is a loop.
    pub(super) loop_hash: u64,
    mac: u64,
}

impl Keys {
    pub(super) fn new(secret: &[u8; 32], instance: u32) -> Self {
        let (mut table, mut mac) = ([0; 16], [0; 16]);
        table.copy_from_slice(&secret[..16]);
        mac.copy_from_slice(&secret[16..]);
        Self { table, mac, instance }
    }

    pub(super) fn fields(&self, used: Use) -> Fields {
        let mut fields = hashing::Fields::new(SipHasher24::new_with_key(&self.mac));
        fields.write(&[used as u8]);
        Fields(fields)
    }

    pub(super) fn instance(&self) -> u32 {
        self.instance
    }

    /// One call, however many INVITEs carry it: Call-ID and From-tag. Never zero, which means no call.
    pub(super) fn call(&self, message: &Message) -> u64 {
        self.call_of(message.call_id(), message.from_tag())
    }

    /// The call with that Call-ID and caller's tag.
    pub(super) fn call_of(&self, call_id: &str, tag: &str) -> u64 {
        self.fields(Use::Call)
            .add(call_id.as_bytes())
            .add(tag.as_bytes())
            .short()
            .max(1)
    }

    /// A client transaction's number, from a counter: nobody else can tell the next.
    pub(super) fn unique(&self, counter: u64) -> u64 {
        self.fields(Use::Branch)
            .add(&self.instance.to_le_bytes())
            .add(&counter.to_le_bytes())
            .short()
    }

    /// What the routing is taken from (RFC 5393 §4.2): the same again is a loop, another way through us is a spiral.
    pub(super) fn loop_hash(&self, message: &Message, peer: Peer) -> u64 {
        let side = match peer {
            Peer::Source(_) => b"s",
            Peer::Trunk(_) => b"t",
            Peer::Unknown => b"u",
        };
        let mut fields = self.fields(Use::Loop);
        fields
            .add(side)
            .add(message.request_uri().as_bytes())
            .add(message.from_tag().as_bytes())
            .add(message.to_tag().as_bytes())
            .add(message.call_id().as_bytes())
            .add(&message.cseq_number().to_le_bytes());
        for route in message.values(Header::Route) {
            fields.add(route.as_bytes());
        }
        fields.short()
    }

    fn stamp_mac(&self, instance: u32, unique: u64, loop_hash: u64, call_id: &str, number: u32) -> u64 {
        self.fields(Use::Stamp)
            .add(&instance.to_le_bytes())
            .add(&unique.to_le_bytes())
            .add(&loop_hash.to_le_bytes())
            .add(call_id.as_bytes())
            .add(&number.to_le_bytes())
            .short()
    }

    /// Writes the branch of a request that is forwarded.
    pub(super) fn push_branch(&self, out: &mut String, unique: u64, loop_hash: u64, message: &Message) {
        self.push_branch_of(out, unique, loop_hash, message.call_id(), message.cseq_number());
    }

    /// Writes the branch of a request with that Call-ID and CSeq.
    pub(super) fn push_branch_of(&self, out: &mut String, unique: u64, loop_hash: u64, call_id: &str, number: u32) {
        let mac = self.stamp_mac(self.instance, unique, loop_hash, call_id, number);
        let instance = self.instance;
        out.push_str(MAGIC_COOKIE);
        push_hex(out, u64::from(instance), 8);
        for field in [unique, loop_hash, mac] {
            push_hex(out, field, 16);
        }
    }

    /// Was the message, a response, caused by a request that some process with our secret sent? The whole branch is held to it
    /// (RFC 3261 §17.1.3).
    pub(super) fn is_ours(&self, stamp: &Stamp, message: &Message) -> bool {
        let (call_id, number) = (message.call_id(), message.cseq_number());
        stamp.mac == self.stamp_mac(stamp.instance, stamp.unique, stamp.loop_hash, call_id, number)
    }
}

/// A number in sixteen hexadecimal digits.
pub(super) fn hex16(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (digit, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(number.to_be_bytes()) {
        *digit = HEX[usize::from(byte)];
    }
    digits
}

/// The last so many hexadecimal digits of a number, at most sixteen.
pub(super) fn push_hex(out: &mut String, number: u64, digits: usize) {
    let all = hex16(number);
    let wanted = &all[all.len().saturating_sub(digits)..];
    // Hexadecimal digits.
    out.push_str(std::str::from_utf8(wanted).unwrap_or_default());
}

/// A number of at most sixteen hexadecimal digits and nothing else.
pub(super) fn read_hex(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.bytes().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

/// The two digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    all
};

impl Stamp {
    /// Of a branch that we write: an instance, and three numbers of sixteen digits.
    pub(super) const LENGTH: usize = MAGIC_COOKIE.len() + 8 + 3 * 16;

    /// Reads a branch of the form that we write.
    pub(super) fn parse(branch: &str) -> Option<Self> {
        let digits = branch.strip_prefix(MAGIC_COOKIE)?;
        if branch.len() != Self::LENGTH {
            return None;
        }
        let hex = |from: usize| read_hex(digits.get(from..from + 16)?);
        Some(Self {
            instance: u32::try_from(read_hex(digits.get(..8)?)?).ok()?,
            unique: hex(8)?,
            loop_hash: hex(24)?,
            mac: hex(40)?,
        })
    }
}

/// Chance that can be repeated: SplitMix64, seeded by the settings.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-32 for the sums of weights it is used for.
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(call: &str) -> Message {
        Message::parse(Bytes::from(format!(
            "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\n\
             Call-ID: {call}\r\nCSeq: 1 INVITE\r\n\r\n"
        )))
        .unwrap()
    }

    #[test]
    fn a_branch_is_read_back_and_bound_to_its_call() {
        let keys = Keys::new(&[3; 32], 0xabcd);
        let mut branch = String::new();
        keys.push_branch(&mut branch, 5, 6, &message("c1"));
        let stamp = Stamp::parse(&branch).unwrap();
        assert_eq!((stamp.instance, stamp.unique, stamp.loop_hash), (0xabcd, 5, 6));
        assert!(keys.is_ours(&stamp, &message("c1")));
        assert!(!keys.is_ours(&stamp, &message("c2")));
        let altered = Stamp { loop_hash: 7, ..stamp };
        assert!(!keys.is_ours(&altered, &message("c1")));
        assert!(!Keys::new(&[4; 32], 0xabcd).is_ours(&stamp, &message("c1")));
        assert!(
            Keys::new(&[3; 32], 1).is_ours(&stamp, &message("c1")),
            "a successor knows it"
        );
        for foreign in [
            "z9hG4bK1",
            "",
            &branch[1..],
            &format!("{branch}0"),
            &branch.replace('5', "+"),
        ] {
            assert_eq!(Stamp::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let keys = Keys::new(&[3; 32], 0);
        let hash = |one: &[u8], two: &[u8]| keys.fields(Use::Call).add(one).add(two).wide();
        assert_ne!(hash(b"ab", b"c"), hash(b"a", b"bc"));
        assert_ne!(
            keys.fields(Use::Call).add(b"a").wide(),
            keys.fields(Use::Tag).add(b"a").wide()
        );
    }

    #[test]
    fn a_seed_repeats_itself() {
        let mut draws: Vec<Vec<u64>> = Vec::new();
        for seed in [1, 1, 2] {
            let mut chance = Chance::new(seed);
            draws.push((0..8).map(|_| chance.below(1_000)).collect());
        }
        assert_eq!(draws[0], draws[1]);
        assert_ne!(draws[0], draws[2]);
    }
}

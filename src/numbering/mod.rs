//! Numbers and the French numbering plan, as data.
//!
//! Any dialled form becomes one key ([`E164`]) or a short code; a plan read from data says which category and
//! territory a number has. This room knows neither SIP messages nor law.

mod digits;
mod e164;
mod plan;
mod read;
mod spec;
mod trie;

pub use e164::{E164, Masked, ShortCode};
pub use plan::{Placed, Plan};
pub use read::NumberError;
pub use spec::{BlockSpec, CodeSpec, PlanError, PlanSpec};

use serde::{Deserialize, Serialize};

/// What a dialled string names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Number {
    /// A subscriber number in international form.
    E164(E164),
    /// A short number, dialled within the country only (`15`, `3949`, `118712`).
    Short(ShortCode),
}

/// The category of a number in the plan; names are those of the law file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Category {
    /// Verified multi-purpose number [numéro polyvalent vérifié, NPV].
    Npv,
    /// Technical-platform number (NPUEPT).
    Platform,
    /// General-interest number (law 2025-594 art. 16).
    GeneralInterest,
    /// 01–05 outside the NPV roots.
    Geographic,
    /// 09 outside the NPV roots (polyvalent).
    Polyvalent,
    /// 06 and 07, ten digits.
    Mobile,
    /// Extended-length mobile (machine to machine), fourteen digits.
    ExtendedMobile,
    /// Extended-length polyvalent.
    ExtendedPolyvalent,
    /// 0800–0805.
    SpecialFree,
    /// 0806–0809.
    Special,
    /// 081, 082 and legacy 08.
    Premium,
    /// 089, forbidden as a caller number to anyone who canvasses.
    #[serde(rename = "premium-089")]
    Premium089,
    /// Free short numbers (30PQ, 31PQ).
    ShortFree,
    /// Other short numbers (3BPQ, 10XY, 116XYZ that are no emergency number).
    Short,
    /// Directory enquiries, 118XYZ.
    Directory,
    /// Emergency number [numéro d'urgence]: never blocked.
    Emergency,
    /// In the French plan's code space but in no allocated block.
    Unallocated,
    /// Another country's number.
    Foreign,
}

/// Where a number belongs; decides the time zone and the public holidays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Territory {
    /// Metropolitan France.
    Metropole,
    /// Guadeloupe, Saint-Martin and Saint-Barthélemy (the prefix does not tell them apart).
    Guadeloupe,
    /// Guyane.
    Guyane,
    /// Martinique.
    Martinique,
    /// La Réunion.
    Reunion,
    /// Mayotte.
    Mayotte,
    /// Saint-Pierre-et-Miquelon.
    SaintPierre,
    /// New Caledonia, +687.
    NewCaledonia,
    /// Wallis and Futuna, +681.
    WallisFutuna,
    /// French Polynesia, +689.
    Polynesia,
}

impl Territory {
    /// All of them, by position.
    pub const ALL: [Self; 10] = [
        Self::Metropole,
        Self::Guadeloupe,
        Self::Guyane,
        Self::Martinique,
        Self::Reunion,
        Self::Mayotte,
        Self::SaintPierre,
        Self::NewCaledonia,
        Self::WallisFutuna,
        Self::Polynesia,
    ];
}

/// Category and territory of a number on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Category in the plan.
    pub category: Category,
    /// Territory; `None` for foreign and short numbers.
    pub territory: Option<Territory>,
}

#[cfg(test)]
mod tests;

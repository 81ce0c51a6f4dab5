//! What still bound of a segment when it went cold, as carried records hold it. The cold path writes them; a replay reads them.

use chrono::{DateTime, Utc};

use super::super::cbor::{Decoder, Encoder};
use super::super::{Key, Siren};
use super::{BodyError, moment, read_key};
use crate::journal::{Kind, Stored};
use crate::numbering::E164;

/// State as of a carried record's own place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Carried {
    /// All that is known of a key, in the form of the view's rows, version [`ROW_VERSION`]; the records that brought it about and were
    /// in the segment.
    Row {
        key: Key,
        row: Vec<u8>,
        origins: Vec<Origin>,
    },
    /// A fact about nobody's callee, or an erasure, as it stood; sequence and time are the original record's.
    Record(Stored),
}

/// A record that a carried one stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Origin {
    pub sequence: u64,
    pub kind: Kind,
    pub at: DateTime<Utc>,
    /// Its body, of refusals, consents, contracts and calls made elsewhere: they may have to be shown after the original is gone.
    pub body: Option<Vec<u8>>,
}

/// Version of the rows in carried records. Another is not read.
pub const ROW_VERSION: u64 = 1;

/// The body of a carried row.
pub fn carried_row(callee: E164, row: &[u8], origins: &[Origin]) -> Vec<u8> {
    let mut e = Encoder::array_of(5);
    e.uint(CARRIED_ROW).uint(callee.get()).uint(ROW_VERSION).bytes(row);
    e.array(origins.len() as u64);
    for origin in origins {
        e.array(4).uint(origin.sequence).uint(origin.kind as u64);
        e.int(origin.at.timestamp_micros());
        e.option(origin.body.as_ref(), |e, body| e.bytes(body));
    }
    e.finish()
}

/// The body of a carried record that is about nobody's callee.
pub fn carried_record(origin: &Stored) -> Vec<u8> {
    let mut e = Encoder::array_of(5);
    e.uint(CARRIED_RECORD).uint(origin.sequence).uint(origin.kind as u64);
    e.int(origin.at.timestamp_micros());
    e.option(origin.body.as_ref(), |e, body| e.bytes(body));
    e.finish()
}

const CARRIED_ROW: u64 = 0;
const CARRIED_RECORD: u64 = 1;

pub(super) fn read(d: &mut Decoder, siren: Siren) -> Result<Carried, BodyError> {
    match d.uint()? {
        CARRIED_ROW => {
            let key = read_key(d, siren)?;
            if d.uint()? != ROW_VERSION {
                return Err(BodyError::Unknown);
            }
            let row = d.bytes()?.to_vec();
            let mut origins = Vec::new();
            for _ in 0..d.array()? {
                d.array()?;
                let (sequence, kind, at, body) = read_origin(d)?;
                origins.push(Origin {
                    sequence,
                    kind,
                    at,
                    body,
                });
            }
            Ok(Carried::Row { key, row, origins })
        }
        CARRIED_RECORD => {
            let (sequence, kind, at, body) = read_origin(d)?;
            Ok(Carried::Record(Stored {
                sequence,
                kind,
                at,
                siren: siren.0,
                body,
            }))
        }
        _ => Err(BodyError::Unknown),
    }
}

type ReadOrigin = (u64, Kind, DateTime<Utc>, Option<Vec<u8>>);

fn read_origin(d: &mut Decoder) -> Result<ReadOrigin, BodyError> {
    let sequence = d.uint()?;
    let kind = u8::try_from(d.uint()?).ok().and_then(Kind::from_code);
    let at = moment(d.int()?)?;
    let body = d.option(Decoder::bytes)?.map(<[u8]>::to_vec);
    Ok((sequence, kind.ok_or(BodyError::Unknown)?, at, body))
}

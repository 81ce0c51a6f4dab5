//! `POST /v1/forget` and `clapet forget`: erasure from the ledger, and what stays on the lists with the reason.

use chrono::{DateTime, Utc};

use crate::ledger::{Forgotten, Ledger, StoreError};
use crate::numbering::E164;
use crate::screening::Screening;

/// Erases one number's personal data. Lists keep it, and the answer says why.
pub async fn forget(
    ledger: &dyn Ledger,
    screening: &Screening,
    number: E164,
    now: DateTime<Utc>,
) -> Result<Forgotten, StoreError> {
    let mut forgotten = ledger.forget(number, now).wait().await?;
    let listed = screening.holds(number).len() as u64;
    if listed > 0 {
        let why = "entries of do-not-call lists, without which the person could be called (GDPR art. 17(3)(b) and 21(3); \
                   code de la consommation L.223-1)";
        forgotten.kept.push((listed, why.to_owned()));
    }
    Ok(forgotten)
}

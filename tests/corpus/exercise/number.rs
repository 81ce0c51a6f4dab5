//! Dialled numbers.

use chrono::NaiveDate;
use clapet::law::Law;
use clapet::numbering::Number;

/// One dialled string.
pub fn number(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let law = Law::embedded();
    let on = NaiveDate::from_ymd_opt(2026, 8, 11).expect("a date");
    match law.plan.read(text) {
        Ok(read) => {
            let _ = law.plan.class(read, on);
            if let Number::E164(number) = read {
                let digits = number.get().to_string();
                assert!((2..=15).contains(&digits.len()), "{digits}");
                // A zero behind one of the State's codes is always taken for a national prefix that somebody left there.
                let prefixed = ["33", "262", "508", "590", "594", "596", "681", "687", "689"]
                    .iter()
                    .any(|code| digits.strip_prefix(code).is_some_and(|rest| rest.starts_with('0')));
                for form in [
                    format!("+{digits}"),
                    format!("00{digits}"),
                    format!("tel:+{digits}"),
                    format!("sip:%2B{digits}@h"),
                ] {
                    assert!(prefixed || law.plan.read(&form) == Ok(read), "{form}");
                }
                assert!(
                    !format!("{number:?} {}", number.masked()).contains(&digits),
                    "a number in a log is masked"
                );
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

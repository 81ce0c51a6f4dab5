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
                for form in [
                    format!("+{digits}"),
                    format!("00{digits}"),
                    format!("tel:+{digits}"),
                    format!("sip:%2B{digits}@h"),
                ] {
                    assert_eq!(law.plan.read(&form), Ok(read), "{form}");
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

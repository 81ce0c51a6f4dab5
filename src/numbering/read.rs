//! From a dialled string to a number: prefixes, visual separators, escapes, URI parts, mistaken forms. Called for every INVITE
//! and every line of an import; allocates nothing. Which prefixes and lengths exist is the plan's data.

use super::digits::Digits;
use super::plan::MAX_E164;
use super::{Category, E164, Number, Plan, ShortCode};

/// Why a dialled string is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Nothing was dialled.
    #[error("empty")]
    Empty,
    /// A character that no number holds, and its byte position.
    #[error("character {0:?} at {1} is no digit")]
    Character(char, usize),
    /// Too few or too many digits for any number.
    #[error("{0} digits are no number of the plan")]
    Length(usize),
    /// A country code was announced and a zero follows.
    #[error("no country code begins with 0")]
    CountryCode,
    /// A national number whose `phone-context` names another country.
    #[error("a national number in the phone-context of another country")]
    Context,
}

impl Plan {
    /// Reads any dialled form: national, `+`, `00`, `33…` without plus, `tel:` and `sip:` user parts with parameters
    /// (`phone-context`), visual separators, percent escapes, national 09475-style overseas numbers and their mistaken `+33`
    /// form. No allocation.
    ///
    /// Beyond the RFCs: a trunk prefix kept after the country code (`+33 0 6…`) is dropped; a short number behind a country
    /// code, or behind a bare `+`, is that short number (`+33112`, `+112`), an emergency number even behind the national
    /// prefix (`0112`), so that none is lost to a number-rewriting PBX. Digits without any prefix are a short number or begin
    /// with one of the State's country codes; other countries need `+` or `00`, since `90612345678` may as well be an outside
    /// line and a French mobile. A dialling code such as `*31#` is no number.
    pub fn read(&self, dialled: &str) -> Result<Number, NumberError> {
        let (begin, uri) = user_part(dialled);
        let (number, end) = scan(dialled, begin, uri)?;
        let parameters = dialled.get(end..).and_then(|rest| rest.strip_prefix(';'));
        // Whatever was dropped or put before them on the way: the error counts the digits that were dialled.
        self.resolve(&number, parameters).map_err(|error| match error {
            NumberError::Length(_) => NumberError::Length(number.count),
            other => other,
        })
    }

    fn resolve(&self, dialled: &Dialled, parameters: Option<&str>) -> Result<Number, NumberError> {
        let digits = dialled.digits.as_slice();
        if dialled.count == 0 {
            return Err(NumberError::Empty);
        }
        if dialled.count > digits.len() {
            return Err(NumberError::Length(dialled.count));
        }
        if dialled.plus {
            return self
                .international(digits)
                .or_else(|error| self.short(digits).ok_or(error));
        }
        if let Some(short) = self.short(digits) {
            return Ok(short);
        }
        if let Some(rest) = digits.strip_prefix(self.international_prefix.as_slice()) {
            return self.international(rest);
        }
        let context = parameters
            .and_then(phone_context)
            .map(|context| self.code_of(context.digits.as_slice()).ok_or(NumberError::Context));
        if let Some(rest) = digits.strip_prefix(self.national_prefix.as_slice()) {
            let national = match context {
                Some(Ok(code)) if !self.codes[usize::from(code)].national => Err(NumberError::Context),
                Some(Err(error)) => Err(error),
                _ => self.national(rest),
            };
            return national.or_else(|error| self.emergency(rest).ok_or(error));
        }
        if let Some(context) = context {
            return self.in_context(context?, digits);
        }
        self.bare(digits)
    }

    /// Digits that follow `+` or the international prefix.
    fn international(&self, digits: &[u8]) -> Result<Number, NumberError> {
        if digits.first() == Some(&0) {
            return Err(NumberError::CountryCode);
        }
        let Some(code) = self.code_of(digits) else {
            return match digits.len() {
                MIN_FOREIGN..=MAX_E164 => number(digits).ok_or(NumberError::Length(digits.len())),
                length => Err(NumberError::Length(length)),
            };
        };
        let after = &digits[self.codes[usize::from(code)].digits.len()..];
        let own = after.strip_prefix(self.national_prefix.as_slice()).unwrap_or(after);
        let read = if !self.codes[usize::from(code)].national {
            self.checked(code, after)
        } else if self.is_home(code) {
            self.national(own)
        } else {
            // `+508 0508…` repeats the code as the national form does.
            self.checked(code, own).or_else(|error| {
                self.national(own)
                    .ok()
                    .filter(|n| self.code_of_number(*n) == Some(code))
                    .ok_or(error)
            })
        };
        read.or_else(|error| self.short(after).ok_or(error))
    }

    /// Digits that follow the national prefix.
    fn national(&self, digits: &[u8]) -> Result<Number, NumberError> {
        let root = self.root_of(digits);
        // A block dialled with its code in front (0508) has that code in its root.
        self.checked(root.code, digits.get(usize::from(root.strip)..).unwrap_or_default())
    }

    /// Digits without any prefix: a short number, or a country code of the State and a whole number.
    fn bare(&self, digits: &[u8]) -> Result<Number, NumberError> {
        let code = self.code_of(digits).ok_or(NumberError::Length(digits.len()));
        if let Ok(read) = code.and_then(|_| self.international(digits)) {
            // `687123456` is a number of New Caledonia, or 06 87 12 34 56 without its zero: nobody can tell.
            let ambiguous = digits.len() == self.national_digits() && self.national(digits) != Ok(read);
            return if ambiguous {
                Err(NumberError::Length(digits.len()))
            } else {
                Ok(read)
            };
        }
        if digits.len() > MAX_SHORT {
            return Err(NumberError::Length(digits.len()));
        }
        short_code(digits).ok_or(NumberError::Length(digits.len()))
    }

    /// Digits without any prefix, local to a country code of the State (RFC 3966 `phone-context`).
    fn in_context(&self, code: u16, digits: &[u8]) -> Result<Number, NumberError> {
        let local = if self.codes[usize::from(code)].national && digits.len() == self.national_digits() {
            self.national(digits)
        } else {
            self.checked(code, digits)
        };
        local.or_else(|_| self.bare(digits))
    }

    /// A number of the State, if it has the digits that its block says.
    fn checked(&self, code: u16, after: &[u8]) -> Result<Number, NumberError> {
        let mut whole = self.codes[usize::from(code)].digits;
        let length = NumberError::Length(whole.len() + after.len());
        if whole.len() + after.len() > MAX_E164 {
            return Err(length);
        }
        // It would be taken for a national prefix left there, and read back as another number.
        if self.codes[usize::from(code)].national && after.first() == self.national_prefix.as_slice().first() {
            return Err(length);
        }
        if !after.iter().all(|&digit| whole.push(digit)) || self.whole(code, whole.as_slice()) != after.len() {
            return Err(length);
        }
        number(whole.as_slice()).ok_or(length)
    }

    /// A short number of the plan.
    fn short(&self, digits: &[u8]) -> Option<Number> {
        self.known_short(digits).and_then(|_| short_code(digits))
    }

    fn emergency(&self, digits: &[u8]) -> Option<Number> {
        self.known_short(digits)
            .filter(|category| *category == Category::Emergency)
            .and_then(|_| short_code(digits))
    }

    fn code_of_number(&self, number: Number) -> Option<u16> {
        match number {
            Number::E164(number) => self.code_of(Digits::of(number.get()).as_slice()),
            Number::Short(_) => None,
        }
    }
}

/// What was dialled: the first digits, how many there were in all, and whether a plus stood before them.
struct Dialled {
    plus: bool,
    digits: Digits,
    count: usize,
}

/// Where the user part begins, after blanks and the scheme of a `tel:` or `sip:` URI; and whether there was a scheme.
fn user_part(text: &str) -> (usize, bool) {
    let blanks = text.len() - text.trim_start().len();
    let uri = &text[blanks..];
    let scheme = |scheme: &&str| {
        uri.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    let schemed = uri.starts_with(|first: char| first.is_ascii_alphabetic());
    let scheme = schemed
        .then(|| ["tel:", "sip:", "sips:"].into_iter().find(scheme))
        .flatten();
    (blanks + scheme.map_or(0, str::len), scheme.is_some())
}

/// The global number of a `;phone-context=+33` parameter; `None` where there is none or it is a domain name.
fn phone_context(parameters: &str) -> Option<Dialled> {
    let user = parameters.split('@').next()?;
    let value = user.split(';').take(MAX_PARAMETERS).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("phone-context").then_some(value)
    })?;
    let (context, _) = scan(value, 0, false).ok()?;
    (context.plus && context.count > 0).then_some(context)
}

/// Collects the digits of `text` from the byte `begin` on, skipping what only serves the eye, up to the end of the user part:
/// its parameters, its host, in a URI also its password (RFC 3261 §25.1 userinfo). Tells where that end is.
fn scan(text: &str, begin: usize, uri: bool) -> Result<(Dialled, usize), NumberError> {
    let mut dialled = Dialled {
        plus: false,
        digits: Digits::EMPTY,
        count: 0,
    };
    let bytes = text.as_bytes();
    let mut at = begin;
    while let Some(&byte) = bytes.get(at) {
        if at - begin >= MAX_TEXT {
            return Err(NumberError::Length(dialled.count));
        }
        let (character, length) = match byte {
            b';' | b'@' => break,
            b':' if uri => break,
            b'%' => match unescape(bytes.get(at + 1..at + 3)) {
                Some(escaped) => (escaped, 3),
                None => return Err(NumberError::Character('%', at)),
            },
            0..0x80 => (char::from(byte), 1),
            // `at` only ever moves by whole characters.
            _ => match text[at..].chars().next() {
                Some(character) => (character, character.len_utf8()),
                None => break,
            },
        };
        match character {
            '0'..='9' => {
                // Digits past the last place are counted, and refused by their count.
                #[allow(clippy::cast_possible_truncation)] // an ASCII digit
                dialled.digits.push(character as u8 - b'0');
                dialled.count += 1;
            }
            '+' if !dialled.plus && dialled.count == 0 => dialled.plus = true,
            _ if is_separator(character) => {}
            _ => return Err(NumberError::Character(character, at)),
        }
        at += length;
    }
    Ok((dialled, at))
}

/// The ASCII character of two hexadecimal digits (RFC 3986 §2.1).
fn unescape(hex: Option<&[u8]>) -> Option<char> {
    let [high, low] = hex? else { return None };
    let value = char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?;
    char::from_u32(value).filter(char::is_ascii)
}

/// RFC 3966 §5.1.1 visual separators, and what office documents and address books put between digits: spaces of all widths,
/// hyphens, and marks that are not seen.
fn is_separator(character: char) -> bool {
    matches!(
        character,
        '-' | '.' | '(' | ')' | ' ' | '\t'
            | '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}'      // spaces
            | '\u{2010}'..='\u{2013}'                              // hyphens
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' // marks
    )
}

fn short_code(digits: &[u8]) -> Option<Number> {
    if digits.len() > MAX_SHORT || digits.first() == Some(&0) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value: u32, &digit| value * 10 + u32::from(digit));
    ShortCode::new(value).map(Number::Short)
}

fn number(digits: &[u8]) -> Option<Number> {
    let step = |value: u64, &digit: &u8| value.saturating_mul(10).saturating_add(digit.into());
    E164::new(digits.iter().fold(0, step)).map(Number::E164)
}

/// Longest text read, in bytes: fifteen digits with an escape each, and as many separators.
const MAX_TEXT: usize = 96;

/// Parameters looked through for a `phone-context`.
const MAX_PARAMETERS: usize = 16;

/// Digits of the longest short number.
const MAX_SHORT: usize = 6;

/// Digits of the shortest foreign number, country code included.
const MIN_FOREIGN: usize = 7;

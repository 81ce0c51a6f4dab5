//! Pieces of the grammar that every value shares: white space, quotes, parameters, comma-separated values. No allocation.

/// What a byte may be, one bit a class, so that a text is looked at with one load a byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let it = byte as u8;
        let alphanumeric = it.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(it, b"-.!%*_+`'~") {
            classes[byte] |= TOKEN;
        }
        // The underscore is in no RFC, but in many host names of containers and test rigs.
        if alphanumeric || is_one_of(it, b"-._") {
            classes[byte] |= HOST;
        }
        if it > b' ' && it != 0x7f && !is_one_of(it, b"<>\"") {
            classes[byte] |= IN_URI;
        }
        if it > b' ' && it != 0x7f && !is_one_of(it, b",;<>\"()") {
            classes[byte] |= IN_PARAM;
        }
        if is_one_of(it, b"\"<(") {
            classes[byte] |= OPENS;
        }
        if it == b';' {
            classes[byte] |= SEMICOLON;
        }
        if it == b',' {
            classes[byte] |= COMMA;
        }
        if classes[byte] & IN_URI != 0 && !is_one_of(it, b"@:;?") {
            classes[byte] |= IN_PIECE;
        }
        byte += 1;
    }
    classes
};

const fn is_one_of(byte: u8, all: &[u8]) -> bool {
    let mut at = 0;
    while at < all.len() {
        if all[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Characters of a token (RFC 3261 §25.1).
pub(super) const TOKEN: u8 = 1;
/// Characters of a host that is no IPv6 address.
pub(super) const HOST: u8 = 2;
/// What may stand in a URI: anything visible but the marks that end one.
pub(super) const IN_URI: u8 = 4;
/// What may stand in the value of a parameter without quotes.
const IN_PARAM: u8 = 8;
/// Opens something that a separator may stand in.
const OPENS: u8 = 16;
/// The separators themselves.
const SEMICOLON: u8 = 32;
const COMMA: u8 = 64;
/// What may stand in a URI and separates none of its pieces.
pub(super) const IN_PIECE: u8 = 128;

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Are all bytes of that class?
pub(super) fn all(text: &[u8], of: u8) -> bool {
    run(text, of) == text.len()
}

/// How many bytes of that class the text begins with. Eight are asked at once, since nearly always all are.
pub(super) fn run(text: &[u8], of: u8) -> usize {
    let (eights, rest) = text.as_chunks::<8>();
    let together = |bytes: &[u8; 8]| bytes.iter().fold(of, |all, &byte| all & class(byte)) != 0;
    let whole = eights.iter().take_while(|eight| together(eight)).count();
    let near = eights.get(whole).map_or(rest, |eight| &eight[..]);
    whole * 8 + near.iter().take_while(|&&byte| class(byte) & of != 0).count()
}

/// Where a byte of one of these classes first stands. Eight are asked at once, since mostly none is.
fn first(text: &[u8], of: u8) -> Option<usize> {
    let (eights, rest) = text.as_chunks::<8>();
    let any = |bytes: &[u8; 8]| bytes.iter().fold(0, |any, &byte| any | class(byte)) & of != 0;
    let (from, near) = match eights.iter().position(any) {
        Some(eight) => (eight * 8, &eights[eight][..]),
        None => (eights.len() * 8, rest),
    };
    let found = near.iter().position(|&byte| class(byte) & of != 0)?;
    Some(from + found)
}

/// SP, HTAB, and the line ends of a folded value (RFC 3261 §25.1, LWS).
pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the LWS around it.
pub(super) fn trim(text: &str) -> &str {
    let (start, end) = trimmed(text.as_bytes());
    &text[start..end]
}

/// Where the text without the LWS around it lies; its end twice, for one of nothing else.
pub(super) fn trimmed(text: &[u8]) -> (usize, usize) {
    let start = text.iter().position(|&byte| !is_lws(byte)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|&byte| !is_lws(byte))
        .map_or(start, |last| last + 1);
    (start, end)
}

/// Where a byte first stands in a short text, for which the search of `memchr` takes longer to begin than this to end.
pub(super) fn find(text: &str, wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let pattern = u64::from_le_bytes([wanted; 8]);
    let (eights, rest) = text.as_bytes().as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        // A byte that is zero here is the wanted one; of these the lowest mark is exact.
        let differs = u64::from_le_bytes(*eight) ^ pattern;
        let marks = differs.wrapping_sub(LOW) & !differs & HIGH;
        if marks != 0 {
            return Some(at * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|&byte| byte == wanted)?;
    Some(eights.len() * 8 + found)
}

/// What stands before and after the first `at`, an ASCII character; all and nothing where there is none.
pub(super) fn cut(text: &str, at: u8) -> (&str, &str) {
    split_once(text, at).unwrap_or((text, ""))
}

/// What stands before and after the first `at`, an ASCII character.
pub(super) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    find(text, at).map(|found| (&text[..found], &text[found + 1..]))
}

/// The parameters, of what follows a value: nothing, or a `;` and them. `None` where anything else does.
pub(super) fn params_of(rest: &str) -> Option<&str> {
    if rest.is_empty() {
        return Some("");
    }
    rest.strip_prefix(';')
}

/// Splits after the closing quote of a quoted string whose opening quote has been read: its content and the rest.
pub(super) fn unquote(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
}

/// Removes the quotes of a folded or plain value that is one quoted string.
fn without_quotes(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(unquote)
        .filter(|(_, rest)| rest.is_empty())
        .map_or(value, |(inner, _)| inner)
}

/// A whole number of decimal digits alone; `None` where anything else stands or it does not fit.
pub(super) fn digits(text: &str) -> Option<u64> {
    let number = text.bytes().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit < 10).then_some(number)
    })?;
    (!text.is_empty()).then_some(number)
}

/// One `;name[=value]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Param<'a> {
    /// As written, from name to value.
    pub(super) raw: &'a str,
    pub(super) name: &'a str,
    /// `None` for a flag; quotes left on.
    pub(super) value: Option<&'a str>,
}

impl<'a> Param<'a> {
    /// Its value without quotes; empty for a flag.
    pub(super) fn plain(&self) -> &'a str {
        without_quotes(self.value.unwrap_or_default())
    }
}

/// Parameters separated by `;` outside quotes.
#[derive(Clone, Debug)]
pub(super) struct Params<'a> {
    rest: Option<&'a str>,
}

impl<'a> Params<'a> {
    pub(super) fn new(params: &'a str) -> Self {
        Self {
            rest: Some(params).filter(|params| !trim(params).is_empty()),
        }
    }

    /// Value of the first parameter of that name, without quotes; empty for a flag.
    pub(super) fn value(mut self, name: &str) -> Option<&'a str> {
        self.find(|param| param.name.eq_ignore_ascii_case(name))
            .map(|param| param.plain())
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        let text = self.rest?;
        let end = end_of_item(text, b';');
        self.rest = text.get(end + 1..);
        let raw = trim(&text[..end]);
        Some(match split_once(raw, b'=') {
            Some((name, value)) => Param {
                raw,
                name: trim(name),
                value: Some(trim(value)),
            },
            None => Param {
                raw,
                name: raw,
                value: None,
            },
        })
    }
}

/// Every parameter has a token for a name and no stray separator in its value, and `unique` stands once at most. Each is shown to
/// `visit`, in order, as long as that holds.
///
/// Values are read liberally: tags with `=`, and `received` with a bare IPv6 address (RFC 5118 §4.5), are common. But a parenthesis
/// that opens a comment for one reader and not for another would hide what is put behind it.
pub(super) fn check_params<'a>(params: &'a str, unique: &str, mut visit: impl FnMut(&Param<'a>)) -> bool {
    let mut seen = false;
    let mut look = |param: &Param<'a>| {
        let good = !(param.name.eq_ignore_ascii_case(unique) && std::mem::replace(&mut seen, true));
        if good {
            visit(param);
        }
        good
    };
    let mut params = Params::new(params);
    while let Some(text) = params.rest {
        // What nearly all are: neither white space nor quotes.
        let (raw, rest) = text.split_at(run(text.as_bytes(), IN_PARAM));
        let rest = match rest.as_bytes().first() {
            None => None,
            Some(b';') => Some(&rest[1..]),
            _ => return params.all(|param| is_good(&param) && look(&param)),
        };
        let (name, value) = raw.split_at(run(raw.as_bytes(), TOKEN));
        let value = value.strip_prefix('=');
        if name.is_empty() || (value.is_none() && name.len() < raw.len()) || !look(&Param { raw, name, value }) {
            return false;
        }
        params.rest = rest;
    }
    true
}

fn is_good(param: &Param<'_>) -> bool {
    let value = param.value.unwrap_or_default();
    let good = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted).is_some_and(|(_, rest)| rest.is_empty()),
        None => all(value.as_bytes(), IN_PARAM),
    };
    good && super::names::is_token(param.name.as_bytes())
}

/// Splits a header value at its commas, those in quotes, angle brackets and comments apart; white space around each is left out.
pub fn split_values(value: &str) -> impl Iterator<Item = &str> {
    Values::new(value).map(|(start, end)| &value[start..end])
}

/// Where the comma-separated values of a header lie in it, white space left out.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    text: &'a str,
    /// Start of the next value; past the end: done.
    at: usize,
}

impl<'a> Values<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let at = if trim(text).is_empty() { text.len() + 1 } else { 0 };
        Self { text, at }
    }
}

impl Iterator for Values<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let text = self.text.get(self.at..)?;
        // Most headers hold one value and no comma anywhere.
        let end = match memchr::memchr(b',', text.as_bytes()) {
            Some(_) => end_of_item(text, b','),
            None => text.len(),
        };
        let (start, stop) = trimmed(&text.as_bytes()[..end]);
        let at = self.at;
        self.at += end + 1;
        Some((at + start, at + stop))
    }
}

/// Where the first `separator`, a semicolon or comma, outside quotes, angle brackets and comments stands, or the end. What is opened and never closed
/// runs to the end: the value is then malformed as a whole, rather than cut at a comma that may be part of it.
fn end_of_item(text: &str, separator: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(plain) = first(&bytes[at..], OPENS | class(separator) & (SEMICOLON | COMMA)) {
        at += plain;
        let byte = bytes[at];
        at += 1;
        // Only after an ASCII byte is `at` sure to lie between two characters.
        let skipped = match byte {
            _ if byte == separator => return at - 1,
            b'"' => unquote(&text[at..]).map(|(content, _)| content.len() + 1),
            b'<' => memchr::memchr(b'>', &bytes[at..]).map(|end| end + 1),
            _ => end_of_comment(&bytes[at..]),
        };
        match skipped {
            Some(skipped) => at += skipped,
            None => return bytes.len(),
        }
    }
    bytes.len()
}

/// Length of a comment up to and with its closing parenthesis; comments nest and hold quoted pairs (RFC 3261 §25.1).
fn end_of_comment(bytes: &[u8]) -> Option<usize> {
    let mut depth = 1_usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(value: &str) -> Vec<&str> {
        split_values(value).collect()
    }

    #[test]
    fn values_split_at_commas_outside_quotes_brackets_and_comments() {
        for (value, expected) in [
            ("", vec![]),
            (" \r\n ", vec![]),
            ("a", vec!["a"]),
            ("a,b", vec!["a", "b"]),
            (" a ,\r\n b\t", vec!["a", "b"]),
            ("a,,b", vec!["a", "", "b"]),
            ("a,", vec!["a", ""]),
            (r#""x, y" <sip:a@b>, c"#, vec![r#""x, y" <sip:a@b>"#, "c"]),
            (r#""x\", y" <sip:a@b>, c"#, vec![r#""x\", y" <sip:a@b>"#, "c"]),
            ("<sip:a,b@c;d=e,f>;g=h, i", vec!["<sip:a,b@c;d=e,f>;g=h", "i"]),
            (
                r"120 (one, \) (two, three)), 30",
                vec![r"120 (one, \) (two, three))", "30"],
            ),
            ("\"é, à\" <sip:a@b>, ü", vec!["\"é, à\" <sip:a@b>", "ü"]),
            // Never closed: one value, malformed as a whole.
            (r#""x, y"#, vec![r#""x, y"#]),
            ("<sip:a@b, c", vec!["<sip:a@b, c"]),
            ("(a, b", vec!["(a, b"]),
            (r#""x\"#, vec![r#""x\"#]),
        ] {
            assert_eq!(split(value), expected, "{value:?}");
        }
    }

    #[test]
    fn parameters_split_at_semicolons_outside_quotes() {
        let all: Vec<_> = Params::new(r#" a = 1 ; flag;q="x;y";e= "#)
            .map(|param| (param.name, param.value))
            .collect();
        assert_eq!(
            all,
            [
                ("a", Some("1")),
                ("flag", None),
                ("q", Some(r#""x;y""#)),
                ("e", Some(""))
            ]
        );
        assert_eq!(Params::new(r#"q="x;y""#).value("Q"), Some("x;y"));
        assert_eq!(Params::new("lr").value("lr"), Some(""));
        assert_eq!(Params::new("lr").value("l"), None);
    }

    #[test]
    fn malformed_parameters_are_told_apart() {
        for good in [
            "",
            "tag=a",
            "a;b=c",
            "tag=YWJj==",
            "received=2001:db8::9:255",
            "received=[2001:db8::1]",
            r#"x="a,b;c""#,
            "a\r\n = b",
        ] {
            assert!(check_params(good, "tag", |_| ()), "{good:?}");
        }
        for bad in [
            ";",
            "a;",
            ";;,;,,",
            "=a",
            "a=b c",
            "a=b,c",
            "tag=a;TAG=b",
            r#"x="a"#,
            r#"x="a"b"#,
            "x=<y>",
            "x=(y",
            "x=(y)",
            "é=a",
        ] {
            assert!(!check_params(bad, "tag", |_| ()), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn joining_split_values_gives_the_same_values(values in proptest::collection::vec(r#"[a-z]{1,5}|"[a-z, \\\\"]{0,5}"|<[a-z,]{0,5}>"#, 1..6)) {
            let values: Vec<String> = values.into_iter().filter(|value| split_values(value).count() == 1).collect();
            let joined = values.join(" ,\r\n ");
            prop_assume!(values.iter().all(|value| end_of_item(value, b',') == value.len()));
            prop_assume!(values.iter().filter(|value| value.starts_with('"')).all(|value| unquote(&value[1..]).is_some_and(|(_, rest)| rest.is_empty())));
            prop_assert_eq!(split(&joined), values);
        }

        #[test]
        fn any_text_splits_without_losing_or_overlapping(text in "[\\PC\"<>(),;\\\\ \t\r\n]{0,40}") {
            let mut last = 0;
            for (start, end) in Values::new(&text) {
                prop_assert!(last <= start && start <= end && end <= text.len());
                prop_assert_eq!(trim(&text[start..end]), &text[start..end]);
                last = end;
            }
        }
    }
}

//! Text that generators write and read as bytes.
#![allow(dead_code)] // each generator uses its part

/// The offer of a dialer.
pub const SDP: &str = "v=0\r\no=dialer 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                       m=audio 30000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                       a=rtpmap:101 telephone-event/8000\r\n";

/// The first header line that begins so, without its end; empty where there is none.
pub fn line<'a>(message: &'a [u8], name: &[u8]) -> &'a [u8] {
    let mut rest = message;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let whole = &rest[..end];
        if whole.starts_with(name) {
            return whole.trim_ascii_end();
        }
        rest = &rest[end + 1..];
    }
    &[]
}

/// The number that stands at the beginning.
pub fn decimal(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

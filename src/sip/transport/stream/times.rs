//! What a connection must do by when, as a value: its task asks for the next moment and tells what came. Owns no timer.

use std::time::Instant;

use super::settings::{PONG_WITHIN, StreamSettings};

/// Why a connection ended; `as_str` is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The other end closed it.
    Peer,
    /// It broke.
    Broken,
    /// It could not be made.
    NotConnected,
    /// TLS failed: no certificate that we believe, the wrong name, or no TLS at all.
    Tls,
    /// Not through in time: TLS, a first message, or the rest of a message.
    Handshake,
    /// Nothing came for long.
    Idle,
    /// No answer to a ping.
    NoPong,
    /// It does not take what is written to it.
    Slow,
    /// What it carries is no SIP.
    Fault,
}

impl Cause {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::NotConnected => "not-connected",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::NoPong => "no-pong",
            Self::Slow => "slow",
            Self::Fault => "fault",
        }
    }
}

/// Until when the other end must have done what.
pub(super) struct Times<'a> {
    settings: &'a StreamSettings,
    /// When something last came, or the connection began.
    last: Instant,
    /// When the message began that is not whole.
    begun: Option<Instant>,
    /// It has brought something whole.
    proven: bool,
    /// When we ping next; `None`: we do not.
    ping_at: Option<Instant>,
    /// When we pinged, until anything comes.
    pinged: Option<Instant>,
    /// It has answered a ping, so that silence means something.
    pongs: bool,
}

/// What to do when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    Over(Cause),
}

impl<'a> Times<'a> {
    pub(super) fn new(now: Instant, ours: bool, settings: &'a StreamSettings) -> Self {
        Self {
            settings,
            last: now,
            begun: None,
            proven: ours,
            ping_at: ours.then(|| now + settings.keep_alive),
            pinged: None,
            pongs: false,
        }
    }

    /// The next moment at which something is to be done.
    pub(super) fn next(&self) -> (Instant, Due) {
        let first = (!self.proven).then_some(self.last);
        let since = [self.begun, first].into_iter().flatten().min();
        let whole = since.map(|since| since + self.settings.handshake_timeout);
        let pong = self.pinged.filter(|_| self.pongs).map(|at| at + PONG_WITHIN);
        [
            whole.map(|at| (at, Due::Over(Cause::Handshake))),
            pong.map(|at| (at, Due::Over(Cause::NoPong))),
            self.ping_at.map(|at| (at, Due::Ping)),
        ]
        .into_iter()
        .flatten()
        .fold(
            (self.last + self.settings.idle_timeout, Due::Over(Cause::Idle)),
            |earliest, other| if other.0 < earliest.0 { other } else { earliest },
        )
    }

    pub(super) fn came(&mut self, now: Instant) {
        // Bytes alone do not put off the first whole message.
        if self.proven {
            self.last = now;
        }
        self.ping_at = self.ping_at.map(|_| now + self.settings.keep_alive);
    }

    pub(super) fn line_end(&mut self) {
        if self.pinged.take().is_some() {
            self.pongs = true;
        }
    }

    pub(super) fn proven(&mut self) {
        self.proven = true;
        self.begun = None;
        self.pinged = None;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged.get_or_insert(now);
        self.ping_at = self.ping_at.map(|_| now + self.settings.keep_alive);
    }

    pub(super) fn begun(&mut self, within_message: bool, now: Instant) {
        self.begun = if within_message { self.begun.or(Some(now)) } else { None };
        if self.proven {
            self.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: StreamSettings = StreamSettings {
        handshake_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(4),
        write_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(300),
        keep_alive: Duration::from_secs(90),
        max_connections: 1,
        max_per_address: 1,
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn bytes_do_not_put_off_the_first_whole_message() {
        let start = Instant::now();
        let mut times = Times::new(start, false, &SETTINGS);
        for second in 1..5 {
            times.came(start + seconds(second));
            times.begun(true, start + seconds(second));
        }
        assert_eq!(times.next(), (start + seconds(10), Due::Over(Cause::Handshake)));
        times.proven();
        times.begun(false, start + seconds(5));
        assert_eq!(times.next(), (start + seconds(305), Due::Over(Cause::Idle)));
    }

    #[test]
    fn a_message_that_has_begun_must_end() {
        let start = Instant::now();
        let mut times = Times::new(start, true, &SETTINGS);
        times.came(start + seconds(20));
        times.begun(true, start + seconds(20));
        times.came(start + seconds(29));
        times.begun(true, start + seconds(29));
        assert_eq!(times.next(), (start + seconds(30), Due::Over(Cause::Handshake)));
    }

    #[test]
    fn only_who_has_answered_a_ping_must_answer_the_next() {
        let start = Instant::now();
        let mut times = Times::new(start, true, &SETTINGS);
        assert_eq!(times.next(), (start + seconds(90), Due::Ping));
        times.pinged(start + seconds(90));
        assert_eq!(
            times.next(),
            (start + seconds(180), Due::Ping),
            "silence means nothing yet"
        );
        times.came(start + seconds(91));
        times.line_end();
        times.begun(false, start + seconds(91));
        times.pinged(start + seconds(181));
        assert_eq!(times.next(), (start + seconds(191), Due::Over(Cause::NoPong)));
        times.came(start + seconds(185));
        times.proven();
        assert_eq!(times.next().1, Due::Ping);
    }
}

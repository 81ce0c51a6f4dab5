//! Calls in progress of sources that have a limit on them (`concurrent_calls`): from the INVITE to its refusal or to the BYE of either
//! side. Calls of other sources leave nothing here. A call whose BYE never comes is forgotten [`MAX_SILENCE`] after its last request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::core::Core;
use crate::sip::Now;
use crate::sip::message::{Message, Method};
use crate::sip::peer::{Held, Source};

/// Answered calls by [`super::keys::Keys::call`].
#[derive(Default)]
pub(super) struct Calls {
    held: FxHashMap<u64, (Held, Instant)>,
    order: VecDeque<(Instant, u64)>,
}

impl Calls {
    /// The call was answered.
    pub(super) fn keep(&mut self, call: u64, held: Held, now: Instant) {
        let until = now + MAX_SILENCE;
        self.held.insert(call, (held, until));
        self.order.push_back((until, call));
    }

    /// Something was said in the call.
    fn heard(&mut self, call: u64, now: Instant) {
        if let Some((_, until)) = self.held.get_mut(&call) {
            *until = now + MAX_SILENCE;
        }
    }

    fn end(&mut self, call: u64) {
        self.held.remove(&call);
    }

    /// Forgets calls that nobody has ended.
    fn expire(&mut self, now: Instant) {
        while let Some(&(at, call)) = self.order.front().filter(|(at, _)| *at <= now) {
            self.order.pop_front();
            match self.held.get(&call) {
                Some((_, until)) if *until > now => self.order.push_back((*until, call)),
                Some((_, until)) if *until >= at => self.end(call),
                _ => {}
            }
        }
    }
}

impl Core {
    /// Takes a new call of a source from its limits; else says after how long it may try again. Calls that do not count (emergency
    /// numbers, other requests) take nothing.
    pub(super) fn within_limits(&mut self, now: Now, source: &Source, counts: bool) -> Result<Option<Held>, Duration> {
        if !counts {
            return Ok(None);
        }
        let held = self.place(source, now.mono)?;
        if let Some(rate) = source.access.rate {
            source.access.usage.take(rate, now.mono)?;
        }
        Ok(held)
    }

    /// A place for a call of a source; `Ok(None)` where it has no limit.
    fn place(&mut self, source: &Source, now: Instant) -> Result<Option<Held>, Duration> {
        let Some(most) = source.access.concurrent_calls else {
            return Ok(None);
        };
        if let Some(held) = source.access.usage.enter(most) {
            return Ok(Some(held));
        }
        self.calls.expire(now);
        source.access.usage.enter(most).map(Some).ok_or(UNTIL_ONE_ENDS)
    }

    /// A request within a dialog passes: a BYE ends its call, anything else shows that it lives. The caller's tag is From's or To's.
    pub(super) fn note_in_dialog(&mut self, message: &Message, now: Instant) {
        if self.calls.held.is_empty() {
            return;
        }
        let tags = [message.from_tag(), message.to_tag()];
        for tag in tags.into_iter().filter(|tag| !tag.is_empty()) {
            let call = self.keys.call_of(message.call_id(), tag);
            match message.method() {
                Method::Bye => self.calls.end(call),
                _ => self.calls.heard(call, now),
            }
        }
    }
}

/// When one of its calls in progress may have ended: a guess.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(5);

/// Longer than any conversation without a session refresh.
const MAX_SILENCE: Duration = Duration::from_secs(4 * 3600);

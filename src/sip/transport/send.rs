//! The bounded queue of one listener, sent in batches.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use bytes::Bytes;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg, sendto};
use smallvec::SmallVec;

use super::SEND_QUEUE;

/// Messages in one `sendmmsg`.
const BATCH: usize = 32;

/// What waits to be sent.
#[derive(Default)]
pub(super) struct SendQueue {
    waiting: VecDeque<(SocketAddr, Bytes)>,
    dropped: u64,
}

impl SendQueue {
    /// Appends, or drops and counts the newest: an older message is nearer to the timer of whoever waits for it.
    pub(super) fn push(&mut self, remote: SocketAddr, bytes: Bytes) {
        if self.waiting.len() < SEND_QUEUE {
            self.waiting.push_back((remote, bytes));
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where the first message would go.
    pub(super) fn first(&self) -> Option<SocketAddr> {
        self.waiting.front().map(|(remote, _)| *remote)
    }

    /// Gives up the first message.
    pub(super) fn drop_first(&mut self) {
        self.waiting.pop_front();
    }

    /// Sends one batch and removes what was taken. An error is the first message's, or one that the socket had pending.
    pub(super) fn send_batch(&mut self, socket: impl AsFd) -> io::Result<()> {
        if self.waiting.len() == 1
            && let Some((remote, bytes)) = self.waiting.front()
        {
            // The usual case, and the cheaper call.
            sendto(socket, bytes, SendFlags::DONTWAIT, remote)?;
            self.waiting.clear();
            return Ok(());
        }
        let sent = {
            let batch = || self.waiting.iter().take(BATCH);
            let addresses: SmallVec<[_; BATCH]> = batch().map(|(remote, _)| remote.as_any()).collect();
            let slices: SmallVec<[_; BATCH]> = batch().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
            let mut control: SmallVec<[_; BATCH]> = batch().map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: SmallVec<[_; BATCH]> = addresses
                .iter()
                .zip(&slices)
                .zip(&mut control)
                .map(|((address, slice), control)| MMsgHdr::new_with_addr(address, slice, control))
                .collect();
            sendmmsg(socket, &mut messages, SendFlags::DONTWAIT)?
        };
        self.waiting.drain(..sent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_it() {
        let mut queue = SendQueue::default();
        let remote: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        for number in 0..SEND_QUEUE + 3 {
            queue.push(remote, Bytes::from(number.to_string()));
        }
        assert_eq!((queue.len(), queue.dropped()), (SEND_QUEUE, 3));
        assert_eq!(queue.waiting.front().map(|(_, bytes)| &bytes[..]), Some(&b"0"[..]));
    }
}

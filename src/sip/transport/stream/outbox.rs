//! What waits to be written to one connection, bounded in messages and bytes: the worker puts in, the connection's task takes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::settings::{QUEUE_BYTES, QUEUE_MESSAGES};

/// Where messages wait to be written. Cloned by the reading half for its pongs.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    stop: Arc<Notify>,
}

/// The other end of an [`Outbox`].
pub(super) struct Written {
    pub(super) queue: mpsc::Receiver<Bytes>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) stop: Arc<Notify>,
}

/// It took no more, or is gone.
#[derive(Debug)]
pub(super) enum NotQueued {
    Full,
    Gone,
}

pub(super) fn outbox() -> (Outbox, Written) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let (waiting, stop) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let outbox = Outbox {
        queue: sender,
        waiting: Arc::clone(&waiting),
        stop: Arc::clone(&stop),
    };
    let written = Written {
        queue: receiver,
        waiting,
        stop,
    };
    (outbox, written)
}

impl Outbox {
    pub(super) fn push(&self, bytes: Bytes) -> Result<(), NotQueued> {
        let length = bytes.len();
        if self.waiting.load(Ordering::Relaxed) + length > QUEUE_BYTES {
            return Err(NotQueued::Full);
        }
        self.waiting.fetch_add(length, Ordering::Relaxed);
        self.queue.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotQueued::Full,
            mpsc::error::TrySendError::Closed(_) => NotQueued::Gone,
        })
    }

    /// Ends the connection, whatever it is at.
    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_messages_or_bytes_wait_than_there_is_room_for() {
        let (outbox, mut written) = outbox();
        for _ in 0..QUEUE_MESSAGES {
            assert!(outbox.push(Bytes::from_static(b"x")).is_ok());
        }
        assert!(matches!(outbox.push(Bytes::from_static(b"x")), Err(NotQueued::Full)));
        while written.queue.try_recv().is_ok() {}
        written.waiting.store(QUEUE_BYTES, Ordering::Relaxed);
        assert!(matches!(outbox.push(Bytes::from_static(b"x")), Err(NotQueued::Full)));
        written.waiting.store(QUEUE_BYTES - 1, Ordering::Relaxed);
        assert!(outbox.push(Bytes::from_static(b"x")).is_ok());
        assert_eq!(outbox.waiting(), QUEUE_BYTES);
        drop(written);
        assert!(outbox.push(Bytes::new()).is_err());
    }
}

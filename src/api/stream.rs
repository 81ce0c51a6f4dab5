//! A body whose chunks come through a bounded channel: files too large for memory, in both directions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The receiving end as a body.
pub struct Chunks {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    length: Option<u64>,
}

impl Chunks {
    /// With the length, where it is known.
    pub fn new(chunks: mpsc::Receiver<io::Result<Bytes>>, length: Option<u64>) -> Self {
        Self { chunks, length }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = std::task::ready!(self.chunks.poll_recv(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

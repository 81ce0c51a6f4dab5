//! Where datagrams are received, and how they are handed on without an allocation for each.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use smallvec::SmallVec;

use super::MAX_DATAGRAM;

/// Datagrams are packed into chunks of this size that live as long as the last of them. Twenty usual messages share one; a larger
/// chunk would pin more memory for each call that keeps its INVITE.
const CHUNK: usize = 16 * 1024;

/// Datagrams from this size on get a buffer of their own.
const LARGE: usize = CHUNK / 4;

/// Datagrams asked for while few come.
const FEW: usize = 4;

/// Buffers for one batch, shared by the listeners of a worker, which receive one after the other.
pub(super) struct ReceiveBuffers {
    raw: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
    packing: Packing,
}

/// How many datagrams a socket is asked for at a time: few as long as no more come, since each place has its price.
pub(super) struct Batch(usize);

impl Default for Batch {
    fn default() -> Self {
        Self(FEW)
    }
}

impl ReceiveBuffers {
    pub(super) fn new() -> Self {
        Self {
            raw: vec![0; BATCH_SIZE * MAX_DATAGRAM].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
            packing: Packing(BytesMut::new()),
        }
    }

    /// One `recvmmsg`; hands each datagram on. True: it filled every place, so that more may wait.
    pub(super) fn receive(
        &mut self,
        state: &UdpSocketState,
        socket: UdpSockRef<'_>,
        batch: &mut Batch,
        mut each: impl FnMut(SocketAddr, Bytes),
    ) -> io::Result<bool> {
        let mut slices: SmallVec<[IoSliceMut<'_>; BATCH_SIZE]> = self
            .raw
            .chunks_exact_mut(MAX_DATAGRAM)
            .take(batch.0)
            .map(IoSliceMut::new)
            .collect();
        let received = state.recv(socket, &mut slices, &mut self.meta)?;
        for (meta, slice) in self.meta[..received].iter().zip(&slices) {
            if meta.stride == 0 {
                continue;
            }
            // More than one datagram in a buffer only where the kernel coalesces them (GRO).
            for datagram in slice[..meta.len].chunks(meta.stride) {
                if !is_keep_alive(datagram) {
                    each(meta.addr, self.packing.pack(datagram));
                }
            }
        }
        let filled = received == batch.0;
        batch.0 = if filled { BATCH_SIZE } else { FEW };
        Ok(filled)
    }
}

/// Nothing but line ends, or the four zero bytes that some devices send for the same purpose.
fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.len() <= 4 && datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Packs datagrams into shared chunks.
struct Packing(BytesMut);

impl Packing {
    fn pack(&mut self, datagram: &[u8]) -> Bytes {
        if datagram.len() >= LARGE {
            return Bytes::copy_from_slice(datagram);
        }
        if self.0.capacity() < datagram.len() {
            self.0 = BytesMut::with_capacity(CHUNK);
        }
        self.0.extend_from_slice(datagram);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::{BytesMut, CHUNK, LARGE, Packing, is_keep_alive};

    #[test]
    fn twenty_datagrams_cost_less_than_one_allocation_each() {
        let mut packing = Packing(BytesMut::new());
        let datagram = [b'a'; 800];
        let mut kept = Vec::with_capacity(100);
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                kept.push(packing.pack(&datagram));
            }
        });
        // One chunk and its shared count for each twenty.
        assert!(counted.count_total <= 10, "{} allocations", counted.count_total);
        assert!(kept.iter().all(|packed| packed[..] == datagram));
    }

    #[test]
    fn datagrams_of_any_size_come_through_whole() {
        let mut packing = Packing(BytesMut::new());
        for size in [0, 1, 799, LARGE - 1, LARGE, CHUNK, 65_507, 3] {
            let datagram: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
            assert_eq!(packing.pack(&datagram), datagram, "{size} bytes");
        }
    }

    #[test]
    fn only_line_ends_and_zeros_are_keep_alives() {
        for keep_alive in [&b"\r\n\r\n"[..], b"\r\n", b"\0\0\0\0", b""] {
            assert!(is_keep_alive(keep_alive), "{keep_alive:?}");
        }
        for message in [&b"\r\nINVITE"[..], b"BYE", b"\r\n\r\n\r\n"] {
            assert!(!is_keep_alive(message), "{message:?}");
        }
    }
}

//! UDP in batches, for generators that must be faster than what they measure.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

/// Longest datagram that is read whole.
const DATAGRAM: usize = 2048;

/// Datagrams kept before a `sendmmsg`.
pub const SENT_AT_ONCE: usize = 32;

/// A socket that receives and sends in batches.
pub struct Net {
    socket: UdpSocket,
    state: UdpSocketState,
    pub local: u16,
    out: Vec<(SocketAddr, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

/// Where a batch is read to.
pub struct Buffers {
    raw: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Buffers {
    pub fn new() -> Self {
        Self {
            raw: vec![0; BATCH_SIZE * DATAGRAM],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

impl Net {
    pub fn new(port: u16) -> std::io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_send_buffer_size(4 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        let socket: UdpSocket = socket.into();
        // Its preparations are for QUIC; they are made on a socket of no use.
        let aside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            state: UdpSocketState::new((&aside).into())?,
            local: socket.local_addr()?.port(),
            socket,
            out: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// Reads one batch; each datagram with its sender.
    pub fn receive(&self, buffers: &mut Buffers, into: &mut Vec<(SocketAddr, Vec<u8>)>) -> std::io::Result<bool> {
        let mut slots = buffers.raw.chunks_exact_mut(DATAGRAM);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let received = match self.state.recv((&self.socket).into(), &mut slices, &mut buffers.meta) {
            Ok(received) => received,
            // Nothing there, or an ICMP answer: nobody listens.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        into.extend(
            buffers.meta[..received]
                .iter()
                .zip(&slices)
                .map(|(meta, slice)| (meta.addr, slice[..meta.len.min(DATAGRAM)].to_vec())),
        );
        Ok(true)
    }

    pub fn send(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>, u16)) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        write(&mut bytes, self.local);
        self.out.push((to, bytes));
        if self.out.len() >= SENT_AT_ONCE {
            self.flush();
        }
    }

    /// Sends what is kept. What the socket does not take is lost, as on a wire.
    pub fn flush(&mut self) {
        let mut begin = 0;
        while begin < self.out.len() {
            let batch = &self.out[begin..(begin + SENT_AT_ONCE).min(self.out.len())];
            let addresses: Vec<_> = batch.iter().map(|(to, _)| to.as_any()).collect();
            let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
            let mut control: Vec<_> = batch.iter().map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: Vec<_> = addresses
                .iter()
                .zip(&slices)
                .zip(&mut control)
                .map(|((to, slice), control)| MMsgHdr::new_with_addr(to, slice, control))
                .collect();
            match sendmmsg(&self.socket, &mut messages, SendFlags::DONTWAIT) {
                Ok(sent) => begin += sent.max(1),
                Err(_) => begin += 1,
            }
        }
        self.spare.extend(self.out.drain(..).map(|(_, bytes)| bytes));
    }
}

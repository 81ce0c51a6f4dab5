//! The error queue of a socket: ICMP answers, and which destination each is about.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

/// Errors read in one go; a flood of ICMP must not keep the worker from its messages.
const MAX_ERRORS: usize = 64;

/// Room for one error with the address of the node that sent it.
const CONTROL: usize = 256;

/// ICMP types and codes (RFC 792, RFC 4443) and where an error comes from (`linux/errqueue.h`).
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const PARAMETER_PROBLEM: u8 = 12;
const UNREACHABLE_6: u8 = 1;
const PARAMETER_PROBLEM_6: u8 = 4;

/// Has the kernel keep ICMP errors for us (`IP_RECVERR`): an unconnected socket hears of none otherwise.
pub(super) fn enable(socket: &socket2::Socket, v6: bool) -> std::io::Result<()> {
    if v6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    }
    Ok(())
}

/// Reads the error queue; hands on the destinations that cannot be reached.
pub(super) fn drain(socket: &impl AsFd, mut unreachable: impl FnMut(SocketAddr)) {
    for _ in 0..MAX_ERRORS {
        let mut control = [0_u8; CONTROL];
        let mut payload = [0_u8; 1];
        let mut slices = [IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let Ok(error) = recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut slices, Some(&mut control), flags)
        else {
            break;
        };
        let fatal = error
            .cmsgs()
            .is_ok_and(|mut messages| messages.any(|message| is_fatal(&message)));
        if let Some(destination) = error.address.as_ref().and_then(destination)
            && fatal
        {
            unreachable(destination);
        }
    }
}

/// RFC 3261 §18.4: host, network, port or protocol unreachable and parameter problems are transport failures; source quench and
/// time exceeded are not, and a hint at the path's MTU concerns the kernel only.
fn is_fatal(message: &ControlMessageOwned) -> bool {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message else {
        return false;
    };
    match (error.ee_origin, error.ee_type) {
        (ORIGIN_ICMP, UNREACHABLE) => error.ee_code != FRAGMENTATION_NEEDED,
        (ORIGIN_ICMP, PARAMETER_PROBLEM) | (ORIGIN_ICMP6, UNREACHABLE_6 | PARAMETER_PROBLEM_6) => true,
        _ => false,
    }
}

/// Where the datagram that caused the error was sent.
fn destination(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddr::V6(SocketAddrV6::new(
        v6.ip(),
        v6.port(),
        v6.flowinfo(),
        v6.scope_id(),
    )))
}

//! New calls come by a socket of their own. A flood of them fills the buffer of that socket only, and what belongs to calls that
//! are under way (answers, ACK, BYE, CANCEL, requests within dialogs) is neither lost nor made to wait beside it.
//!
//! Each worker has two UDP sockets for a listener, and a classic BPF program says which of them gets a datagram (`SO_REUSEPORT`). It
//! cannot read a whole message, so it takes for a new call only what can be nothing else, by what stands at fixed places: an
//! INVITE whose Request-URI is a French national number (`0612345678` or `+33612345678`: never an emergency number) at our own host and
//! port. Within a dialog the Request-URI is the other side's Contact. What is not recognised comes by the other socket, and is seen by
//! the proxy for what it is.
//!
//! Under heavy overload a share of the new calls is dropped by lot where it costs least: in the kernel, before they are read. Whoever
//! is dropped sends again (RFC 3261 §17.1.1.2) and draws again.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::libc::{sock_filter, sock_fprog};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockFilter, SockRef};

/// Has the kernel hand each datagram to the socket that it is for, of all `workers`' that are bound to `local` with this one: each in its
/// turn binds the one for all else and then that for new calls. The worker goes by where the datagram comes from, so that what one peer
/// sends in a row is received in a row. `hosts` are what a Request-URI may call us, with the port where one is to stand there.
pub(super) fn steer(socket: &impl AsFd, local: SocketAddr, workers: usize, hosts: &[String]) -> io::Result<()> {
    let program = steering(u32::try_from(workers).unwrap_or(1), local.is_ipv6(), hosts);
    let mut program: Vec<sock_filter> = program
        .iter()
        .map(|one| sock_filter {
            code: one.code,
            jt: one.then,
            jf: one.otherwise,
            k: one.operand,
        })
        .collect();
    let program = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &program)?)
}

/// Drops `share` in a thousand of what comes by this socket for new calls; none lets everything through.
pub(super) fn hold_back(socket: &UdpSocket, share: u32) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if share == 0 {
        return match socket.detach_filter() {
            // There was none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
    }
    let program: Vec<SockFilter> = lottery(share.min(1000))
        .iter()
        .map(|one| SockFilter::new(one.code, one.then, one.otherwise, one.operand))
        .collect();
    socket.attach_filter(&program)
}

/// What a Request-URI may call a listener: as it is advertised and as it is bound, without the port too where it is the usual one.
pub(super) fn hosts(local: SocketAddr, advertise: &str) -> Vec<String> {
    let mut hosts = vec![advertise.to_owned()];
    if !local.ip().is_unspecified() {
        hosts.push(local.to_string());
    }
    for at in 0..hosts.len() {
        if let Some(bare) = hosts[at].strip_suffix(":5060") {
            hosts.push(bare.to_owned());
        }
    }
    hosts.retain(|host| host.len() <= MAX_HOST);
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// One instruction of a classic BPF program: conditional jumps skip so many instructions.
#[derive(Clone, Copy)]
struct Instruction {
    code: u16,
    then: u8,
    otherwise: u8,
    operand: u32,
}

/// The position of the socket among those that share the address. First the worker, which is kept in the index register as the position
/// of its first socket; then the method and scheme, then for each way to write a number that, then each host. A load is dear in the kernel's
/// own form of the program, whose size is bounded (`net.core.optmem_max`), so that nothing is compared twice and literals four bytes at a time.
fn steering(workers: u32, ipv6: bool, hosts: &[String]) -> Vec<Instruction> {
    let mut program = worker(workers, ipv6);
    // A load beyond the end would end the program, with the first socket of all.
    program.extend([plain(LOAD_LENGTH, 0), test(AT_LEAST, LEAST_LENGTH, 2, 0)]);
    program.extend(ALL_ELSE);
    let prefix = "INVITE sip:";
    let mut begin = literal(0, prefix);
    // To what is behind the jump past it.
    close(&mut begin, 1);
    program.extend(begin);
    program.push(plain(JUMP, 2));
    program.extend(ALL_ELSE);
    for number in ["0N########", "+33N########"] {
        let mut digits = digits(prefix.len(), number);
        let hosts: Vec<Instruction> = hosts
            .iter()
            .flat_map(|host| addressed_to(prefix.len() + number.len(), host))
            .collect();
        // To the jump past the hosts, behind the jump to them.
        close(&mut digits, 1);
        program.extend(digits);
        program.push(plain(JUMP, 1));
        program.push(plain(JUMP, u32::try_from(hosts.len()).unwrap_or(0)));
        program.extend(hosts);
    }
    program.extend(ALL_ELSE);
    program
}

/// Where the first socket stands of the worker that the datagram's source has by hash, into the index register. An IP header with
/// options has something else at these places, which is the same in all of a peer's datagrams too, or nearly.
fn worker(workers: u32, ipv6: bool) -> Vec<Instruction> {
    if workers <= 1 {
        return vec![plain(LOAD_INDEX, 0)];
    }
    let (address, port) = if ipv6 { (20, 40) } else { (12, 20) };
    vec![
        plain(LOAD_WORD, NETWORK_HEADER + address),
        plain(TO_INDEX, 0),
        plain(LOAD_HALF, NETWORK_HEADER + port),
        plain(ADD_INDEX, 0),
        // Knuth's multiplicative hashing: the upper bits are well mixed.
        plain(MULTIPLY, 2_654_435_761),
        plain(SHIFT_RIGHT, 16),
        plain(MODULO, workers),
        plain(SHIFT_LEFT, 1),
        plain(TO_INDEX, 0),
    ]
}

/// Of 2^32 values, the lowest are lost.
fn lottery(share: u32) -> [Instruction; 4] {
    let bound = u32::try_from((u64::from(share) << 32) / 1000).unwrap_or(u32::MAX);
    [
        plain(LOAD_WORD, RANDOM),
        test(AT_LEAST, bound, 1, 0),
        plain(RETURN, 0),
        plain(RETURN, u32::MAX),
    ]
}

/// A number by its pattern: `#` is any digit, `N` any but 0, and everything else itself.
fn digits(offset: usize, pattern: &str) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (at, byte) in pattern.bytes().enumerate() {
        code.push(plain(LOAD_BYTE, place(offset + at)));
        let (least, most) = match byte {
            b'#' => (b'0', b'9'),
            b'N' => (b'1', b'9'),
            other => (other, other),
        };
        code.push(test(AT_LEAST, u32::from(least), 0, FAILS));
        code.push(test(ABOVE, u32::from(most), FAILS, 0));
    }
    code
}

/// `@host`, and after it the end of the URI or its parameters: a new call.
fn addressed_to(offset: usize, host: &str) -> Vec<Instruction> {
    let host = format!("@{host}");
    let mut code = literal(offset, &host);
    code.push(plain(LOAD_BYTE, place(offset + host.len())));
    code.push(test(EQUAL, u32::from(b' '), 1, 0));
    code.push(test(EQUAL, u32::from(b';'), 0, FAILS));
    code.extend([plain(FROM_INDEX, 0), plain(ADD, 1), plain(RETURN_IT, 0)]);
    close(&mut code, 0);
    code
}

/// Compares with a text.
fn literal(offset: usize, text: &str) -> Vec<Instruction> {
    let mut code = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (load, width) = match rest.len() {
            4.. => (LOAD_WORD, 4),
            2.. => (LOAD_HALF, 2),
            _ => (LOAD_BYTE, 1),
        };
        let (now, later) = rest.split_at(width);
        let value = now.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        code.push(plain(load, place(offset + text.len() - rest.len())));
        code.push(test(EQUAL, value, 0, FAILS));
        rest = later;
    }
    code
}

/// Lets what fails jump to `beyond` instructions behind the end.
fn close(code: &mut [Instruction], beyond: usize) {
    let length = code.len();
    for (position, one) in code.iter_mut().enumerate() {
        // A jump counts from the next instruction. None is longer than a byte holds, by MAX_HOST.
        let to_end = u8::try_from(length - position - 1 + beyond).unwrap_or(u8::MAX);
        for jump in [&mut one.then, &mut one.otherwise] {
            if *jump == FAILS {
                *jump = to_end;
            }
        }
    }
}

/// Where a byte of the message is.
fn place(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

const fn plain(code: u16, operand: u32) -> Instruction {
    test(code, operand, 0, 0)
}

const fn test(code: u16, operand: u32, then: u8, otherwise: u8) -> Instruction {
    Instruction {
        code,
        then,
        otherwise,
        operand,
    }
}

/// The worker's socket for all that is no new call.
const ALL_ELSE: [Instruction; 2] = [plain(FROM_INDEX, 0), plain(RETURN_IT, 0)];

/// Stands for a jump to where a comparison that fails goes, until that is known.
const FAILS: u8 = u8::MAX;

/// Longest host and port compared with: no jump is longer than one can be.
const MAX_HOST: usize = 64;

/// All that is looked at; no INVITE is shorter than this.
const LEAST_LENGTH: u32 = 120;

// Classic BPF (linux/bpf_common.h, linux/filter.h).
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_LENGTH: u16 = 0x80;
const LOAD_INDEX: u16 = 0x01;
const TO_INDEX: u16 = 0x07;
const FROM_INDEX: u16 = 0x87;
const ADD: u16 = 0x04;
const ADD_INDEX: u16 = 0x0c;
const MULTIPLY: u16 = 0x24;
const MODULO: u16 = 0x94;
const SHIFT_LEFT: u16 = 0x64;
const SHIFT_RIGHT: u16 = 0x74;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const ABOVE: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_IT: u16 = 0x16;
/// Where a load gives a random number instead: `SKF_AD_OFF + SKF_AD_RANDOM`.
const RANDOM: u32 = 0xffff_f000 + 56;
/// From here on a load counts from the IP header: `SKF_NET_OFF`.
const NETWORK_HEADER: u32 = 0xfff0_0000;

#[cfg(test)]
mod tests {
    use super::super::bound::{BoundSocket, bind_udp, steer};
    use super::*;

    const OURS: &str = "proxy.example.net:5060";

    fn invite(uri: &str, method: &str) -> Vec<u8> {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=f\r\n\
             To: <sip:c@d>\r\nCall-ID: e\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    /// A worker's two sockets, and what tells when all was sent that is to arrive.
    struct Pair {
        all_else: UdpSocket,
        new_calls: UdpSocket,
        sender: UdpSocket,
    }

    impl Pair {
        fn new(address: &str, advertised: &str) -> Self {
            let mut bound = bind_udp(address.parse().unwrap(), 1).unwrap();
            steer(&mut bound, advertised).unwrap();
            let BoundSocket::Datagrams(sockets) = bound.remove(0).socket else {
                panic!("connections")
            };
            assert!(sockets.steered);
            Self {
                all_else: sockets.all_else,
                new_calls: sockets.new_calls,
                sender: UdpSocket::bind(address).unwrap(),
            }
        }

        /// What came by the socket for all else, and by that for new calls.
        fn arrived(&self, datagrams: &[Vec<u8>]) -> [Vec<Vec<u8>>; 2] {
            let to = self.all_else.local_addr().unwrap();
            for datagram in datagrams {
                // Loopback: it has arrived, or was dropped, when this returns.
                self.sender.send_to(datagram, to).unwrap();
            }
            [&self.all_else, &self.new_calls].map(|socket| {
                let mut buffer = [0; 4096];
                let mut arrived = Vec::new();
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    arrived.push(buffer[..length].to_vec());
                }
                arrived
            })
        }
    }

    #[test]
    fn only_what_can_be_nothing_but_a_new_call_comes_by_their_socket() {
        let pair = Pair::new("127.0.0.1:0", OURS);
        let local = pair.all_else.local_addr().unwrap();
        let new_calls = [
            "sip:0612345678@proxy.example.net:5060",
            "sip:+33612345678@proxy.example.net:5060",
            "sip:0612345678@proxy.example.net",
            "sip:0612345678@proxy.example.net;user=phone",
            &format!("sip:+33162001234@{local}"),
        ];
        let new_calls: Vec<_> = new_calls.iter().map(|uri| invite(uri, "INVITE")).collect();
        assert_eq!(pair.arrived(&new_calls), [vec![], new_calls]);
        let others = [
            // Emergency numbers, however they are written.
            "sip:112@proxy.example.net:5060",
            "sip:+33112@proxy.example.net:5060",
            "sip:0033112@proxy.example.net:5060",
            "sip:+33116000@proxy.example.net:5060",
            "sip:0033116000@proxy.example.net:5060",
            "sip:116117@proxy.example.net:5060",
            "urn:service:sos",
            // Within a dialog: the other side's Contact.
            "sip:0612345678@192.0.2.7:5060",
            "sip:0612345678@proxy.example.net:5061",
            "sip:0612345678@proxy.example.network:5060",
            "sip:line@proxy.example.net:5060",
            // What a program cannot read as surely is left to the proxy.
            "sip:06123456789@proxy.example.net:5060",
            "sip:061234567@proxy.example.net:5060",
            "sip:0033612345678@proxy.example.net:5060",
            "sips:0612345678@proxy.example.net:5060",
            "tel:+33612345678",
        ];
        let others: Vec<_> = others.iter().map(|uri| invite(uri, "INVITE")).collect();
        assert_eq!(pair.arrived(&others), [others, vec![]]);
        let others: Vec<_> = ["ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "REGISTER", "invite"]
            .iter()
            .map(|method| invite("sip:0612345678@proxy.example.net:5060", method))
            .chain([
                b"\r\n\r\n".to_vec(),
                b"INVITE".to_vec(),
                b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
            ])
            .collect();
        assert_eq!(pair.arrived(&others), [others, vec![]]);
    }

    #[test]
    fn a_share_of_new_calls_is_drawn_by_lot_and_nothing_else() {
        let pair = Pair::new("[::1]:0", OURS);
        let call = invite("sip:0612345678@proxy.example.net", "INVITE");
        let other = invite("sip:112@proxy.example.net", "INVITE");
        let sent = [vec![call; 150], vec![other; 50]].concat();
        let passed = |share| {
            hold_back(&pair.new_calls, share).unwrap();
            pair.arrived(&sent).map(|arrived| arrived.len())
        };
        // Each filter takes the place of the one before.
        for share in [0, 1000, 0, 1000, 0, 0] {
            assert_eq!(passed(share), [50, if share == 0 { 150 } else { 0 }], "{share}");
        }
        // Outside these bounds once in 10^15 runs.
        let [others, calls] = passed(500);
        assert_eq!(others, 50);
        assert!((25..=125).contains(&calls), "{calls} of 150");
    }

    #[test]
    fn what_a_peer_sends_in_a_row_comes_to_one_worker_and_peers_to_all() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let workers = 3;
            let mut bound = bind_udp(address.parse().unwrap(), workers).unwrap();
            steer(&mut bound, OURS).unwrap();
            let pairs: Vec<_> = bound
                .iter()
                .map(|bound| match &bound.socket {
                    BoundSocket::Datagrams(sockets) => sockets,
                    BoundSocket::Connections(..) => panic!("connections"),
                })
                .collect();
            let mut met = vec![false; workers];
            // By lot one worker has none of them once in 10^11 runs.
            for _ in 0..64 {
                let peer = UdpSocket::bind(address).unwrap();
                for method in ["INVITE", "ACK", "INVITE", "BYE"] {
                    let message = invite("sip:0612345678@proxy.example.net", method);
                    peer.send_to(&message, bound[0].local()).unwrap();
                }
                let mut buffer = [0; 4096];
                let mut received = |socket: &UdpSocket| std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count();
                let counts: Vec<_> = pairs
                    .iter()
                    .map(|pair| (received(&pair.new_calls), received(&pair.all_else)))
                    .collect();
                let worker = counts.iter().position(|counts| *counts == (2, 2));
                let worker = worker.unwrap_or_else(|| panic!("{counts:?}"));
                assert_eq!(counts.iter().filter(|counts| **counts == (0, 0)).count(), workers - 1);
                met[worker] = true;
            }
            assert_eq!(met, [true; 3], "{address}");
        }
    }

    #[test]
    fn a_host_too_long_to_be_compared_with_is_left_out() {
        let hosts = hosts("0.0.0.0:5060".parse().unwrap(), &format!("{}:5060", "h".repeat(60)));
        assert_eq!(hosts, ["h".repeat(60)]);
        for code in [addressed_to(0, &"h".repeat(MAX_HOST)), digits(0, "+33N########")] {
            assert!(code.len() < usize::from(FAILS), "{} instructions", code.len());
        }
        let pair = Pair::new("127.0.0.1:0", &"h".repeat(MAX_HOST + 1));
        let call = vec![invite(
            &format!("sip:0612345678@{}", "h".repeat(MAX_HOST + 1)),
            "INVITE",
        )];
        assert_eq!(pair.arrived(&call), [call, vec![]]);
    }
}

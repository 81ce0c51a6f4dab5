//! Under heavy overload, new calls are dropped where they cost least: in the kernel, before they are read. A classic BPF program on a
//! UDP socket drops a share of them by lot; whoever is dropped sends again (RFC 3261 §17.1.1.2) and draws again.
//!
//! A filter cannot read a whole message, so it drops only what can be nothing else than a new call, by what stands at fixed places: an
//! INVITE whose Request-URI is a French national number (`0612345678` or `+33612345678`: never an emergency number) at our own host and
//! port. Within a dialog the Request-URI is the other side's Contact, so requests within calls, ACK, BYE, CANCEL and all else pass. What
//! is not recognised passes too, and is turned away by the proxy.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{SockFilter, SockRef};

/// Drops `share` in a thousand of the new calls that come by this socket; none lets everything through. `hosts` are what a
/// Request-URI may call us, with the port where one is to stand there.
pub(super) fn hold_back(socket: &UdpSocket, share: u32, hosts: &[String]) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let share = share.min(1000);
    let program = program(share, hosts);
    if share == 0 || program.is_empty() {
        return match socket.detach_filter() {
            // There was none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
    }
    let program: Vec<SockFilter> = program
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

/// The method and scheme, then for each way to write a number that, then each host. A load is dear in the kernel's own form of the
/// program, whose size is bounded (`net.core.optmem_max`), so that nothing is compared twice and literals four bytes at a time.
fn program(share: u32, hosts: &[String]) -> Vec<Instruction> {
    if hosts.is_empty() {
        return Vec::new();
    }
    // A load beyond the end would end the program and drop the packet.
    let mut program = vec![plain(LOAD_LENGTH, 0), test(AT_LEAST, LEAST_LENGTH, 1, 0), ACCEPT];
    let prefix = "INVITE sip:";
    let mut begin = literal(0, prefix);
    // To the ACCEPT behind the jump past it.
    close(&mut begin, 1);
    program.extend(begin);
    program.extend([plain(JUMP, 1), ACCEPT]);
    for number in ["0N########", "+33N########"] {
        let mut digits = digits(prefix.len(), number);
        let hosts: Vec<Instruction> = hosts
            .iter()
            .flat_map(|host| addressed_to(prefix.len() + number.len(), host, share))
            .collect();
        // To the jump past the hosts, behind the jump to them.
        close(&mut digits, 1);
        program.extend(digits);
        program.push(plain(JUMP, 1));
        program.push(plain(JUMP, u32::try_from(hosts.len()).unwrap_or(0)));
        program.extend(hosts);
    }
    program.push(ACCEPT);
    program
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

/// `@host`, and after it the end of the URI or its parameters; then the lot is drawn.
fn addressed_to(offset: usize, host: &str, share: u32) -> Vec<Instruction> {
    let host = format!("@{host}");
    let mut code = literal(offset, &host);
    code.push(plain(LOAD_BYTE, place(offset + host.len())));
    code.push(test(EQUAL, u32::from(b' '), 1, 0));
    code.push(test(EQUAL, u32::from(b';'), 0, FAILS));
    // Of 2^32 values, the lowest are lost.
    let bound = u32::try_from((u64::from(share) << 32) / 1000).unwrap_or(u32::MAX);
    code.extend([
        plain(LOAD_WORD, RANDOM),
        test(AT_LEAST, bound, 1, 0),
        plain(RETURN, 0),
        ACCEPT,
    ]);
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
    UDP_HEADER + u32::try_from(offset).unwrap_or(0)
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

/// All of the packet.
const ACCEPT: Instruction = plain(RETURN, u32::MAX);

/// Stands for a jump to where a comparison that fails goes, until that is known.
const FAILS: u8 = u8::MAX;

/// The filter of a UDP socket sees its header too.
const UDP_HEADER: u32 = 8;

/// Longest host and port compared with: no jump is longer than one can be.
const MAX_HOST: usize = 64;

/// Header and all that a block looks at; no INVITE is shorter than this.
const LEAST_LENGTH: u32 = 128;

// Classic BPF (linux/bpf_common.h, linux/filter.h).
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_LENGTH: u16 = 0x80;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const ABOVE: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Where a load gives a random number instead: `SKF_AD_OFF + SKF_AD_RANDOM`.
const RANDOM: u32 = 0xffff_f000 + 56;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OURS: &str = "proxy.example.net:5060";

    fn invite(uri: &str, method: &str) -> Vec<u8> {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=f\r\n\
             To: <sip:c@d>\r\nCall-ID: e\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    /// Sends each, then something that always passes; which of them arrived.
    fn arrived(share: u32, hosts: &[String], datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        hold_back(&socket, share, hosts).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        for datagram in datagrams {
            sender.send_to(datagram, to).unwrap();
        }
        sender.send_to(b"end", to).unwrap();
        let mut buffer = [0; 4096];
        let mut arrived = Vec::new();
        loop {
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            if &buffer[..length] == b"end" {
                return arrived;
            }
            arrived.push(buffer[..length].to_vec());
        }
    }

    #[test]
    fn only_what_can_be_nothing_but_a_new_call_is_dropped() {
        let hosts = hosts("127.0.0.1:5060".parse().unwrap(), OURS);
        let dropped = [
            "sip:0612345678@proxy.example.net:5060",
            "sip:+33612345678@proxy.example.net:5060",
            "sip:0612345678@proxy.example.net",
            "sip:0612345678@proxy.example.net;user=phone",
            "sip:+33162001234@127.0.0.1:5060",
            "sip:+33162001234@127.0.0.1",
        ];
        for uri in dropped {
            assert!(arrived(1000, &hosts, &[invite(uri, "INVITE")]).is_empty(), "{uri}");
        }
        let passing = [
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
            // What a filter cannot read as surely is left to the proxy.
            "sip:06123456789@proxy.example.net:5060",
            "sip:061234567@proxy.example.net:5060",
            "sip:0033612345678@proxy.example.net:5060",
            "sips:0612345678@proxy.example.net:5060",
            "tel:+33612345678",
        ];
        let passing: Vec<_> = passing.iter().map(|uri| invite(uri, "INVITE")).collect();
        assert_eq!(arrived(1000, &hosts, &passing), passing);
        let others: Vec<_> = ["ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "REGISTER", "invite"]
            .iter()
            .map(|method| invite("sip:0612345678@proxy.example.net:5060", method))
            .chain([
                b"\r\n\r\n".to_vec(),
                b"INVITE".to_vec(),
                b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
            ])
            .collect();
        assert_eq!(arrived(1000, &hosts, &others), others);
    }

    #[test]
    fn a_share_is_drawn_by_lot_and_none_lets_everything_through() {
        let hosts = hosts("127.0.0.1:5060".parse().unwrap(), OURS);
        let calls: Vec<_> = (0..150).map(|_| invite("sip:0612345678@127.0.0.1", "INVITE")).collect();
        // Outside these bounds once in 10^15 runs.
        let passed = arrived(500, &hosts, &calls).len();
        assert!((25..=125).contains(&passed), "{passed} of 150");
        assert_eq!(arrived(0, &hosts, &calls).len(), 150);
    }

    #[test]
    fn a_filter_is_replaced_and_taken_away() {
        let hosts = hosts("127.0.0.1:5060".parse().unwrap(), OURS);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for share in [0, 1000, 700, 1000, 0, 0] {
            hold_back(&socket, share, &hosts).unwrap();
        }
        let call = invite("sip:0612345678@127.0.0.1", "INVITE");
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(&call, socket.local_addr().unwrap()).unwrap();
        assert_eq!(socket.recv(&mut [0; 4096]).unwrap(), call.len());
    }

    #[test]
    fn a_host_too_long_to_be_compared_with_is_left_out() {
        let hosts = hosts("0.0.0.0:5060".parse().unwrap(), &format!("{}:5060", "h".repeat(60)));
        assert_eq!(hosts, ["h".repeat(60)]);
        for code in [addressed_to(0, &"h".repeat(MAX_HOST), 1), digits(0, "+33N########")] {
            assert!(code.len() < usize::from(FAILS), "{} instructions", code.len());
        }
        assert!(program(10, &[]).is_empty());
    }
}

//! The floor under every proxy: datagrams in, the same datagrams out, nothing read (`relay PORT TRUNK_PORT`), or straight back with
//! a short answer in place of the request (`relay PORT echo`). Loopback only; ends with its standard input.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [port, to] = args.as_slice() else {
        // `cargo bench` without arguments runs every benchmark: this one has nothing to measure by itself.
        eprintln!("relay PORT TRUNK_PORT|echo");
        return Ok(());
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap_or(0)))?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match to.parse::<u16>() {
        Ok(trunk) => relay(&socket, SocketAddr::from((Ipv4Addr::LOCALHOST, trunk))),
        Err(_) => echo(&socket),
    }
}

fn relay(socket: &UdpSocket, trunk: SocketAddr) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_535];
    let mut dialer = trunk;
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if from != trunk {
            dialer = from;
        }
        let to = if from == trunk { dialer } else { trunk };
        let _ = socket.send_to(&buffer[..length], to);
    }
}

/// Answers as long as a refusal, made from the request's own bytes, so that a load generator finds its call again.
fn echo(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_535];
    let mut answer = Vec::with_capacity(65_535);
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if buffer.starts_with(b"ACK") {
            continue;
        }
        answer.clear();
        answer.extend_from_slice(b"SIP/2.0 403 F\r\n");
        // The rest of the request line goes, the headers stay.
        let headers = buffer[..length]
            .windows(2)
            .position(|two| two == b"\r\n")
            .map_or(0, |at| at + 2);
        let end = length.min(headers + 600);
        answer.extend_from_slice(&buffer[headers..end]);
        let _ = socket.send_to(&answer, from);
    }
}

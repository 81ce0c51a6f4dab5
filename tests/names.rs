//! Trunks that are names (RFC 3263): the server in process, asking a name server of the test's own. What is looked up, in which order
//! it is tried, how a change is noticed, what happens while nothing can be looked up, and whose certificate is believed.

#[path = "support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clapet::sip::message::Message;
use clapet::sip::transport::{Frame, Framer};
use hickory_resolver::proto::rr::RecordType;
use rustls::{ServerConnection, StreamOwned};
use support::authority::{Authority, Signed};
use support::dns::NameServer;
use support::named::{HOUR, Site, answer, answering};
use tempfile::TempDir;

/// One source whose calls are not judged, these trunks, and more of `[sip]`.
fn start(folder: TempDir, names: &NameServer, listen: &str, sip: &str, trunks: &str) -> Site {
    let text = format!(
        "listen = [{listen}]\n{sip}\n\
         [[source]]\nid = \"pbx\"\ndialling = \"manual\"\npurpose = \"other\"\naddresses = [\"127.0.0.1\"]\n{trunks}"
    );
    let pbx = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    Site::start(folder, names, pbx, ("0162001001", "0612345678"), &text)
}

fn trunk(id: &str, target: &str, more: &str) -> String {
    format!("[[trunk]]\nid = \"{id}\"\ntarget = \"{target}\"\n{more}\n")
}

/// A trunk over UDP that answers each INVITE with one status.
fn carrier(ip: &str, status: u16) -> SocketAddr {
    answering(ip, status, |_| ())
}

/// What leads from a name to TLS at that port of a host that is called otherwise.
fn lead_to_tls(names: &NameServer, port: u16, naptr: bool) {
    let service = "_sips._tcp.carrier.example";
    if naptr {
        names.naptr("carrier.example", HOUR, &[(10, "SIPS+D2T", service)]);
    }
    names.srv(service, HOUR, &[(1, port, "sbc.carrier.example")]);
    names.address("sbc.carrier.example", HOUR, "127.0.0.1");
}

#[test]
fn naptr_leads_by_srv_to_addresses_of_both_families_in_their_order() {
    let names = NameServer::start(HOUR);
    let (first, second) = (carrier("127.0.0.1", 503), carrier("::1", 486));
    // What we do not speak is passed over.
    names.naptr(
        "carrier.example",
        HOUR,
        &[
            (10, "SIPS+D2T", "_sips._tcp.carrier.example"),
            (20, "SIP+D2U", "_sip._udp.core.carrier.example"),
        ],
    );
    names.srv(
        "_sip._udp.core.carrier.example",
        HOUR,
        &[
            (2, second.port(), "b.carrier.example"),
            (1, first.port(), "a.carrier.example"),
        ],
    );
    names.address("a.carrier.example", HOUR, "127.0.0.1");
    names.address("b.carrier.example", HOUR, "::1");
    let folder = TempDir::new().expect("a folder");
    let listen = "\"udp://127.0.0.1:0\", \"udp://[::1]:0\"";
    let site = start(folder, &names, listen, "", &trunk("named", "sip:carrier.example", ""));
    assert_eq!(site.call(), 486, "a 503 of the first leads to the second");
    assert_eq!(names.asked("_sips._tcp.carrier.example", RecordType::SRV), 0);
    assert_eq!(names.asked("_sip._udp.carrier.example", RecordType::SRV), 0);
    site.end();
}

#[test]
fn a_change_is_noticed_when_the_time_to_live_is_over_and_what_was_found_stays_while_nothing_can_be() {
    let names = NameServer::start(HOUR);
    let (before, after) = (carrier("127.0.0.1", 486), carrier("127.0.0.1", 480));
    let service = "_sip._udp.carrier.example";
    names.srv(service, 1, &[(1, before.port(), "a.carrier.example")]);
    names.address("a.carrier.example", HOUR, "127.0.0.1");
    let folder = TempDir::new().expect("a folder");
    let site = start(
        folder,
        &names,
        "\"udp://127.0.0.1:0\"",
        "",
        &trunk("named", "sip:carrier.example", ""),
    );
    assert_eq!(site.call(), 486);
    names.srv(service, 1, &[(1, after.port(), "a.carrier.example")]);
    site.call_until(480);
    assert_eq!(
        names.asked("carrier.example", RecordType::NAPTR),
        1,
        "that there is none is believed for as long as the zone says"
    );
    assert_eq!(names.asked("a.carrier.example", RecordType::A), 1);

    site.calls_while_nothing_is_found(&names, service, 480);
    site.end();
}

#[test]
fn a_name_that_comes_to_exist_is_used_and_until_then_the_call_is_answered() {
    let names = NameServer::start(1);
    let port = carrier("127.0.0.1", 486).port();
    let folder = TempDir::new().expect("a folder");
    let target = format!("sip:later.example:{port}");
    let site = start(
        folder,
        &names,
        "\"udp://127.0.0.1:0\"",
        "",
        &trunk("named", &target, ""),
    );
    assert_eq!(site.call(), 500);
    assert!(names.asked("later.example", RecordType::A) >= 1);
    names.address("later.example", HOUR, "127.0.0.1");
    site.call_until(486);
    assert_eq!(
        names.asked("later.example", RecordType::NAPTR),
        0,
        "a port leaves nothing to it"
    );
    site.end();
}

/// Takes TLS connections with a certificate, and answers each INVITE with one status; how many it got.
fn tls_carrier(own: &Signed, status: u16) -> (SocketAddr, Arc<AtomicUsize>) {
    let config = own.server();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a server");
            let mut stream = StreamOwned::new(connection, stream);
            let mut framer = Framer::new();
            let mut buffer = [0; 8192];
            // It ends with the connection, or in the handshake with whoever does not believe the certificate.
            while let Ok(read) = std::io::Read::read(&mut stream, &mut buffer) {
                if read == 0 {
                    break;
                }
                framer.buffer().extend_from_slice(&buffer[..read]);
                while let Some(frame) = framer.next_frame().expect("SIP") {
                    let Frame::Message(bytes) = frame else { continue };
                    let request = Message::parse(bytes).expect("SIP");
                    if request.method_name() == "INVITE" {
                        count.fetch_add(1, Ordering::Relaxed);
                        std::io::Write::write_all(&mut stream, &answer(&request, status)).expect("sent");
                    }
                }
            }
        }
    });
    (address, taken)
}

#[test]
fn a_trunk_found_by_its_name_must_show_the_certificate_of_that_name() {
    // How the name is written, and whether its certificate is believed. What SRV gave is no name to show (RFC 5922 §7.1).
    for (target, shown, believed) in [
        ("sip:carrier.example;transport=tls", "carrier.example", true),
        ("sip:carrier.example;transport=tls", "sbc.carrier.example", false),
        ("sip:carrier.example;transport=tls", "other.example", false),
        ("sip:carrier.example", "carrier.example", true),
        ("sip:carrier.example", "sbc.carrier.example", false),
        ("sips:carrier.example;transport=tls", "carrier.example", true),
    ] {
        let folder = TempDir::new().expect("a folder");
        let authority = Authority::new(folder.path(), "authority");
        let (secure, taken) = tls_carrier(&authority.sign(shown), 486);
        let plain = carrier("127.0.0.1", 480);
        let names = NameServer::start(HOUR);
        lead_to_tls(&names, secure.port(), true);
        let ca = format!("ca = {:?}\n", authority.file().display().to_string());
        let trunks = trunk("named", target, "") + &trunk("next", &format!("sip:{plain}"), "priority = 2");
        let listen = "\"udp://127.0.0.1:0\", \"tls://127.0.0.1:0\"";
        let site = start(folder, &names, listen, &(authority.proxy() + &ca), &trunks);
        let (status, count) = if believed { (486, 1) } else { (480, 0) };
        assert_eq!(site.call(), status, "{target} shows {shown}");
        assert_eq!(taken.load(Ordering::Relaxed), count, "{target} shows {shown}");
        site.end();
    }
}

#[test]
fn a_trunk_is_verified_by_its_own_authority_also_where_only_its_name_leads_to_tls() {
    // What leads to TLS, and whether the trunk's certificate is of the authority that its `ca` names. Nobody else believes it.
    for (naptr, own, believed) in [(true, true, true), (true, false, false), (false, true, true)] {
        let folder = TempDir::new().expect("a folder");
        let authority = Authority::new(folder.path(), "authority");
        let other = Authority::new(folder.path(), "other");
        let (secure, taken) = tls_carrier(&authority.sign("carrier.example"), 486);
        let plain = carrier("127.0.0.1", 480);
        let names = NameServer::start(HOUR);
        lead_to_tls(&names, secure.port(), naptr);
        let ca = if own { authority.file() } else { other.file() };
        let more = format!("ca = {:?}", ca.display().to_string());
        let trunks =
            trunk("named", "sip:carrier.example", &more) + &trunk("next", &format!("sip:{plain}"), "priority = 2");
        let listen = "\"udp://127.0.0.1:0\", \"tls://127.0.0.1:0\"";
        let of_all = format!("ca = {:?}\n", other.file().display().to_string());
        let site = start(folder, &names, listen, &(authority.proxy() + &of_all), &trunks);
        let (status, count) = if believed { (486, 1) } else { (480, 0) };
        assert_eq!(site.call(), status, "NAPTR {naptr}, of its own authority {own}");
        assert_eq!(
            taken.load(Ordering::Relaxed),
            count,
            "NAPTR {naptr}, of its own authority {own}"
        );
        site.end();
    }
}

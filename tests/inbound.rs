//! Calls from a trunk to a PBX whose `target` is a name (RFC 3263): the server in process, asking a name server of the test's own. A
//! PBX that moves is followed, one with several addresses is tried at each, and one that cannot be found stops nothing.

#[path = "support/mod.rs"]
mod support;

use std::net::{SocketAddr, UdpSocket};

use clapet::api::Host as _;
use hickory_resolver::proto::rr::RecordType;
use support::dns::NameServer;
use support::named::{HOUR, Site, answering, read};
use tempfile::TempDir;

/// One trunk, known by its address, and one source that calls to 01 62 00 10 00 lead to.
fn start(names: &NameServer, target: &str) -> Site {
    let carrier = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let text = format!(
        "listen = [\"udp://127.0.0.1:0\"]\n\
         [[source]]\nid = \"pbx\"\ndialling = \"manual\"\npurpose = \"other\"\naddresses = [\"127.0.0.9\"]\n\
         target = \"{target}\"\ninbound = [\"+33162001000\"]\n\
         [[trunk]]\nid = \"carrier\"\ntarget = \"sip:{}\"\n",
        carrier.local_addr().expect("bound")
    );
    let folder = TempDir::new().expect("a folder");
    Site::start(folder, names, carrier, ("0612345678", "+33162001000"), &text)
}

fn degraded(site: &Site) -> Vec<String> {
    site.server.control().state().degraded
}

/// A PBX that answers each INVITE with one status.
fn pbx(status: u16) -> SocketAddr {
    answering("127.0.0.1", status, |request| {
        assert!(
            request.request_uri().starts_with("sip:+33162001000@pbx.example"),
            "the URI names the host, wherever it is: {}",
            request.request_uri()
        );
    })
}

#[test]
fn a_pbx_that_moves_is_followed_and_stays_where_it_was_while_nothing_can_be_found() {
    let names = NameServer::start(HOUR);
    let (before, after) = (pbx(486), pbx(480));
    let service = "_sip._udp.pbx.example";
    names.srv(service, 1, &[(1, before.port(), "host.pbx.example")]);
    names.address("host.pbx.example", HOUR, "127.0.0.1");
    let site = start(&names, "sip:pbx.example");
    assert_eq!(site.call(), 486);
    names.srv(service, 1, &[(1, after.port(), "host.pbx.example")]);
    site.call_until(480);
    assert_eq!(
        names.asked("pbx.example", RecordType::NAPTR),
        1,
        "that there is none is believed for as long as the zone says"
    );

    site.calls_while_nothing_is_found(&names, service, 480);
    // A reload forgets nothing of what was found.
    site.server.control().replace(read(&site.text)).expect("reloaded");
    assert_eq!(site.call(), 480);
    site.end();
}

#[test]
fn every_address_of_a_pbx_is_tried_before_a_call_to_it_fails() {
    let names = NameServer::start(HOUR);
    let (first, second) = (pbx(503), pbx(486));
    names.naptr("pbx.example", HOUR, &[(10, "SIP+D2U", "_sip._udp.core.pbx.example")]);
    names.srv(
        "_sip._udp.core.pbx.example",
        HOUR,
        &[
            (2, second.port(), "host.pbx.example"),
            (1, first.port(), "host.pbx.example"),
        ],
    );
    names.address("host.pbx.example", HOUR, "127.0.0.1");
    let site = start(&names, "sip:pbx.example");
    assert_eq!(site.call(), 486, "a 503 of the first leads to the second");
    site.end();
}

#[test]
fn a_pbx_that_cannot_be_found_stops_no_start_and_is_called_once_it_is_there() {
    let names = NameServer::start(1);
    let port = pbx(486).port();
    let site = start(&names, &format!("sip:pbx.example:{port}"));
    assert_eq!(site.call(), 500);
    let said = degraded(&site);
    assert_eq!(
        said,
        ["the name of source pbx was not found yet: no call goes there until it is"]
    );
    names.address("pbx.example", HOUR, "127.0.0.1");
    site.call_until(486);
    assert_eq!(degraded(&site), [""; 0]);
    site.end();
}

//! Responses of our own.

use bytes::BytesMut;

use super::*;

#[test]
fn responses_copy_what_the_rfc_names_and_note_the_source() {
    let raw = with(&[
        "v: SIP/2.0/TCP h2;branch=z9hG4bK2",
        HOPS,
        "Timestamp: 5",
        "Contact: <sip:c@d>",
    ]);
    let request = message(raw);
    let response = |status, headers| Response {
        request: &request,
        status,
        phrase: "",
        to_tag: "t1",
        received_from: Some("[::ffff:198.51.100.7]:40000".parse().unwrap()),
        headers,
    };
    let via = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKabc;rport=40000;received=198.51.100.7\r\nFrom: \"Acme\" <sip:+33162001000@192.0.2.9>;tag=f1";
    let write = |response: Response<'_>| String::from_utf8(response.write(&mut BytesMut::new()).to_vec()).unwrap();
    assert_eq!(
        write(response(
            403,
            &[
                ("Reason", "SIP;cause=403;text=\"hours.day\""),
                ("Warning", "399 h \"a\r\nb\"")
            ]
        )),
        format!(
            "SIP/2.0 403 Forbidden\r\n{via}\r\n{TO};tag=t1\r\n{CALL_ID}\r\n{CSEQ}\r\nv: SIP/2.0/TCP h2;branch=z9hG4bK2\r\n\
             Reason: SIP;cause=403;text=\"hours.day\"\r\nWarning: 399 h \"a  b\"\r\nContent-Length: 0\r\n\r\n"
        )
    );
    assert_eq!(
        write(response(100, &[])),
        format!(
            "SIP/2.0 100 Trying\r\n{via}\r\n{TO}\r\n{CALL_ID}\r\n{CSEQ}\r\nv: SIP/2.0/TCP h2;branch=z9hG4bK2\r\nTimestamp: 5\r\n\
             Content-Length: 0\r\n\r\n"
        )
    );
}

#[test]
fn a_to_tag_stands_behind_a_semicolon_that_is_there() {
    let request = message(instead(TO, "To: <sip:a@b> ;"));
    let response = Response {
        request: &request,
        status: 481,
        phrase: "",
        to_tag: "t1",
        received_from: None,
        headers: &[],
    };
    let read = message(response.write(&mut BytesMut::new()));
    assert_eq!(read.first(Header::To), Some("<sip:a@b> ;tag=t1"));
}

#[test]
fn a_to_tag_is_added_once() {
    let request = message(instead(TO, "t: \"x;tag=no\" <sip:a@b>;TAG=mine"));
    let response = Response {
        request: &request,
        status: 481,
        phrase: "Gone away",
        to_tag: "t1",
        received_from: None,
        headers: &[],
    };
    let bytes = response.write(&mut BytesMut::new());
    let read = message(bytes);
    assert_eq!(read.to().and_then(|to| to.tag()), Some("mine"));
    assert_eq!(
        read.start_line(),
        StartLine::Response {
            status: 481,
            phrase: "Gone away"
        }
    );
    assert_eq!(read.first(Header::Via), request.first(Header::Via));
}

#[test]
fn every_status_has_a_phrase() {
    for status in 100..700 {
        assert!(!phrase(status).is_empty(), "{status}");
    }
    assert_eq!(
        (phrase(403), phrase(608), phrase(499)),
        ("Forbidden", "Rejected", "Bad Request")
    );
}

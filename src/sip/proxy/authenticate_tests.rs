//! Responses as RFC 7616 §3.9 and RFC 2617 §3.5 compute them, and nonces that only we can make.

use super::*;

fn account(sha256: Option<&str>, md5: Option<&str>) -> DigestAccount {
    DigestAccount {
        realm: Arc::from("http-auth@example.org"),
        username: Arc::from("Mufasa"),
        sha256: sha256.map(Arc::from),
        md5: md5.map(Arc::from),
    }
}

#[test]
fn the_examples_of_rfc_7616_hold() {
    let ha1 = |sha256: bool| {
        let parts = ["Mufasa", "http-auth@example.org", "Circle of Life"];
        if sha256 {
            hashed::<Sha256>(&parts)
        } else {
            hashed::<Md5>(&parts)
        }
    };
    let value = |algorithm: &str, response: &str| {
        format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\""
        )
    };
    let sha256 = value(
        "SHA-256",
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    );
    let md5 = value("MD5", "8ca523f5e9506fed4657c9700eebdbec");
    let both = account(Some(&ha1(true)), Some(&ha1(false)));
    for text in [&sha256, &md5] {
        let shown = Credentials::parse(text).unwrap();
        assert!(is_right("GET", &shown, &both));
        assert!(!is_right("PUT", &shown, &both), "another method");
        assert!(
            !is_right("GET", &Credentials { nc: Some(2), ..shown }, &both),
            "another count"
        );
        assert!(
            !is_right("GET", &Credentials { uri: "/", ..shown }, &both),
            "another resource"
        );
        assert!(!is_right("GET", &Credentials { qop: None, ..shown }, &both));
        assert!(!is_right(
            "GET",
            &Credentials {
                qop: Some("auth-int"),
                ..shown
            },
            &both
        ));
        assert!(!is_right("GET", &Credentials { response: "", ..shown }, &both));
    }
    let only_sha256 = account(Some(&ha1(true)), None);
    assert!(
        !is_right("GET", &Credentials::parse(&md5).unwrap(), &only_sha256),
        "no downgrade"
    );
}

#[test]
fn a_pbx_that_knows_no_quality_of_protection_may_use_md5() {
    let ha1 = hashed::<Md5>(&["u", "r", "p"]);
    let response = hashed::<Md5>(&[&ha1, "n", &hashed::<Md5>(&["INVITE", "sip:1@h"])]);
    let account = account(None, Some(&ha1));
    let text = format!("Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:1@h\",response=\"{response}\"");
    let shown = Credentials::parse(&text).unwrap();
    assert!(is_right("INVITE", &shown, &account));
    assert!(!is_right("INVITE", &Credentials { nonce: "m", ..shown }, &account));
}

#[test]
fn a_nonce_is_ours_for_its_realm_only_and_unchanged() {
    let keys = Keys::new(&[3; 32], 1);
    let nonce = Nonce {
        issued: 1_700_000_000,
        salt: 5,
    };
    let text = write_nonce(&keys, "clapet", nonce);
    assert_eq!(read_nonce(&keys, "clapet", &text), Some(nonce));
    assert_eq!(
        read_nonce(&Keys::new(&[3; 32], 2), "clapet", &text),
        Some(nonce),
        "of another process with our secret"
    );
    assert_eq!(read_nonce(&keys, "other", &text), None);
    assert_eq!(read_nonce(&Keys::new(&[4; 32], 1), "clapet", &text), None);
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        assert_eq!(
            read_nonce(&keys, "clapet", std::str::from_utf8(&changed).unwrap()),
            None,
            "{at}"
        );
    }
    for other in ["", "é", &text[1..], &format!("{text}0")] {
        assert_eq!(read_nonce(&keys, "clapet", other), None);
    }
}

#[test]
fn credentials_hold_for_the_resource_whatever_its_parameters() {
    for (shown, asked, same) in [
        ("sip:0612345678@h", "sip:0612345678@h", true),
        ("sip:0612345678@H", "sip:0612345678@h;user=phone", true),
        ("sip:0612345678@h:5060", "sip:0612345678@h", true),
        ("sip:0612345679@h", "sip:0612345678@h", false),
        ("sip:0612345678@i", "sip:0612345678@h", false),
        ("sip:h", "sip:0612345678@h", false),
        ("", "sip:0612345678@h", false),
    ] {
        assert_eq!(same_resource(shown, asked), same, "{shown} {asked}");
    }
}

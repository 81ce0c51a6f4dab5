//! Bad configurations and what is said of them; the shipped sample.

use super::*;

const SHIPPED: &str = include_str!("../../config/clapet.toml");

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("clapet.toml"))
}

/// What is said of the shipped file with the first `old` made `new`, and the line of `old`.
fn spoiled(old: &str, new: &str) -> (ConfigError, usize) {
    let at = SHIPPED.find(old).unwrap_or_else(|| panic!("no {old:?}"));
    let text = SHIPPED.replacen(old, new, 1);
    let line = line_of(SHIPPED, at) + old.len() - old.trim_start_matches('\n').len();
    (read(&text).expect_err(new), line)
}

/// Every row: what is replaced by what; the line after that of the first, the key, and a part of the message.
#[test]
fn errors_name_line_key_and_what_was_expected() {
    #[rustfmt::skip]
    let rows: &[(&str, &str, usize, &str, &str)] = &[
        // [sip]
        ("listen = [\"udp", "listn = [\"udp", 0, "sip.listn", "unknown key: did you mean `listen`?"),
        ("listen = [\"udp", "zzz = 1\nlisten = [\"udp", 0, "sip.zzz", "unknown key: expected one of `advertise`, `listen`"),
        ("listen = [\"udp://127.0.0.1:5060\"]", "listen = \"udp://127.0.0.1:5060\"", 0, "sip.listen", "expected a list"),
        ("listen = [\"udp://127.0.0.1:5060\"]", "listen = []", 0, "sip.listen", "expected 1 to 64 sockets"),
        ("\"udp://127.0.0.1:5060\"]", "\"tcp://127.0.0.1:5060\", \"tcp://127.0.0.1\"]", 0, "sip.listen[1]", "expected each once"),
        ("\"udp://127.0.0.1:5060\"]", "\"udp://127.0.0.1\", \"tls://127.0.0.1:5061\"]", 0, "sip.tls", "expected `[sip.tls]` with `certificate` and `key`"),
        ("\"udp://127.0.0.1:5060\"]", "\"udp://127.0.0.1:5060\", \"udp://127.0.0.1\"]", 0, "sip.listen[1]", "expected each once"),
        ("\"udp://127.0.0.1:5060\"]", "\"sctp://127.0.0.1:5060\"]", 0, "sip.listen[0]", "expected a transport, an address of this machine and a port"),
        ("\"udp://127.0.0.1:5060\"]", "\"udp://0.0.0.0:5060\"]", 0, "sip.listen[0]", "expected `advertise = \"host\"`"),
        ("\"udp://127.0.0.1:5060\"]", "{ advertise = \"a\" }]", 0, "sip.listen[0].address", "missing: expected `address ="),
        ("# advertise = \"proxy", "advertise = \"proxy host", 0, "sip.advertise", "expected a host"),
        ("\"refuse\"\n# Unknown", "\"ignore\"\n# Unknown", 0, "sip.unknown_sources", "expected `refuse` or `silence`"),
        ("# emergency_from = [\"127.0.0.0/8\"", "emergency_from = [\"127.0.0.1/8\"", 0, "sip.emergency_from[0]", "a network without host bits"),
        ("drain = \"10s\"", "drain = 10", 0, "sip.drain", "invalid type: integer `10`, expected a string"),
        ("drain = \"10s\"", "drain = \"10\"", 0, "sip.drain", "\"10\": expected a duration such as"),
        ("drain = \"10s\"", "drain = \"2h\"", 0, "sip.drain", "expected 0ns to 600s"),
        ("# workers = 2", "workers = 0", 0, "sip.workers", "0: expected 1 to 64 threads"),
        ("# workers = 2", "workers = 65", 0, "sip.workers", "65: expected 1 to 64 threads"),
        ("# workers = 2", "workers = \"all\"", 0, "sip.workers", "expected usize"),
        // [store]
        ("engine = \"embedded\"", "engine = \"redis\"", 0, "store.engine", "engine \"redis\" is not built: expected \"embedded\""),
        ("durability = \"strict\"", "durability = \"lazy\"", 0, "store.durability", "expected `strict` or `interval`"),
        ("answer_within = \"500ms\"", "answer_within = \"1ms\"", 0, "store.answer_within", "expected 10ms to 10s"),
        ("path = \"var/clapet\"", "path = \"\"", 0, "store.path", "expected a folder"),
        // [api]
        ("listen = \"127.0.0.1:8060\"", "listen = \"localhost:8060\"", 0, "api.listen", "invalid socket address"),
        ("# [[api.token]]", "[[api.token]]\ntoken = \"secret\"", 1, "api.token[0].token", "a secret in clear: expected `sha256`"),
        ("# [[api.token]]", "[[api.token]]\nsha256 = \"00\"", 1, "api.token[0].sha256", "expected the 64 hexadecimal digits"),
        ("# [[api.token]]", "[[api.token]]\nrole = \"root\"", 1, "api.token[0].role", "unknown variant `root`"),
        ("# [[api.token]]", "[[api.token]]\nsource = \"bpo\"", 1, "api.token[0].source", "expected the id of a [[source]]"),
        ("# [[api.token]]", "[[api.token]]", 0, "api.token[0].name", "missing: expected `name ="),
        // [law]
        ("on_store_failure = \"refuse\"", "on_store_failure = \"panic\"", 0, "law.on_store_failure", "expected `refuse` or `forward`"),
        ("bloctel_required = false", "bloctel_required = \"no\"", 0, "law.bloctel_required", "expected a boolean"),
        // [[professional]]
        ("id = \"acme\"", "id = \"ac me\"", 0, "professional[0].id", "expected 1 to 64 letters"),
        ("id = \"acme\"\n", "", 0, "professional[0].id", "missing: expected `id = \"acme\"`"),
        ("siren = \"552100554\"", "siren = \"55210055\"", 0, "professional[0].siren", "expected the nine digits of a SIREN"),
        ("# sector = \"energy-renovation\"", "sector = \"energy\"", 0, "professional[0].sector", "unknown variant `energy`"),
        ("numbers = [\"+33162001000-+33162001999\"]", "numbers = [\"+33162001999-+33162001000\"]", 0, "professional[0].numbers[0]", "whose last number is no lower"),
        ("numbers = [\"+33162001000-+33162001999\"]", "numbers = [\"0162001000\", \"3949\"]", 0, "professional[0].numbers[1]", "\"3949\": expected a number or a range"),
        ("mode = \"enforce\"", "mode = \"observed\"", 0, "professional[0].mode", "expected `enforce` or `observe`"),
        ("mode = \"enforce\"", "mode = \"enforce\"\nhours = { days = [\"sat\"], windows = [[\"10:00\", \"12:00\"]], holidays = \"national\" }", 1, "professional[0].hours", "a day that regime fr-2023-03 does not allow"),
        ("mode = \"enforce\"", "mode = \"enforce\"\nhours = { days = [\"mon\"], windows = [[\"12:00\", \"13:30\"]], holidays = \"national\" }", 1, "professional[0].hours", "an hour that regime fr-2023-03"),
        ("mode = \"enforce\"", "mode = \"enforce\"\nhours = { days = [\"mon\"], windows = [[\"10:00\", \"12:00\"]], holidays = \"none\" }", 1, "professional[0].hours", "a holiday that regime"),
        ("mode = \"enforce\"", "mode = \"enforce\"\nfrequency = { max = 5, days = 30 }", 1, "professional[0].frequency", "5 in 30 days may be more than regime fr-2023-03 allows"),
        ("mode = \"enforce\"", "mode = \"enforce\"\nfrequency = { max = 2, days = 7 }", 1, "professional[0].frequency", "expected at most 4 in at least 30 days"),
        ("\n[[source]]", "\n[[professional]]\nid = \"acme\"\nsiren = \"552100554\"\n[[source]]", 0, "professional[1]", "a second professional called \"acme\""),
        ("\n[[source]]", "\n[[professional]]\nid = \"b\"\nsiren = \"732829320\"\nnumbers = [\"0162001500\"]\n[[source]]", 3, "professional[1].numbers[0]", "+33162001500 to +33162001500 also belong to SIREN 552100554"),
        ("# [sip.streams]", "[sip.streams]\nidle_timeout = \"1ms\"", 1, "sip.streams.idle_timeout", "1ms: expected 10ms to"),
        ("# [sip.streams]", "[sip.streams]\nmax_connections = 0", 1, "sip.streams.max_connections", "0: expected 1 to 1000000"),
        ("# [sip.tls]", "[sip.tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"", 1, "sip.tls.certificate", "none.pem: expected certificates as PEM"),
        ("# [sip.tls]", "[sip.tls]\nkey = \"none.key\"", 0, "sip.tls.certificate", "missing: expected `certificate ="),
        ("# large_over_tcp", "large_over_tcp", 0, "trunk[0].large_over_tcp", "a tcp:// socket of its address family"),
        ("# ca = \"/etc/clapet/carrier-a.pem\"", "ca = \"none.pem\"", 0, "trunk[0].ca", "none.pem: expected certificates as PEM"),
        // [[source]]
        ("addresses = [\"127.0.0.1\"]", "addresses = []", 0, "source[0].addresses", "expected at least one address"),
        ("addresses = [\"127.0.0.1\"]", "addresses = [\"pbx.example\"]", 0, "source[0].addresses[0]", "expected an address or network"),
        ("addresses = [\"127.0.0.1\"]", "addresses = [\"127.0.0.1\", \"127.0.0.1\"]", 0, "source[0].addresses[1]", "expected each address once"),
        ("# digest = { realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"…\" }", "digest = { realm = \"r\", username = \"u\", ha1 = \"0011\" }", 0, "source[0].digest.ha1", "expected 64 (SHA-256) or 32 (MD5)"),
        ("# digest = { realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"…\" }", "digest = { realm = \"r\", username = \"u\", password = \"p\" }", 0, "source[0].digest.password", "a secret in clear: expected `ha1`"),
        ("# digest = { realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"…\" }", "digest = { realm = \"r\\\"\", username = \"u\", ha1 = \"00112233445566778899aabbccddeeff\" }", 0, "source[0].digest.realm", "without quotes"),
        ("# digest = { realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"…\" }", "digest = { realm = \"r\", username = \"u\", ha1 = \"00112233445566778899aabbccddeeff\", ha1_md5 = \"00112233445566778899aabbccddeeff\" }", 0, "source[0].digest.ha1_md5", "expected its SHA-256 there"),
        ("# rate = {", "rate = { calls_per_second = 0, burst = 1 } #", 0, "source[0].rate.calls_per_second", "expected 1 to 100000 calls"),
        ("# rate = {", "rate = { burst = 1 } #", 0, "source[0].rate.calls_per_second", "missing"),
        ("# concurrent_calls = 200", "concurrent_calls = 0", 0, "source[0].concurrent_calls", "expected 1 to 1000000 calls"),
        ("# options = {", "options = { every = \"1s\" } #", 0, "trunk[0].options.every", "expected \"5s\" to \"1h\""),
        ("# options = {", "options = { fail_after = 0 } #", 0, "trunk[0].options.fail_after", "expected at least one probe"),
        ("# certificate = \"pbx", "certificate = \"pbx", 0, "source[0].certificate", "expected a tls:// socket in [sip] listen, and `client_ca`"),
        ("professionals = [\"acme\"]", "professionals = [\"acmee\"]", 0, "source[0].professionals[0]", "\"acmee\": expected the id of a [[professional]]"),
        ("professionals = [\"acme\"]", "professionals = [\"acme\", \"acme\"]", 0, "source[0].professionals[1]", "each professional once"),
        ("dialling = \"automated\"", "dialling = \"robot\"", 0, "source[0].dialling", "unknown variant `robot`"),
        ("purpose = \"canvassing\"", "purpose = \"sales\"", 0, "source[0].purpose", "unknown variant `sales`"),
        ("# professional_header = \"X-Professional\"", "professional_header = \"From\"", 0, "source[0].professional_header", "the name of a header of its own"),
        ("# purpose_header = \"X-Purpose\"", "purpose_header = \"X Purpose\"", 0, "source[0].purpose_header", "the name of a header of its own"),
        ("# trunks = [\"carrier-a\"]", "trunks = [\"carrier-b\"]", 0, "source[0].trunks[0]", "expected the id of a [[trunk]]"),
        ("# target = \"sip:192.0.2.10:5060\"", "target = \"sip:192.0.2.10:5060\"", 0, "source[0].target", "expected `inbound ="),
        ("# inbound = ", "inbound = ", 0, "source[0].inbound[0]", "expected `target ="),
        ("refuse_with = 403", "refuse_with = 503", 0, "source[0].refuse_with", "503: expected 403, 603 or 608"),
        ("refuse_with = 403", "refuse_with = 608", 0, "source[0].redress", "expected `redress = \"https://…\"`"),
        ("# redress = \"https:", "redress = \"ftp:", 0, "source[0].redress", "expected a URL"),
        // [[trunk]]
        ("target = \"sip:127.0.0.1:5090;transport=udp\"", "target = \"127.0.0.1:5090\"", 0, "trunk[0].target", "expected a URI such as"),
        ("target = \"sip:127.0.0.1:5090;transport=udp\"", "target = \"sip:127.0.0.1:5090;transport=tcp\"", 0, "trunk[0].target", "no [sip] listen socket has the transport"),
        ("target = \"sip:127.0.0.1:5090;transport=udp\"", "target = \"sips:127.0.0.1\"", 0, "trunk[0].target", "no [sip] listen socket has the transport"),
        ("target = \"sip:127.0.0.1:5090;transport=udp\"", "target = \"sip:127.0.0.1;transport=sctp\"", 0, "trunk[0].target", "expected udp, tcp or tls"),
        ("target = \"sip:127.0.0.1:5090;transport=udp\"", "target = \"sip:[::1]:5090\"", 0, "trunk[0].target", "no [sip] listen socket has the transport and address family"),
        ("weight = 10", "weight = 100000", 0, "trunk[0].weight", "expected u16"),
        ("# number_format = \"as-dialled\"", "number_format = \"local\"", 0, "trunk[0].number_format", "expected \"as-dialled\", \"e164\" or \"national\""),
        // The file.
        ("[store]", "[store]\n[store", 1, "toml", ""),
        ("[store]", "[stores]", 0, "stores", "unknown key: did you mean `store`?"),
    ];
    let mut wrong = Vec::new();
    for (old, new, after, key, message) in rows {
        let (error, line) = spoiled(old, new);
        let said = |fault: &ConfigFault| fault.key == *key && fault.message.contains(message);
        match error.faults.iter().find(|fault| said(fault)) {
            // A missing key is told at its table's head, above.
            Some(fault) if fault.message.starts_with("missing") && fault.line <= line => {}
            Some(fault) if fault.line == line + after => {}
            _ => wrong.push(format!("{new} in line {line}:\n{error}\n  expected {key}: {message}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = SHIPPED
        .replace("drain = \"10s\"", "drain = 10")
        .replace("mode = \"enforce\"", "mode = \"off\"")
        .replace("refuse_with = 403", "refuse_with = 200")
        .replace("weight = 10", "wait = 10");
    let error = read(&text).unwrap_err();
    let keys: Vec<_> = error.faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "sip.drain",
            "professional[0].mode",
            "source[0].refuse_with",
            "trunk[0].wait"
        ]
    );
    let lines = error.to_string();
    assert_eq!(lines.lines().count(), 4);
    assert!(
        lines.starts_with(&format!(
            "clapet.toml:{}: sip.drain: invalid type",
            error.faults[0].line
        )),
        "{lines}"
    );
}

#[test]
fn what_is_told_is_bounded() {
    let wrong = (0..200).fold(String::new(), |text, n| text + &format!("wrong{n} = 1\n"));
    let error = read(&format!("{wrong}{SHIPPED}")).unwrap_err();
    assert_eq!(
        (error.faults.len(), error.more),
        (section::MAX_FAULTS, 200 - section::MAX_FAULTS)
    );
    assert!(error.to_string().ends_with("and 136 more"));
}

#[test]
fn the_shipped_sample_is_what_its_comments_say() {
    let config = read(SHIPPED).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let [listen] = &config.sip.listen[..] else {
        panic!("one socket")
    };
    assert_eq!(
        (listen.transport, listen.address),
        (Transport::Udp, "127.0.0.1:5060".parse().unwrap())
    );
    assert_eq!(
        (config.sip.drain, config.answer_within),
        (Duration::from_secs(10), Duration::from_millis(500))
    );
    assert!(config.store.strict && config.store.path == Path::new("var/clapet"));
    assert_eq!(
        (&*config.professionals[0].id, config.professionals[0].siren.0),
        ("acme", 552_100_554)
    );
    let range = config.professionals[0].numbers[0];
    assert_eq!((range.first.get(), range.last.get()), (33_162_001_000, 33_162_001_999));
    let source = &config.peers.sources[0];
    assert_eq!(
        (source.refuse_with, source.canvasses, source.trunks.len()),
        (403, true, 0)
    );
    let trunk = &config.peers.trunks[0];
    assert_eq!(trunk.target.address, "127.0.0.1:5090".parse().unwrap());
    assert_eq!(trunk.addresses.len(), 1, "the target's own");
    assert_eq!(config.peers.emergency_from.len(), 6);
}

#[test]
fn a_trunk_whose_name_cannot_be_found_yet_is_a_warning() {
    let config = read(&SHIPPED.replace("sip:127.0.0.1:5090;transport=udp", "sip:trunk.invalid")).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].contains("no call goes there until it is"),
        "{:?}",
        config.warnings
    );
    assert!(config.peers.trunks[0].target.address.ip().is_unspecified());
    assert!(config.peers.trunks[0].addresses.is_empty());
}

#[test]
fn a_source_whose_name_cannot_be_found_yet_is_a_warning() {
    let text = SHIPPED
        .replace("# target = \"sip:192.0.2.10:5060\"", "target = \"sip:pbx.invalid\"")
        .replace("# inbound", "inbound");
    let config = read(&text).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(
        config.warnings[0].contains("source[0].target: the host \"pbx.invalid\" cannot be found"),
        "{:?}",
        config.warnings
    );
    assert!(config.peers.sources[0].target.as_ref().unwrap().is_lost());
    // No name server makes this one reachable.
    let fault = read(&text.replace("sip:pbx.invalid", "sip:pbx.invalid;transport=tcp")).unwrap_err();
    assert!(
        fault.to_string().contains("no [sip] listen socket has the transport"),
        "{fault}"
    );
}

#[test]
fn credentials_limits_and_probes_are_read_and_secrets_never_shown() {
    let ha1 = "00112233445566778899aabbccddeeff";
    let text = SHIPPED
        .replace(
            "# digest = { realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"…\" }",
            &format!(
                "digest = {{ realm = \"clapet\", username = \"bpo-lyon\", ha1 = \"{ha1}{ha1}\", ha1_md5 = \"{ha1}\" }}"
            ),
        )
        .replace("addresses = [\"127.0.0.1\"]\n", "")
        .replace("# rate = {", "rate = {")
        .replace("# concurrent_calls", "concurrent_calls")
        .replace("# options = {", "options = {");
    let config = read(&text).unwrap();
    let access = &config.peers.sources[0].access;
    let digest = access.digest.as_ref().unwrap();
    assert_eq!((&*digest.realm, &*digest.username), ("clapet", "bpo-lyon"));
    assert_eq!(
        (digest.md5.as_deref(), digest.sha256.as_deref().map(str::len)),
        (Some(ha1), Some(64))
    );
    assert_eq!(access.rate.map(|rate| (rate.per_second, rate.burst)), Some((20, 40)));
    assert_eq!(access.concurrent_calls, Some(200));
    let options = config.peers.trunks[0].watch.options.unwrap();
    assert_eq!(
        (options.every, options.fail_after, options.up_after),
        (Duration::from_secs(30), 3, 2)
    );
    assert!(!config.effective().contains(ha1) && !format!("{config:?}").contains(ha1));
}

#[test]
fn sources_without_addresses_share_a_realm_and_no_username() {
    let source = |id: &str, realm: &str, username: &str| {
        format!(
            "[[source]]\nid = \"{id}\"\nprofessionals = [\"acme\"]\n\
             digest = {{ realm = \"{realm}\", username = \"{username}\", ha1 = \"00112233445566778899aabbccddeeff\" }}\n"
        )
    };
    let with = |more: &str| read(&SHIPPED.replace("\n# A carrier.", &format!("\n{more}\n# A carrier.")));
    let two = |realm: &str, username: &str| with(&(source("a", "r", "u") + &source("b", realm, username)));
    assert!(two("r", "v").is_ok());
    assert!(two("s", "v").unwrap_err().to_string().contains("expected one realm"));
    assert!(two("r", "u").unwrap_err().to_string().contains("the same username"));
}

#[test]
fn name_servers_are_addresses_and_their_trunks_are_found_later() {
    let with = |servers: &str, target: &str| {
        let text = SHIPPED.replace("drain = \"10s\"", &format!("drain = \"10s\"\nnameservers = {servers}"));
        read(&text.replace("sip:127.0.0.1:5090;transport=udp", target))
    };
    let config = with("[\"192.0.2.53\", \"[2001:db8::53]:5353\"]", "sip:nobody.example").unwrap();
    let expected: Vec<SocketAddr> = ["192.0.2.53:53", "[2001:db8::53]:5353"]
        .map(|text| text.parse().unwrap())
        .into();
    assert_eq!(config.sip.nameservers, expected);
    assert_eq!(config.warnings, [""; 0], "nobody was asked yet");
    assert!(config.peers.trunks[0].target.address.ip().is_unspecified());
    assert_eq!(read(&config.effective()).unwrap().sip.nameservers, expected);
    let nine = format!("[{}]", "\"192.0.2.53\", ".repeat(9));
    for wrong in [
        "[\"dns.example\"]",
        "[\"0.0.0.0\"]",
        "[\"192.0.2.53:0\"]",
        "\"192.0.2.53\"",
        nine.as_str(),
    ] {
        let fault = with(wrong, "sip:127.0.0.1:5090").unwrap_err().to_string();
        assert!(fault.contains("sip.nameservers"), "{wrong}: {fault}");
    }
}

/// What stands in the file behind a `#` as the default is the default; every key is there.
#[test]
fn the_shipped_sample_explains_every_key_and_leaving_all_out_changes_nothing() {
    for key in [
        "listen",
        "advertise",
        "unknown_sources",
        "emergency_from",
        "workers",
        "drain",
        "nameservers",
        "engine",
        "durability",
        "answer_within",
        "path",
        "name",
        "sha256",
        "role",
        "professional",
        "source",
        "file",
        "on_store_failure",
        "bloctel_required",
        "id",
        "siren",
        "sector",
        "numbers",
        "mode",
        "hours",
        "frequency",
        "addresses",
        "digest",
        "certificate",
        "rate",
        "concurrent_calls",
        "options",
        "professionals",
        "dialling",
        "purpose",
        "professional_header",
        "purpose_header",
        "trunks",
        "target",
        "inbound",
        "refuse_with",
        "redress",
        "priority",
        "weight",
        "number_format",
        "large_over_tcp",
        "ca",
        "client_ca",
        "key",
        "handshake_timeout",
        "connect_timeout",
        "write_timeout",
        "idle_timeout",
        "keep_alive",
        "max_connections",
        "max_per_address",
    ] {
        let explained = SHIPPED
            .lines()
            .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(explained, "{key}");
    }
    let bare = "[[professional]]\nid = \"acme\"\nname = \"ACME Assurances\"\nsiren = \"552100554\"\nnumbers = [\"+33162001000-+33162001999\"]\n\
                [[source]]\nid = \"bpo-lyon\"\naddresses = [\"127.0.0.1\"]\nprofessionals = [\"acme\"]\n\
                [[trunk]]\nid = \"carrier-a\"\ntarget = \"sip:127.0.0.1:5090;transport=udp\"\n";
    assert_eq!(read(bare).unwrap().effective(), read(SHIPPED).unwrap().effective());
    assert!(Config::embedded().file.is_none());
}

#[test]
fn everything_optional_is_read() {
    let text = SHIPPED
        .replace(
            "[\"udp://127.0.0.1:5060\"]",
            "[{ address = \"udp://0.0.0.0:5060\", advertise = \"proxy.example.net\" }, \"udp://[::1]:5060\"]",
        )
        .replace("# sector", "sector")
        .replace("# hours", "hours")
        .replace("# frequency", "frequency")
        .replace("# professional_header", "professional_header")
        .replace("# purpose_header", "purpose_header")
        .replace("# trunks", "trunks")
        .replace("# target", "target")
        .replace("# inbound", "inbound")
        .replace("refuse_with = 403", "refuse_with = 608")
        .replace("# redress", "redress")
        .replace("# addresses", "addresses")
        .replace("# number_format = \"as-dialled\"", "number_format = \"e164\"");
    let config = read(&text).unwrap();
    assert_eq!(config.sip.listen[0].advertise.as_deref(), Some("proxy.example.net"));
    let own = &config.professionals[0].own;
    assert_eq!(own.frequency.unwrap().max, 2);
    assert_eq!(own.hours.as_ref().unwrap().windows[0], (36_000, 43_200));
    let source = &config.peers.sources[0];
    assert_eq!(
        source.redress.as_deref(),
        Some("<https://operator.example/redress>;purpose=jwscard")
    );
    assert_eq!(source.trusted.professional.as_deref(), Some("X-Professional"));
    assert_eq!((source.trunks.len(), source.inbound.len()), (1, 1));
    assert_eq!(
        source.target.as_ref().unwrap().address,
        "192.0.2.10:5060".parse().unwrap()
    );
    assert_eq!(config.peers.trunks[0].addresses.len(), 2);
    // What check-config prints can be put in force and says the same.
    let effective = config.effective();
    assert_eq!(read(&effective).unwrap().effective(), effective);
}

#[test]
fn secrets_and_their_hashes_are_in_no_output() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let token = format!(
        "\n[[api.token]]\nname = \"dialer\"\nsha256 = \"{hash}\"\nrole = \"caller\"\nprofessional = \"acme\"\nsource = \"bpo-lyon\"\n[law]\n"
    );
    let config = read(&SHIPPED.replacen("\n[law]\n", &token, 1)).unwrap();
    assert_eq!(config.api.tokens[0].sha256[..2], [0x9f, 0x86]);
    assert!(!config.effective().contains("9f86d0") && config.effective().contains("********"));
    assert!(!format!("{config:?}").contains("159, 134"));
}

#[test]
fn what_looks_like_a_slip_is_a_warning_with_its_line() {
    let config = read(
        &SHIPPED
            .replace("552100554", "552100555")
            .replace("127.0.0.1:8060", "192.0.2.1:8060"),
    )
    .unwrap();
    assert_eq!(config.warnings.len(), 2);
    assert!(
        config
            .warnings
            .iter()
            .any(|said| said.contains("professional[0].siren: its check digit does not hold"))
    );
    assert!(
        config
            .warnings
            .iter()
            .any(|said| said.contains("api.listen: not on loopback and no [[api.token]]"))
    );
}

#[test]
fn a_fault_in_the_law_file_names_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let law = folder.path().join("law.toml");
    std::fs::write(&law, "country = \"BE\"\n").unwrap();
    let text = SHIPPED.replace("# file = \"config/law/fr.toml\"", &format!("file = {law:?}"));
    let error = read(&text).unwrap_err();
    assert_eq!((error.faults.len(), error.faults[0].file.as_path()), (1, law.as_path()));
}

#[test]
fn files_that_are_absent_or_too_large_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::discover(Some(&folder.path().join("none.toml"))).unwrap_err();
    assert!(error.to_string().contains("none.toml: cannot be read:"), "{error}");
    let large = folder.path().join("large.toml");
    std::fs::write(&large, " ".repeat(usize::try_from(MAX_FILE).unwrap() + 1)).unwrap();
    assert!(
        Config::load(&large)
            .unwrap_err()
            .to_string()
            .contains("at most 4194304 bytes")
    );
}

#[test]
fn no_trunk_or_too_many_tables_is_a_fault() {
    for text in ["", "[api]\n", "[law]"] {
        let error = read(text).unwrap_err();
        assert_eq!(
            (error.faults.len(), error.faults[0].key.as_str()),
            (1, "trunk"),
            "{text}"
        );
    }
    let trunks = "[[trunk]]\nid = \"t\"\ntarget = \"sip:192.0.2.1\"\n".repeat(1025);
    assert!(
        read(&trunks)
            .unwrap_err()
            .to_string()
            .contains("1025 tables: expected at most 1024")
    );
}

//! The Request-URI towards a trunk or a source: the number as dialled or as the trunk wants it written, at the target's host.

use std::fmt::Write as _;

use super::question;
use crate::numbering::{E164, Number, Plan};
use crate::sip::message::{HostPort, Uri};
use crate::sip::peer::{NumberFormat, Target};

/// The Request-URI of a request that came with `uri`, towards `target`. A URI that holds no user keeps none; `urn:` services stay.
pub(super) fn rewritten(plan: &Plan, uri: &str, target: &Target, format: NumberFormat) -> String {
    let Some(old) = Uri::parse(uri).filter(|old| !old.scheme.eq_ignore_ascii_case("urn")) else {
        return uri.to_owned();
    };
    let mut new = String::with_capacity(uri.len() + target.uri.len());
    let secure = old.scheme.eq_ignore_ascii_case("sips") && target.transport == crate::sip::Transport::Tls;
    new.push_str(if secure { "sips:" } else { "sip:" });
    let is_tel = old.scheme.eq_ignore_ascii_case("tel");
    if let Some(user) = old.user {
        push_user(&mut new, plan, &old, user, format);
        new.push('@');
    }
    push_host(&mut new, target);
    if is_tel {
        // RFC 3261 §19.1.6.
        new.push_str(";user=phone");
    } else {
        for param in old.params.split(';').filter(|param| !param.is_empty()) {
            let name = param.split('=').next().unwrap_or_default();
            // Where the request goes is our decision.
            if !["transport", "maddr", "ttl", "lr"]
                .iter()
                .any(|routing| name.eq_ignore_ascii_case(routing))
            {
                new.push(';');
                new.push_str(param);
            }
        }
    }
    new
}

fn push_user(out: &mut String, plan: &Plan, uri: &Uri<'_>, user: &str, format: NumberFormat) {
    // A tel: URI has no host of its own; nothing after an `@` may become one.
    let user = user.split('@').next().unwrap_or_default();
    let Some(Number::E164(number)) = question::number(plan, uri) else {
        return out.push_str(user);
    };
    match format {
        NumberFormat::AsDialled => return out.push_str(user),
        NumberFormat::E164 => {
            let _ = write!(out, "{number}");
        }
        NumberFormat::National => out.push_str(&national(plan, number)),
    }
    for param in user.split(';').skip(1) {
        let name = param.split('=').next().unwrap_or_default();
        // The number is whole now.
        if !name.eq_ignore_ascii_case("phone-context") {
            out.push(';');
            out.push_str(param);
        }
    }
}

/// As dialled within the country: the first of the spellings below that the plan reads as the same number.
fn national(plan: &Plan, number: E164) -> String {
    let digits = number.get().to_string();
    // `0` and what follows a country code of two or three digits; `0` and the whole, where the code is dialled too.
    [2, 3, 0]
        .iter()
        .filter_map(|code| digits.get(*code..))
        .map(|rest| format!("0{rest}"))
        .find(|dialled| plan.read(dialled) == Ok(Number::E164(number)))
        .unwrap_or_else(|| format!("00{digits}"))
}

fn push_host(out: &mut String, target: &Target) {
    match Uri::parse(&target.uri).and_then(|uri| uri.host_port) {
        Some(HostPort { host, port }) => {
            out.push_str(host);
            if let Some(port) = port {
                let _ = write!(out, ":{port}");
            }
        }
        None => {
            let _ = write!(out, "{}", target.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sip::Transport;

    fn target(uri: &str) -> Target {
        Target {
            uri: Arc::from(uri),
            address: "192.0.2.1:5090".parse().unwrap(),
            transport: Transport::Udp,
        }
    }

    #[test]
    fn the_number_is_kept_or_written_as_the_trunk_wants_it() {
        let plan = crate::sip::proxy::tests::plan();
        let trunk = target("sip:192.0.2.1:5090;transport=udp");
        for (uri, format, expected) in [
            (
                "sip:06%2012345678@x",
                NumberFormat::AsDialled,
                "sip:06%2012345678@192.0.2.1:5090",
            ),
            (
                "sip:0612345678@x:5070;user=phone;transport=tcp;maddr=h",
                NumberFormat::AsDialled,
                "sip:0612345678@192.0.2.1:5090;user=phone",
            ),
            (
                "sip:0612345678:pw@x",
                NumberFormat::AsDialled,
                "sip:0612345678@192.0.2.1:5090",
            ),
            (
                "sip:0612345678;npdi@x",
                NumberFormat::E164,
                "sip:+33612345678;npdi@192.0.2.1:5090",
            ),
            (
                "sip:+33612345678@x",
                NumberFormat::National,
                "sip:0612345678@192.0.2.1:5090",
            ),
            (
                "sip:+262692123456@x",
                NumberFormat::National,
                "sip:0692123456@192.0.2.1:5090",
            ),
            (
                "sip:+49301234567@x",
                NumberFormat::National,
                "sip:0049301234567@192.0.2.1:5090",
            ),
            (
                "tel:0612345678;phone-context=+33",
                NumberFormat::E164,
                "sip:+33612345678@192.0.2.1:5090;user=phone",
            ),
            (
                "tel:+33-6-12-34-56-78",
                NumberFormat::AsDialled,
                "sip:+33-6-12-34-56-78@192.0.2.1:5090;user=phone",
            ),
            (
                "tel:+33612345678@evil",
                NumberFormat::AsDialled,
                "sip:+33612345678@192.0.2.1:5090;user=phone",
            ),
            ("sip:112@x", NumberFormat::E164, "sip:112@192.0.2.1:5090"),
            ("sip:alice@x", NumberFormat::E164, "sip:alice@192.0.2.1:5090"),
            ("sip:x", NumberFormat::AsDialled, "sip:192.0.2.1:5090"),
            ("urn:service:sos", NumberFormat::AsDialled, "urn:service:sos"),
        ] {
            assert_eq!(rewritten(&plan, uri, &trunk, format), expected, "{uri}");
        }
        assert_eq!(
            rewritten(
                &plan,
                "sip:15@x",
                &target("sip:carrier.example.net"),
                NumberFormat::AsDialled
            ),
            "sip:15@carrier.example.net"
        );
    }
}

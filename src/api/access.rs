//! Who may ask for what: the Unix socket everything, loopback health, metrics and decisions, everybody else by bearer token.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::Problem;

/// Who may use the API, and for what (`[[api.token]]`).
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Token {
    pub name: Arc<str>,
    /// SHA-256 of the token; the token itself is kept nowhere.
    pub sha256: [u8; 32],
    pub role: Role,
    /// The only professional it may ask about.
    pub professional: Option<Arc<str>>,
    /// The only source it may ask as.
    pub source: Option<Arc<str>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Operator,
    /// Decisions.
    Caller,
    /// Metrics.
    Monitor,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The Unix socket, its peer's credentials checked: no token asked.
    Local,
    /// A socket on loopback.
    Loopback,
    /// Any other socket.
    Network,
}

/// What a request needs. `/healthz` and `/readyz` need nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Metrics,
    Decisions,
    /// The description of the API: for whoever has any token.
    Description,
    Operate,
}

/// Whom and as whom the asker may ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub professional: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
}

/// May this request be answered, and within which bounds? A token that is shown is checked even where none is needed.
pub(super) fn authorise(access: Access, headers: &HeaderMap, tokens: &[Token], need: Need) -> Result<Bounds, Problem> {
    if access == Access::Local {
        return Ok(Bounds::default());
    }
    let Some(shown) = headers.get(header::AUTHORIZATION) else {
        let open = access == Access::Loopback && need != Need::Operate;
        return if open {
            Ok(Bounds::default())
        } else {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "expected a bearer token"))
        };
    };
    let token = bearer(shown.as_bytes())
        .and_then(|shown| find(tokens, shown))
        .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "the token is not known"))?;
    let enough = match need {
        Need::Description => true,
        Need::Metrics => matches!(token.role, Role::Operator | Role::Monitor),
        Need::Decisions => matches!(token.role, Role::Operator | Role::Caller),
        // A token bound to one professional or source does not act for all.
        Need::Operate => token.role == Role::Operator && token.professional.is_none() && token.source.is_none(),
    };
    if !enough {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the token's role does not allow this",
        ));
    }
    Ok(Bounds {
        professional: token.professional.clone(),
        source: token.source.clone(),
    })
}

/// The token of `Bearer …` (RFC 6750 §2.1), the scheme case-insensitive.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

/// Looks at every token for as long whether it matches or not, so that the time taken tells nothing.
fn find<'t>(tokens: &'t [Token], shown: &[u8]) -> Option<&'t Token> {
    let shown: [u8; 32] = Sha256::digest(shown).into();
    let mut found = None;
    let mut any = Choice::from(0);
    for token in tokens {
        let same = token.sha256.ct_eq(&shown);
        any |= same;
        if same.into() {
            found = Some(token);
        }
    }
    found.filter(|_| any.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str, role: Role, professional: Option<&str>) -> Token {
        Token {
            name: Arc::from("test"),
            sha256: Sha256::digest(secret).into(),
            role,
            professional: professional.map(Arc::from),
            source: None,
        }
    }

    fn shown(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    /// Where, what is shown, and the status for metrics, decisions, the description, operating; 0: allowed.
    #[test]
    fn who_may_ask_for_what() {
        let tokens = [
            token("o", Role::Operator, None),
            token("a", Role::Operator, Some("acme")),
            token("c", Role::Caller, Some("acme")),
            token("m", Role::Monitor, None),
        ];
        for (access, value, expected) in [
            (Access::Local, "", [0, 0, 0, 0]),
            (Access::Loopback, "", [0, 0, 0, 401]),
            (Access::Network, "", [401, 401, 401, 401]),
            (Access::Network, "Bearer o", [0, 0, 0, 0]),
            (Access::Network, "bearer  o ", [0, 0, 0, 0]),
            (Access::Network, "Bearer a", [0, 0, 0, 403]),
            (Access::Network, "Bearer c", [403, 0, 0, 403]),
            (Access::Network, "Bearer m", [0, 403, 0, 403]),
            (Access::Loopback, "Bearer x", [401, 401, 401, 401]),
            (Access::Loopback, "Bearer ", [401, 401, 401, 401]),
            (Access::Network, "Basic bzo=", [401, 401, 401, 401]),
        ] {
            let status = [Need::Metrics, Need::Decisions, Need::Description, Need::Operate].map(|need| {
                authorise(access, &shown(value), &tokens, need).map_or_else(|problem| problem.status, |_| 0)
            });
            assert_eq!(status, expected, "{access:?} {value:?}");
        }
        let bounds = authorise(Access::Network, &shown("Bearer c"), &tokens, Need::Decisions).unwrap();
        assert_eq!(bounds.professional.as_deref(), Some("acme"));
    }
}

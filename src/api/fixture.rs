//! The routes over a store of the test's own, for tests of single resources: two professionals of one SIREN, one of another, one
//! source, and tokens that are called what they open.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use super::{Access, Backend, Host, Role, State, Token, router};
use crate::config::Config;
use crate::gate::Gate;
use crate::ledger::{EmbeddedLedger, Ledger, Options};
use crate::screening::Screening;
use crate::telemetry::Metrics;

/// Rebuilds the roster as `serve` does, unless it is hindered.
pub(super) struct Process {
    config: Config,
    gate: Gate,
    ledger: Arc<dyn Ledger>,
    pub(super) hindered: AtomicBool,
}

impl Host for Process {
    fn state(&self) -> State {
        State::default()
    }

    fn tokens(&self) -> Arc<[Token]> {
        let token = |name: &str, role, professional: Option<&str>| Token {
            name: name.into(),
            sha256: Sha256::digest(name).into(),
            role,
            professional: professional.map(Arc::from),
            source: None,
        };
        let all = [
            token("operator", Role::Operator, None),
            token("operator of acme", Role::Operator, Some("acme")),
            token("caller of acme", Role::Caller, Some("acme")),
            token("monitor", Role::Monitor, None),
        ];
        all.into()
    }

    fn reload(&self) -> Result<Vec<String>, String> {
        Err("nothing to reload".to_owned())
    }

    fn standing_changed(&self) -> Result<(), String> {
        if self.hindered.load(Ordering::Relaxed) {
            return Err("two owners of one number".to_owned());
        }
        let policy = self.config.policy(&self.ledger.standing());
        self.gate.set_policy(policy.map_err(|error| error.to_string())?);
        Ok(())
    }
}

pub(super) struct Api {
    pub(super) backend: Arc<Backend>,
    pub(super) host: Arc<Process>,
    _store: tempfile::TempDir,
}

impl Api {
    pub(super) fn new(clock: fn() -> DateTime<Utc>) -> Self {
        let store = tempfile::tempdir().unwrap();
        let text = include_str!("../../config/clapet.toml").replace(
            "\n# A PBX, dialer",
            "\n[[professional]]\nid = \"acme-pro\"\nsiren = \"552100554\"\n\
             [[professional]]\nid = \"other\"\nsiren = \"732829320\"\n# A PBX, dialer",
        );
        let config = Config::parse(&text, Path::new("clapet.toml")).unwrap();
        let options = Options {
            path: store.path().to_owned(),
            ..config.store.clone()
        };
        let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::open(options).unwrap().0);
        let screening = Arc::new(Screening::in_memory());
        let metrics = Arc::new(Metrics::new().unwrap());
        let policy = config.policy(&ledger.standing()).unwrap();
        let gate = Gate::new(
            policy,
            Arc::clone(&ledger),
            Arc::clone(&screening),
            Arc::clone(&metrics),
        );
        let host = Arc::new(Process {
            config,
            gate: gate.clone(),
            ledger: Arc::clone(&ledger),
            hindered: AtomicBool::new(false),
        });
        let backend = Arc::new(Backend {
            gate,
            ledger,
            screening,
            metrics,
            host: Arc::<Process>::clone(&host),
            store: store.path().to_owned(),
            clock,
        });
        Self {
            backend,
            host,
            _store: store,
        }
    }

    pub(super) async fn send(&self, access: Access, request: Request<Body>) -> Response {
        let router = router(Arc::clone(&self.backend), access);
        router.oneshot(request).await.unwrap()
    }

    /// On the Unix socket, a body of that type.
    pub(super) async fn ask(&self, method: Method, path: &str, kind: &str, body: impl Into<Body>) -> (u16, Vec<Value>) {
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let response = self.send(Access::Local, request.body(body.into()).unwrap()).await;
        (response.status().as_u16(), lines(response).await)
    }

    /// Without a body, by a token or none; the status.
    pub(super) async fn status(&self, access: Access, token: &str, method: Method, path: &str) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = self.send(access, request.body(Body::empty()).unwrap()).await;
        response.status().as_u16()
    }
}

/// The JSON values of an answer, a line each.
pub(super) async fn lines(response: Response) -> Vec<Value> {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

//! The operator's blacklist over a store of the test's own: what is answered, to whom, and what is recorded and in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use crate::api::{Access, Backend, Host, Role, State, Token, router};
use crate::config::Config;
use crate::gate::{Gate, Question};
use crate::ledger::{EmbeddedLedger, Ledger, Options};
use crate::rules::{Callee, CallerId, Reason};
use crate::screening::Screening;
use crate::telemetry::Metrics;

/// A Tuesday at half past ten in Paris, under the regime of the decree.
const NOW: &str = "2026-03-10T09:30:00Z";

/// Rebuilds the roster as `serve` does, unless it is hindered.
struct Process {
    config: Config,
    gate: Gate,
    ledger: Arc<dyn Ledger>,
    hindered: AtomicBool,
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
        let bound = token("bound", Role::Operator, Some("acme"));
        let all = [
            token("operator", Role::Operator, None),
            token("caller", Role::Caller, None),
            bound,
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

struct Api {
    backend: Arc<Backend>,
    host: Arc<Process>,
    _store: tempfile::TempDir,
}

/// Two professionals of one SIREN, one of another, and one source.
fn api() -> Api {
    let store = tempfile::tempdir().unwrap();
    let text = include_str!("../../config/clapet.toml").replace(
        "\n# A PBX, dialer",
        "\n[[professional]]\nid = \"acme-pro\"\nsiren = \"552100554\"\n\
         [[professional]]\nid = \"other\"\nsiren = \"732829320\"\n# A PBX, dialer",
    );
    let config = Config::parse(&text, std::path::Path::new("clapet.toml")).unwrap();
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
        clock: || NOW.parse().unwrap(),
    });
    Api {
        backend,
        host,
        _store: store,
    }
}

impl Api {
    async fn send(&self, access: Access, request: Request<Body>) -> (u16, Value) {
        let router = router(Arc::clone(&self.backend), access);
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// On the Unix socket; a body is JSON.
    async fn ask(&self, method: Method, whom: &str, body: &str) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("/v1/suspensions/{whom}"));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.send(Access::Local, request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// Why a call of the source for that professional is refused, if for a suspension.
    async fn reason(&self, professional: &str) -> Option<Reason> {
        let policy = self.backend.gate.policy();
        let read = |number| policy.law.plan.read(number).unwrap();
        let question = Question {
            source: policy.roster.source("bpo-lyon"),
            caller: CallerId::Shown(read("+33162001234")),
            callee: Callee::Number(read("0612345678")),
            professional: Some(professional.into()),
            purpose: None,
            call: 0,
        };
        let now: DateTime<Utc> = NOW.parse().unwrap();
        let decision = self.backend.gate.ask(&question, now).wait().await;
        let reason = decision.verdict.reason;
        reason.filter(|reason| matches!(reason, Reason::SourceSuspended | Reason::ProfessionalSuspended))
    }

    fn recorded(&self) -> u64 {
        self.backend.ledger.standing().suspensions.len() as u64
    }
}

fn stands(what: &str, id: &str, under: &[&str]) -> (u16, Value) {
    let suspended = !under.is_empty();
    (
        200,
        json!({ "what": what, "id": id, "suspended": suspended, "under": under }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_from_its_answer_on_until_it_is_taken_back() {
    let api = api();
    let source = |under: &[&str]| stands("source", "bpo-lyon", under);
    assert_eq!(api.ask(Method::GET, "source/bpo-lyon", "").await, source(&[]));
    assert_eq!(api.reason("acme").await, None);
    for body in ["", "{\"suspended\": true}", ""] {
        assert_eq!(
            api.ask(Method::PUT, "source/bpo-lyon", body).await,
            source(&["bpo-lyon"])
        );
        assert_eq!(api.reason("acme").await, Some(Reason::SourceSuspended));
        assert_eq!(api.recorded(), 1, "saying it again adds nothing");
    }
    assert_eq!(api.ask(Method::GET, "source/bpo-lyon", "").await, source(&["bpo-lyon"]));
    for (method, body) in [(Method::PUT, "{\"suspended\": false}"), (Method::DELETE, "")] {
        assert_eq!(api.ask(method, "source/bpo-lyon", body).await, source(&[]));
        assert_eq!((api.reason("acme").await, api.recorded()), (None, 0));
        api.ask(Method::PUT, "source/bpo-lyon", "").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_professional_is_suspended_under_every_id_of_its_siren() {
    let api = api();
    let put = api.ask(Method::PUT, "professional/acme-pro", "").await;
    assert_eq!(put, stands("professional", "acme-pro", &["acme-pro"]));
    assert_eq!(api.reason("acme").await, Some(Reason::ProfessionalSuspended));
    // Who asks about, or takes back, another id of it learns why it is still suspended.
    for method in [Method::GET, Method::DELETE] {
        let answer = api.ask(method, "professional/acme", "").await;
        assert_eq!(answer, stands("professional", "acme", &["acme-pro"]));
    }
    let other = api.ask(Method::GET, "professional/other", "").await;
    assert_eq!(other, stands("professional", "other", &[]));
    api.ask(Method::DELETE, "professional/acme-pro", "").await;
    assert_eq!(api.reason("acme").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_also_where_the_roster_cannot_be_built_anew() {
    let api = api();
    api.host.hindered.store(true, Ordering::Relaxed);
    assert_eq!(api.ask(Method::PUT, "source/bpo-lyon", "").await.0, 200);
    assert_eq!(api.reason("acme").await, Some(Reason::SourceSuspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_configured_can_still_be_taken_off_and_nobody_else_put_on() {
    let api = api();
    let gone = crate::ledger::Suspension {
        what: crate::ledger::Suspended::Source,
        id: "gone".into(),
        suspended: true,
    };
    let entry = crate::ledger::Entry::Suspension(gone);
    api.backend.ledger.record(vec![entry]).wait().await.unwrap();
    let answer = api.ask(Method::GET, "source/gone", "").await;
    assert_eq!(answer, stands("source", "gone", &["gone"]));
    let answer = api.ask(Method::DELETE, "source/gone", "").await;
    assert_eq!(answer, stands("source", "gone", &[]));
    for (whom, field) in [
        ("source/gone", "id"),
        ("source/acme", "id"),
        ("professional/bpo-lyon", "id"),
        ("trunk/carrier-a", "what"),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let (status, problem) = api.ask(method.clone(), whom, "").await;
            assert_eq!(
                (status, &problem["field"]),
                (404, &json!(field)),
                "{method} {whom}: {problem}"
            );
            assert!(problem["detail"].as_str().unwrap().contains("expected"), "{problem}");
        }
    }
    assert_eq!(api.recorded(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_something_else_changes_nothing() {
    let api = api();
    for body in [
        "{}",
        "[]",
        "{\"suspended\": 1}",
        "{\"suspended\": true, \"until\": \"2027-01-01\"}",
        "yes",
    ] {
        let (status, problem) = api.ask(Method::PUT, "source/bpo-lyon", body).await;
        assert_eq!((status, &problem["field"]), (422, &json!("suspended")), "{body}");
    }
    let request = |kind: &str, body: String| {
        let put = Request::put("/v1/suspensions/source/bpo-lyon").header("content-type", kind);
        api.send(Access::Local, put.body(Body::from(body)).unwrap())
    };
    assert_eq!(request("text/plain", String::new()).await.0, 415);
    assert_eq!(request("application/json", " ".repeat(20_000)).await.0, 413);
    assert_eq!(api.recorded(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_of_all_may_look_or_change() {
    let api = api();
    for (access, token, status) in [
        (Access::Loopback, "", 401),
        (Access::Network, "caller", 403),
        (Access::Network, "bound", 403),
        (Access::Network, "operator", 200),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let mut request = Request::builder()
                .method(method.clone())
                .uri("/v1/suspensions/professional/acme");
            if !token.is_empty() {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answered = api.send(access, request.body(Body::empty()).unwrap()).await.0;
            assert_eq!(answered, status, "{method} {token:?}");
            assert!(status == 200 || api.recorded() == 0);
        }
    }
}

//! The operator's blacklist over a store of the test's own: what is answered, to whom, and what is recorded and in force.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::api::Access;
use crate::api::fixture::Api;
use crate::gate::Question;
use crate::rules::{Callee, CallerId, Reason};

/// A Tuesday at half past ten in Paris, under the regime of the decree.
fn tuesday() -> DateTime<Utc> {
    "2026-03-10T09:30:00Z".parse().unwrap()
}

struct World(Api);

fn world() -> World {
    World(Api::new(tuesday))
}

impl World {
    /// On the Unix socket; a body is JSON.
    async fn ask(&self, method: Method, whom: &str, body: &str) -> (u16, Value) {
        let kind = if body.is_empty() { "" } else { "application/json" };
        let path = format!("/v1/suspensions/{whom}");
        let (status, mut lines) = self.0.ask(method, &path, kind, body.to_owned()).await;
        assert_eq!(lines.len(), 1);
        (status, lines.remove(0))
    }

    /// Why a call of the source for that professional is refused, if for a suspension.
    async fn reason(&self, professional: &str) -> Option<Reason> {
        let policy = self.0.backend.gate.policy();
        let read = |number| policy.law.plan.read(number).unwrap();
        let question = Question {
            source: policy.roster.source("bpo-lyon"),
            caller: CallerId::Shown(read("+33162001234")),
            callee: Callee::Number(read("0612345678")),
            professional: Some(professional.into()),
            purpose: None,
            call: 0,
        };
        let decision = self.0.backend.gate.ask(&question, tuesday()).wait().await;
        let reason = decision.verdict.reason;
        reason.filter(|reason| matches!(reason, Reason::SourceSuspended | Reason::ProfessionalSuspended))
    }

    fn recorded(&self) -> u64 {
        self.0.backend.ledger.standing().suspensions.len() as u64
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
    let api = world();
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
    let api = world();
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
    let api = world();
    api.0.host.hindered.store(true, Ordering::Relaxed);
    assert_eq!(api.ask(Method::PUT, "source/bpo-lyon", "").await.0, 200);
    assert_eq!(api.reason("acme").await, Some(Reason::SourceSuspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_configured_can_still_be_taken_off_and_nobody_else_put_on() {
    let api = world();
    let gone = crate::ledger::Suspension {
        what: crate::ledger::Suspended::Source,
        id: "gone".into(),
        suspended: true,
    };
    let entry = crate::ledger::Entry::Suspension(gone);
    api.0.backend.ledger.record(vec![entry]).wait().await.unwrap();
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
    let api = world();
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
        api.0.send(Access::Local, put.body(Body::from(body)).unwrap())
    };
    assert_eq!(request("text/plain", String::new()).await.status(), 415);
    assert_eq!(request("application/json", " ".repeat(20_000)).await.status(), 413);
    assert_eq!(api.recorded(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_of_all_may_look_or_change() {
    let api = world();
    for (access, token, status) in [
        (Access::Loopback, "", 401),
        (Access::Network, "caller of acme", 403),
        (Access::Network, "operator of acme", 403),
        (Access::Network, "operator", 200),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let path = "/v1/suspensions/professional/acme";
            let answered = api.0.status(access, token, method.clone(), path).await;
            assert_eq!(answered, status, "{method} {token:?}");
            assert!(status == 200 || api.recorded() == 0);
        }
    }
}

//! Many questions in one request: each is answered in its place, also while more are coming.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::{HeaderValue, Request};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::api::{Access, Backend, Host, Role, State, Token, router};
use crate::config::Config;
use crate::gate::Gate;
use crate::ledger::{EmbeddedLedger, Ledger, Options};
use crate::screening::Screening;
use crate::telemetry::Metrics;

struct Process;

impl Host for Process {
    fn state(&self) -> State {
        State::default()
    }

    fn tokens(&self) -> Arc<[Token]> {
        use sha2::Digest as _;
        let token = Token {
            name: "dialer".into(),
            sha256: sha2::Sha256::digest("dialer").into(),
            role: Role::Caller,
            professional: Some("acme".into()),
            source: None,
        };
        [token].into()
    }

    fn reload(&self) -> Result<Vec<String>, String> {
        Err("nothing to reload".to_owned())
    }

    fn standing_changed(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A Saturday in Paris, when nobody may be called.
fn saturday() -> DateTime<Utc> {
    "2026-03-14T09:30:00Z".parse().unwrap()
}

struct Api {
    backend: Arc<Backend>,
    _store: tempfile::TempDir,
}

impl Api {
    fn new() -> Self {
        let store = tempfile::tempdir().unwrap();
        let config = Config::embedded();
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
        let backend = Arc::new(Backend {
            gate,
            ledger,
            screening,
            metrics,
            host: Arc::new(Process),
            store: store.path().to_owned(),
            clock: saturday,
        });
        Self { backend, _store: store }
    }

    async fn send(&self, access: Access, token: &str, body: Body) -> Response {
        let mut request = Request::post("/v1/decisions/batch").header("content-type", "application/x-ndjson");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let router = router(Arc::clone(&self.backend), access);
        router.oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn ask(&self, text: impl Into<Body>) -> Vec<Value> {
        let response = self.send(Access::Loopback, "", text.into()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            HeaderValue::from_static(NDJSON)
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let lines = body.split_inclusive(|byte| *byte == b'\n');
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

fn question(to: &str) -> String {
    json!({ "from": "+33162001234", "to": to }).to_string()
}

/// What each line was answered: the reason of a decision, or the status and field of a problem.
fn said(lines: &[Value]) -> Vec<String> {
    let said = |line: &Value| match line["verdict"].as_str() {
        Some(verdict) => format!("{verdict} {}", line["reason"].as_str().unwrap_or_default()),
        None => format!("{} {}", line["status"], line["field"].as_str().unwrap_or_default()),
    };
    lines.iter().map(said).collect()
}

#[tokio::test]
async fn every_question_is_answered_in_its_place_good_or_bad() {
    let api = Api::new();
    let lawful = json!({ "from": "+33162001234", "to": "0612345678", "at": "2026-03-10T09:30:00Z" });
    let text = format!(
        "{}\n\n{{\"from\": \"0162001234\"}}\r\nno JSON\n{lawful}\n{}",
        question("0612345678"),
        question("112"),
    );
    let expected = ["refuse hours.day", "422 to", "400 ", "allow ", "allow exempt.emergency"];
    assert_eq!(said(&api.ask(text.clone()).await), expected);
    // In chunks of any size it is the same.
    for size in [1, 7, 100] {
        let chunks: Vec<Bytes> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
        assert_eq!(said(&api.ask(Body::from_stream(chunks)).await), expected, "{size}");
    }
    assert_eq!(api.ask("").await, [Value::Null; 0]);
}

#[tokio::test]
async fn answers_come_while_questions_are_still_coming() {
    let api = Api::new();
    let (questions, taken) = mpsc::channel(1);
    let response = api
        .send(Access::Loopback, "", Body::new(Chunks::new(taken, None)))
        .await;
    let mut answers = response.into_body();
    for _ in 0..3 {
        let line = question("0612345678") + "\n";
        questions.send(Ok(Bytes::from(line))).await.unwrap();
        let answer = answers.frame().await.unwrap().unwrap().into_data().unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["reason"], "hours.day");
    }
    drop(questions);
    assert!(answers.frame().await.is_none());
}

#[tokio::test]
async fn more_answers_than_wait_for_the_client_are_sent_as_it_takes_them() {
    let api = Api::new();
    let many = 5_000;
    let text = (question("0612345678") + "\n").repeat(many);
    let lines = api.ask(text).await;
    assert_eq!(lines.len(), many);
    assert!(lines[0].to_string().len() * many > 2 * CHUNK * CHUNKS_AHEAD);
    assert!(lines.iter().all(|line| line["reason"] == "hours.day"));
}

#[tokio::test]
async fn a_line_beyond_the_bound_and_a_broken_body_end_the_batch_and_say_so() {
    let api = Api::new();
    let good = question("0612345678") + "\n";
    for end in ["", "\n", &format!("\n{good}")] {
        let text = format!("{good}{}{end}", "x".repeat(MAX_QUESTION + 1));
        assert_eq!(said(&api.ask(text).await), ["refuse hours.day", "413 "]);
    }
    let chunks = [Ok(Bytes::from(good)), Err(io::Error::other("cut"))];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(said(&api.ask(body).await), ["refuse hours.day", "400 "]);
}

#[tokio::test]
async fn a_batch_needs_what_a_decision_needs() {
    let api = Api::new();
    let other = json!({ "from": "0162001234", "to": "0612345678", "professional": "other" }).to_string();
    let response = api.send(Access::Network, "", Body::from(other.clone())).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let response = api.send(Access::Network, "dialer", Body::from(other)).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let line: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&line["status"], &line["field"]), (&json!(403), &json!("professional")));
    let request = Request::post("/v1/decisions/batch").header("content-type", "text/plain");
    let router = router(Arc::clone(&api.backend), Access::Loopback);
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

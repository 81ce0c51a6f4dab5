//! Many questions in one request: each is answered in its place, also while more are coming.

use std::convert::Infallible;

use axum::http::{Method, Request};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;
use crate::api::Access;
use crate::api::fixture::{Api, lines};

/// A Saturday in Paris, when nobody may be called.
fn saturday() -> DateTime<Utc> {
    "2026-03-14T09:30:00Z".parse().unwrap()
}

struct World(Api);

fn world() -> World {
    World(Api::new(saturday))
}

impl World {
    async fn send(&self, access: Access, token: &str, body: Body) -> Response {
        let mut request = Request::post("/v1/decisions/batch").header(header::CONTENT_TYPE, NDJSON);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.0.send(access, request.body(body).unwrap()).await
    }

    async fn ask(&self, text: impl Into<Body>) -> Vec<Value> {
        let response = self.send(Access::Loopback, "", text.into()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], NDJSON);
        lines(response).await
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
    let api = world();
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
    let api = world();
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
    let api = world();
    let many = 5_000;
    let text = (question("0612345678") + "\n").repeat(many);
    let lines = api.ask(text).await;
    assert_eq!(lines.len(), many);
    assert!(lines[0].to_string().len() * many > 2 * CHUNK * CHUNKS_AHEAD);
    assert!(lines.iter().all(|line| line["reason"] == "hours.day"));
}

#[tokio::test]
async fn a_line_beyond_the_bound_and_a_broken_body_end_the_batch_and_say_so() {
    let api = world();
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
    let api = world();
    let other = json!({ "from": "0162001234", "to": "0612345678", "professional": "other" }).to_string();
    let response = api.send(Access::Network, "", Body::from(other.clone())).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let response = api.send(Access::Network, "caller of acme", Body::from(other)).await;
    let line = &lines(response).await[0];
    assert_eq!((&line["status"], &line["field"]), (&json!(403), &json!("professional")));
    let (status, _) = api.0.ask(Method::POST, "/v1/decisions/batch", "text/plain", "").await;
    assert_eq!(status, 415);
}

//! `POST /v1/decisions/batch`: questions come as NDJSON, answers go back as NDJSON, one line for each in their order, while the rest is
//! still coming. A question that cannot be answered gets a problem document in its place. Reserves nothing.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::access::{Bounds, Need};
use super::routes::{Context, MAX_QUESTION, decide, expect_content};
use super::{Answer, Ask, Chunks, Problem};

/// As `/v1/decisions`, a question a line in, an answer or a problem a line out, in their order and while the rest is still coming.
#[utoipa::path(post, path = "/v1/decisions/batch", tag = "decisions", security((), ("token" = [])),
    request_body(content = Ask, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "Of each question the verdict, or a problem", body = Answer, content_type = "application/x-ndjson"),
        (status = "4XX", description = "What is wrong", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn decisions_batch(Shared(context): Shared<Context>, request: Request) -> Result<Response, Problem> {
    let bounds = context.authorise(request.headers(), Need::Decisions)?;
    expect_content(request.headers(), NDJSON)?;
    let (answers, taken) = mpsc::channel(CHUNKS_AHEAD);
    let batch = Batch {
        context,
        bounds,
        left: BytesMut::new(),
        answered: Vec::new(),
        answers,
    };
    tokio::spawn(batch.run(request.into_body()));
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::new(Chunks::new(taken, None))).into_response())
}

struct Batch {
    context: Context,
    bounds: Bounds,
    /// What came of a line that is not whole.
    left: BytesMut,
    /// Lines that wait to be sent together.
    answered: Vec<u8>,
    answers: mpsc::Sender<io::Result<Bytes>>,
}

/// Nothing more is answered: the client is gone or too slow, or the rest cannot be read.
struct Ended;

impl Batch {
    async fn run(mut self, body: Body) {
        // However it ends, the client has been told what could be told.
        let _ = self.read(body).await;
    }

    async fn read(&mut self, mut body: Body) -> Result<(), Ended> {
        loop {
            let broken = match timeout(CHUNK_WITHIN, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.chunk(&chunk).await?;
                    }
                    continue;
                }
                Ok(Some(Err(_))) => Problem::new(StatusCode::BAD_REQUEST, "the body did not arrive whole"),
                Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the body stopped coming"),
            };
            return self.give_up(&broken).await;
        }
        let last = std::mem::take(&mut self.left);
        self.line(&last).await?;
        self.send().await
    }

    /// Answers the lines that end in a chunk; what they have to say goes out with it.
    async fn chunk(&mut self, chunk: &[u8]) -> Result<(), Ended> {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.left.is_empty() {
                self.bounded(line.len()).await?;
                self.line(line).await?;
            } else {
                self.bounded(self.left.len() + line.len()).await?;
                self.left.extend_from_slice(line);
                let whole = self.left.split();
                self.line(&whole).await?;
            }
            rest = after;
        }
        self.bounded(self.left.len() + rest.len()).await?;
        self.left.extend_from_slice(rest);
        self.send().await
    }

    async fn bounded(&mut self, length: usize) -> Result<(), Ended> {
        if length <= MAX_QUESTION {
            return Ok(());
        }
        let detail = format!("a line is larger than {MAX_QUESTION} bytes; what follows it is not read");
        self.give_up(&Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)).await
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Ended> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        match decide(&self.context, &self.bounds, line).await {
            Ok(answer) => self.say(&answer),
            Err(problem) => self.say(&problem),
        }
        if self.answered.len() >= CHUNK {
            self.send().await?;
        }
        // Other requests have their turn between two lines.
        tokio::task::yield_now().await;
        Ok(())
    }

    fn say(&mut self, answer: &impl Serialize) {
        // Writing into memory cannot fail, and neither type has anything that JSON has not.
        let _ = serde_json::to_writer(&mut self.answered, answer);
        self.answered.push(b'\n');
    }

    async fn give_up(&mut self, problem: &Problem) -> Result<(), Ended> {
        self.say(problem);
        self.send().await?;
        Err(Ended)
    }

    async fn send(&mut self) -> Result<(), Ended> {
        if self.answered.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.answered));
        match timeout(CHUNK_WITHIN, self.answers.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            // Gone, or it does not read.
            Ok(Err(_)) | Err(_) => Err(Ended),
        }
    }
}

const NDJSON: &str = "application/x-ndjson";

/// Longest pause of a client in the middle of a body, and in taking what it is answered.
const CHUNK_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of answers sent together, and how many such chunks may wait for the client.
const CHUNK: usize = 32 << 10;
const CHUNKS_AHEAD: usize = 4;

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

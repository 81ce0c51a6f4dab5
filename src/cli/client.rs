//! HTTP over the running server's Unix socket, as the commands use it.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::Failure;
use crate::api::{Chunks, Problem};

type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// One connection, driven while it is asked.
pub(super) struct Client {
    runtime: Runtime,
    sender: SendRequest<Body>,
}

impl Client {
    /// Connects; the error says whether nobody is there.
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = tokio::time::timeout(CONNECT_WITHIN, UnixStream::connect(socket)).await??;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            // Ends with the connection; its errors reach whoever waits for an answer.
            tokio::spawn(async { drop(connection.await) });
            Ok::<_, io::Error>(sender)
        })?;
        Ok(Self { runtime, sender })
    }

    /// Sends a JSON object and reads one.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, path: &str, body: &impl serde::Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::error)?;
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
        let request = request(path, "application/json", body)?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(ANSWER_WITHIN, async { whole(send(sender, request).await?).await });
            let (status, body) = answer
                .await
                .map_err(|_| Failure::error("the server does not answer"))??;
            if status.is_success() {
                serde_json::from_slice(&body).map_err(Failure::error)
            } else {
                Err(problem(status, &body))
            }
        })
    }

    /// Sends a body as it comes, however long the server then works on it, and hands over each line of the answer.
    pub(super) fn send_lines(
        &mut self,
        path: &str,
        body: Chunks,
        mut line: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = request(path, "text/csv", body.boxed())?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let mut response = send(sender, request).await?;
            if !response.status().is_success() {
                let (status, body) = whole(response).await?;
                return Err(problem(status, &body));
            }
            let mut pending = BytesMut::new();
            while let Some(frame) = response.body_mut().frame().await {
                let Ok(chunk) = frame.map_err(|error| broken(&error))?.into_data() else {
                    continue;
                };
                pending.extend_from_slice(&chunk);
                while let Some(end) = memchr::memchr(b'\n', &pending) {
                    line(&pending.split_to(end + 1)[..end])?;
                }
                if pending.len() > MAX_ANSWER {
                    return Err(Failure::error("the server's answer has a line too long"));
                }
            }
            Ok(())
        })
    }
}

fn request(path: &str, kind: &str, body: Body) -> Result<Request<Body>, Failure> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(hyper::header::HOST, "clapet")
        .header(hyper::header::CONTENT_TYPE, kind)
        .body(body)
        .map_err(Failure::error)
}

async fn send(sender: &mut SendRequest<Body>, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
    sender.send_request(request).await.map_err(|error| broken(&error))
}

async fn whole(response: Response<Incoming>) -> Result<(StatusCode, Bytes), Failure> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| Failure::error(format_args!("the server's answer broke off: {error}")))?;
    Ok((status, body.to_bytes()))
}

fn broken(error: &hyper::Error) -> Failure {
    Failure::error(format_args!("the server's answer broke off: {error}"))
}

/// What the server said was wrong.
fn problem(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => match problem.field {
            Some(field) => Failure::error(format_args!("{field}: {}", problem.detail)),
            None => Failure::error(problem.detail),
        },
        Err(_) => Failure::error(format_args!("the server answered {status}")),
    }
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Above what the server allows itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Largest answer or line of one, in bytes.
const MAX_ANSWER: usize = 4 << 20;

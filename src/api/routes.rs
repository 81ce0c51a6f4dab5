//! The routes and their handlers. Every body is bounded, every answer comes within a time, every error is a problem document.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::NaiveDate;

use super::access::{Bounds, Need, authorise};
use super::{Access, Answer, Ask, Backend, Problem, State, suspension};
use crate::numbering::Number;

/// What a handler needs to know of where its request came in.
#[derive(Clone)]
pub(super) struct Context {
    pub backend: Arc<Backend>,
    pub access: Access,
}

impl Context {
    pub(super) fn authorise(&self, headers: &HeaderMap, need: Need) -> Result<Bounds, Problem> {
        authorise(self.access, headers, &self.backend.host.tokens(), need)
    }
}

pub(super) fn router(backend: Arc<Backend>, access: Access) -> Router {
    let quick = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(super::openapi::openapi))
        .route("/v1/decisions", post(decisions))
        .route("/v1/forget", post(forget))
        .route("/v1/reload", post(reload))
        .route("/v1/journal/checkpoint", post(super::evidence::checkpoint))
        .route("/v1/screenings/{list}", get(super::screening::get))
        .route(
            "/v1/suspensions/{what}/{id}",
            get(suspension::get).put(suspension::put).delete(suspension::delete),
        )
        .layer(from_fn(within));
    quick
        .route("/v1/decisions/batch", post(super::batch::decisions_batch))
        .route("/v1/imports/{kind}", post(super::upload::imports))
        .route("/v1/screenings/{list}", post(super::screening::post))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(Context { backend, access })
}

/// An answer that takes too long is a 503; what was asked may still happen.
async fn within(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no answer in time").into_response(),
    }
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such resource")
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the resource does not have this method")
}

#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "The process lives", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "Calls are taken", body = State),
        (status = 503, description = "Calls are not taken; the body says why", body = State),
    ))]
pub(super) async fn readyz(Shared(context): Shared<Context>) -> Response {
    let state = context.backend.host.state();
    let status = if state.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(state)).into_response()
}

#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("token" = [])),
    responses(
        (status = 200, description = "In the text format of Prometheus", body = String, content_type = "text/plain"),
        (status = "4XX", description = "Not allowed", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn metrics(Shared(context): Shared<Context>, headers: HeaderMap) -> Result<Response, Problem> {
    context.authorise(&headers, Need::Metrics)?;
    let backend = &context.backend;
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    backend.metrics.ledger_records.set(gauge(backend.ledger.records()));
    backend.metrics.journal_lag_records.set(gauge(backend.ledger.lag()));
    let lists: Vec<_> = backend
        .screening
        .states()
        .iter()
        .map(|state| {
            let name = state.list.name();
            let label = match state.siren {
                Some(siren) => format!("{name}/{siren}"),
                None => name.to_owned(),
            };
            (label, age(state.newest, (backend.clock)()), gauge(state.numbers))
        })
        .collect();
    backend.metrics.set_lists(&lists);
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((text, backend.metrics.render()).into_response())
}

/// Seconds since a list's day began.
pub(super) fn age(newest: NaiveDate, now: chrono::DateTime<chrono::Utc>) -> i64 {
    (now.naive_utc() - newest.and_time(chrono::NaiveTime::MIN))
        .num_seconds()
        .max(0)
}

/// May this caller number call that number? Nothing is reserved.
#[utoipa::path(post, path = "/v1/decisions", tag = "decisions", security((), ("token" = [])), request_body = Ask,
    responses(
        (status = 200, description = "The verdict", body = Answer),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn decisions(Shared(context): Shared<Context>, request: Request) -> Result<Json<Answer>, Problem> {
    let bounds = context.authorise(request.headers(), Need::Decisions)?;
    let body = json(request, MAX_QUESTION).await?;
    decide(&context, &bounds, &body).await.map(Json)
}

/// Answers one question, a JSON object.
pub(super) async fn decide(context: &Context, bounds: &Bounds, question: &[u8]) -> Result<Answer, Problem> {
    let mut ask = Ask::read(question)?;
    within_bounds(&mut ask.professional, bounds.professional.as_deref(), "professional")?;
    within_bounds(&mut ask.source, bounds.source.as_deref(), "source")?;
    let policy = context.backend.gate.policy();
    let question = ask.question(&policy)?;
    let at = ask.at.unwrap_or_else(|| (context.backend.clock)());
    let decision = context.backend.gate.ask(&question, at).wait().await;
    Ok(Answer::of(&decision, &policy.law))
}

/// Whom to forget.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whom {
    /// In any dialled form.
    number: String,
}

/// What a reload found.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Reloaded {
    /// Accepted, but to be looked at.
    warnings: Vec<String>,
}

/// A token bound to one professional or source asks for it, named or not.
fn within_bounds(asked: &mut Option<String>, bound: Option<&str>, field: &str) -> Result<(), Problem> {
    let Some(bound) = bound else { return Ok(()) };
    if asked.as_deref().is_some_and(|asked| asked != bound) {
        let detail = format!("the token is bound to another {field}");
        return Err(Problem::about(StatusCode::FORBIDDEN, field, detail));
    }
    *asked = Some(bound.to_owned());
    Ok(())
}

/// Erases one number's personal data; what still binds stays under a keyed hash.
#[utoipa::path(post, path = "/v1/forget", tag = "operation", security(("token" = [])), request_body = Whom,
    responses(
        (status = 200, description = "What was erased, and what is kept and why", body = Object),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn forget(Shared(context): Shared<Context>, request: Request) -> Result<Response, Problem> {
    context.authorise(request.headers(), Need::Operate)?;
    let body = json(request, MAX_QUESTION).await?;
    let whom: Whom = serde_json::from_slice(&body)
        .map_err(|error| Problem::field("number", format!("expected {{\"number\": \"…\"}}: {error}")))?;
    let backend = &context.backend;
    let number = match backend.gate.policy().law.plan.read(&whom.number) {
        Ok(Number::E164(number)) => number,
        Ok(Number::Short(_)) => return Err(Problem::field("number", "a short number is nobody's")),
        Err(error) => {
            let detail = format!("{error}: expected a number in any dialled form");
            return Err(Problem::field("number", detail));
        }
    };
    let now = (backend.clock)();
    // Reading every list is slow.
    let (work, runtime) = (Arc::clone(backend), tokio::runtime::Handle::current());
    let done = blocking(move || runtime.block_on(super::forget(&*work.ledger, &work.screening, number, now))).await?;
    done.map(|forgotten| Json(forgotten).into_response())
        .map_err(|error| unavailable(&error))
}

/// Reads the configuration again; a bad file changes nothing.
#[utoipa::path(post, path = "/v1/reload", tag = "operation", security(("token" = [])),
    responses(
        (status = 200, description = "In force", body = Reloaded),
        (status = 422, description = "Why nothing changed", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn reload(Shared(context): Shared<Context>, headers: HeaderMap) -> Result<Response, Problem> {
    context.authorise(&headers, Need::Operate)?;
    let host = Arc::clone(&context.backend.host);
    match blocking(move || host.reload()).await? {
        Ok(warnings) => Ok(Json(Reloaded { warnings }).into_response()),
        Err(why) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
    }
}

/// The body of a JSON request.
pub(super) async fn json(request: Request, most: usize) -> Result<Bytes, Problem> {
    expect_content(request.headers(), "application/json")?;
    bounded(request.into_body(), most).await
}

/// Is the body of that type? A browser sends the types that we ask for only where it was allowed to, so that no page makes decisions.
pub(super) fn expect_content(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = format!("expected {expected}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

pub(super) async fn bounded(body: Body, most: usize) -> Result<Bytes, Problem> {
    to_bytes(body, most).await.map_err(|_| {
        let detail = format!("the body did not arrive whole, or is larger than {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })
}

/// Runs what may block off the runtime's workers.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the work broke off; the log says more",
        )
    })
}

pub(super) fn unavailable(error: &crate::ledger::StoreError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// Longest time for an answer; what is streamed apart.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a question.
pub(super) const MAX_QUESTION: usize = 16 << 10;

//! `POST /v1/journal/checkpoint`: signs the journal's head, so that everything recorded so far can be proved.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::HeaderMap;

use super::Problem;
use super::access::Need;
use super::routes::{Context, unavailable};

/// Signs the journal's head, so that everything recorded so far can be proved.
#[utoipa::path(post, path = "/v1/journal/checkpoint", tag = "operation", security(("token" = [])),
    responses(
        (status = 200, description = "Signed", body = Object),
        (status = 503, description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn checkpoint(
    Shared(context): Shared<Context>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    context.authorise(&headers, Need::Operate)?;
    let signed = context.backend.ledger.sign().wait().await;
    signed
        .map(|()| Json(serde_json::json!({})))
        .map_err(|error| unavailable(&error))
}

//! `/v1/suspensions/{source|professional}/{id}`: the operator's blacklist. `PUT` puts somebody on it, or off it with
//! `{"suspended": false}`; `DELETE` takes them off; `GET` says how it stands. Recorded before it is in force, in force when it is
//! answered, and again after a restart. Emergency numbers are reached all the same.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use utoipa::ToSchema;

use super::access::Need;
use super::routes::{Context, MAX_QUESTION, blocking, bounded, json, unavailable};
use super::{Backend, Problem};
use crate::gate::Roster;
use crate::ledger::{Entry, Standing, Suspended, Suspension};

/// How it stands with one source or professional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuspensionState {
    /// `source` or `professional`.
    pub what: String,
    /// Its id.
    pub id: String,
    /// Its calls are refused.
    pub suspended: bool,
    /// Ids that were suspended: its own, and for a professional those that share its SIREN, since they are one legal entity.
    pub under: Vec<String>,
}

/// Whom a path names.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Segments {
    /// `source` or `professional`
    what: String,
    /// As configured
    id: String,
}

/// The body of a `PUT`; none at all suspends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wish {
    suspended: bool,
}

/// Is it suspended?
#[utoipa::path(get, path = "/v1/suspensions/{what}/{id}", tag = "operation", security(("token" = [])),
    params(Segments),
    responses(
        (status = 200, description = "How it stands", body = SuspensionState),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    Shared(context): Shared<Context>,
    Path(whom): Path<Segments>,
    headers: HeaderMap,
) -> Result<Json<SuspensionState>, Problem> {
    context.authorise(&headers, Need::Operate)?;
    let (what, id) = known(&context.backend, &whom)?;
    Ok(Json(state(&context.backend, what, &id)))
}

/// Refuses its calls from the next one on, or no longer.
#[utoipa::path(put, path = "/v1/suspensions/{what}/{id}", tag = "operation", security(("token" = [])), request_body = Option<Wish>,
    params(Segments),
    responses(
        (status = 200, description = "How it stands", body = SuspensionState),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    Shared(context): Shared<Context>,
    Path(whom): Path<Segments>,
    request: Request,
) -> Result<Json<SuspensionState>, Problem> {
    context.authorise(request.headers(), Need::Operate)?;
    let (what, id) = known(&context.backend, &whom)?;
    let body = if request.headers().contains_key(header::CONTENT_TYPE) {
        json(request, MAX_QUESTION).await?
    } else {
        bounded(request.into_body(), MAX_QUESTION).await?
    };
    let suspended = if body.is_empty() {
        true
    } else {
        let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
            let detail = format!("expected {{\"suspended\": true}} or {{\"suspended\": false}}, or no body: {error}");
            Problem::field("suspended", detail)
        })?;
        wish.suspended
    };
    set(&context.backend, Suspension { what, id, suspended }).await
}

/// Refuses its calls no longer.
#[utoipa::path(delete, path = "/v1/suspensions/{what}/{id}", tag = "operation", security(("token" = [])),
    params(Segments),
    responses(
        (status = 200, description = "How it stands", body = SuspensionState),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    Shared(context): Shared<Context>,
    Path(whom): Path<Segments>,
    headers: HeaderMap,
) -> Result<Json<SuspensionState>, Problem> {
    context.authorise(&headers, Need::Operate)?;
    let (what, id) = known(&context.backend, &whom)?;
    let suspended = false;
    set(&context.backend, Suspension { what, id, suspended }).await
}

/// Records, then puts in force. Saying again what stands already changes and records nothing.
async fn set(backend: &Arc<Backend>, suspension: Suspension) -> Result<Json<SuspensionState>, Problem> {
    let entry = Entry::Suspension(suspension.clone());
    let recorded = backend.ledger.record(vec![entry]).wait().await;
    let recorded = recorded.map_err(|error| unavailable(&error))?;
    let host = Arc::clone(&backend.host);
    if let Err(why) = blocking(move || host.standing_changed()).await? {
        // Caller numbers that contradict each other hinder a new roster, which is no reason to let calls through.
        warn!(why, "the roster could not be built anew; the one in force is changed");
        backend.gate.suspend(&suspension);
    }
    let Suspension { what, id, suspended } = suspension;
    if recorded.new > 0 {
        info!(
            what = name(what),
            id = &*id,
            suspended,
            "the operator's blacklist has changed"
        );
    }
    Ok(Json(state(backend, what, &id)))
}

/// Somebody configured, or suspended once and no longer configured.
fn known(backend: &Backend, Segments { what, id }: &Segments) -> Result<(Suspended, Arc<str>), Problem> {
    let what = match what.as_str() {
        "source" => Suspended::Source,
        "professional" => Suspended::Professional,
        other => {
            let detail = format!("{other:?}: expected /v1/suspensions/source/ID or /v1/suspensions/professional/ID");
            return Err(Problem::about(StatusCode::NOT_FOUND, "what", detail));
        }
    };
    let policy = backend.gate.policy();
    let configured = match what {
        Suspended::Source => policy.roster.source(id).is_some(),
        Suspended::Professional => policy.roster.professional(id).is_some(),
    };
    let is_it = |suspension: &Suspension| suspension.what == what && *suspension.id == **id;
    if !configured && !backend.ledger.standing().suspensions.iter().any(is_it) {
        let detail = format!("no {0} is called {id:?}: expected the id of a [[{0}]]", name(what));
        return Err(Problem::about(StatusCode::NOT_FOUND, "id", detail));
    }
    Ok((what, Arc::from(id.as_str())))
}

fn state(backend: &Backend, what: Suspended, id: &str) -> SuspensionState {
    let under = under(&backend.gate.policy().roster, &backend.ledger.standing(), what, id);
    SuspensionState {
        what: name(what).to_owned(),
        id: id.to_owned(),
        suspended: !under.is_empty(),
        under,
    }
}

/// The ids whose suspension binds this one.
fn under(roster: &Roster, standing: &Standing, what: Suspended, id: &str) -> Vec<String> {
    let siren = |id: &str| {
        let index = roster.professional(id)?;
        Some(roster.professionals().get(usize::from(index.0))?.siren)
    };
    let own = siren(id);
    let binds = |suspension: &&Suspension| {
        let same_entity = || what == Suspended::Professional && own.is_some() && siren(&suspension.id) == own;
        suspension.what == what && suspension.suspended && (*suspension.id == *id || same_entity())
    };
    let binding = standing.suspensions.iter().filter(binds);
    binding.map(|suspension| suspension.id.to_string()).collect()
}

fn name(what: Suspended) -> &'static str {
    match what {
        Suspended::Source => "source",
        Suspended::Professional => "professional",
    }
}

#[cfg(test)]
#[path = "suspension_tests.rs"]
mod tests;

//! `/v1/screenings/{list}`: a do-not-call list's snapshot. `POST` loads one, as `/v1/imports/{list}` does; `GET` says of each snapshot
//! in force how old and how large it is.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path as Segment, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Need;
use super::routes::{Context, age};
use super::upload::{self, Asked, Imported};
use super::{Backend, Problem};
use crate::import::{Kind, Professionals as _};
use crate::ledger::Siren;
use crate::screening::List;

/// A list as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScreeningState {
    /// `bloctel` or `opposition`.
    pub list: String,
    /// Nine digits of the legal entity that it binds; absent: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siren: Option<String>,
    /// Local day of the newest snapshot.
    pub newest: NaiveDate,
    /// Since that day began.
    pub age_seconds: i64,
    /// Numbers that it holds.
    pub numbers: u64,
}

/// Of which professional.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// Only what binds this one; default: all.
    professional: Option<String>,
}

/// How old and how large are the snapshots of a list?
#[utoipa::path(get, path = "/v1/screenings/{list}", tag = "operation", security(("token" = [])),
    params(("list" = String, Path, description = "`bloctel` or `opposition`"), Whose),
    responses(
        (status = 200, description = "Each that is in force; none where none was loaded", body = Vec<ScreeningState>),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    Shared(context): Shared<Context>,
    Segment(list): Segment<String>,
    whose: Result<Query<Whose>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Vec<ScreeningState>>, Problem> {
    context.authorise(&headers, Need::Operate)?;
    let list = known(&list)?;
    let Query(whose) = whose.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let siren = whose.professional.map(|id| {
        let siren = context.backend.gate.policy().roster.siren(&id);
        siren.ok_or_else(|| Problem::field("professional", "expected the id of a configured professional"))
    });
    Ok(Json(states(&context.backend, list, siren.transpose()?)))
}

/// Loads a snapshot of a list.
#[utoipa::path(post, path = "/v1/screenings/{list}", tag = "operation", security(("token" = [])),
    params(("list" = String, Path, description = "`bloctel` or `opposition`"), Asked),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "What was loaded", body = Imported, content_type = "application/x-ndjson"),
        (status = "4XX", description = "What is wrong, and in which field", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The store cannot", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn post(
    Shared(context): Shared<Context>,
    Segment(list): Segment<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    context.authorise(request.headers(), Need::Operate)?;
    let kind = match known(&list)? {
        List::Bloctel => Kind::Bloctel,
        List::Opposition => Kind::Opposition,
    };
    upload::import(&context, kind, asked, request).await
}

fn known(list: &str) -> Result<List, Problem> {
    List::from_name(list).ok_or_else(|| Problem::about(StatusCode::NOT_FOUND, "list", "expected bloctel or opposition"))
}

/// Those of one legal entity and those that bind every one; all where none is named.
fn states(backend: &Backend, list: List, siren: Option<Siren>) -> Vec<ScreeningState> {
    let now = (backend.clock)();
    let states = backend.screening.states().into_iter();
    let wanted = states.filter(|state| {
        let binds = siren.is_none() || state.siren.is_none() || state.siren == siren;
        state.list == list && binds
    });
    wanted
        .map(|state| ScreeningState {
            list: state.list.name().to_owned(),
            siren: state.siren.map(|siren| siren.to_string()),
            newest: state.newest,
            age_seconds: age(state.newest, now),
            numbers: state.numbers,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use chrono::{DateTime, Utc};
    use serde_json::{Value, json};

    use crate::api::Access;
    use crate::api::fixture::Api;

    /// Half past ten in Paris.
    fn tuesday() -> DateTime<Utc> {
        "2026-03-10T09:30:00Z".parse().unwrap()
    }

    async fn post(api: &Api, path: &str, text: &'static str) -> (u16, Value) {
        let (status, mut lines) = api.ask(Method::POST, path, "text/csv", text).await;
        (status, lines.remove(0))
    }

    async fn get(api: &Api, path: &str) -> Value {
        let (status, mut lines) = api.ask(Method::GET, path, "", "").await;
        assert_eq!(status, 200, "{lines:?}");
        lines.remove(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_snapshot_that_is_loaded_is_told_with_its_age_and_size() {
        let api = Api::new(tuesday);
        assert_eq!(get(&api, "/v1/screenings/bloctel").await, json!([]));
        let (status, said) = post(
            &api,
            "/v1/screenings/bloctel?professional=acme",
            "0612345678\n0612345679\nnobody\n",
        )
        .await;
        assert_eq!(
            (status, &said["kind"], &said["rejected"]),
            (200, &json!("bloctel"), &json!(1))
        );
        let (status, _) = post(&api, "/v1/screenings/opposition", "0612345678\n").await;
        assert_eq!(status, 200);
        let state = |list: &str, numbers: u64| json!({ "list": list, "newest": "2026-03-10", "age_seconds": 34_200, "numbers": numbers });
        let mut bloctel = state("bloctel", 2);
        bloctel["siren"] = json!("552100554");
        assert_eq!(get(&api, "/v1/screenings/bloctel").await, json!([bloctel]));
        // The legal entity under its other id, and one whose list it is not.
        assert_eq!(
            get(&api, "/v1/screenings/bloctel?professional=acme-pro").await,
            json!([bloctel])
        );
        assert_eq!(get(&api, "/v1/screenings/bloctel?professional=other").await, json!([]));
        // Nobody's list binds all.
        let opposition = json!([state("opposition", 1)]);
        assert_eq!(
            get(&api, "/v1/screenings/opposition?professional=other").await,
            opposition
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_list_or_nobodys_is_a_problem_and_operators_alone_may() {
        let api = Api::new(tuesday);
        for (path, status, field) in [
            ("/v1/screenings/refusals", 404, json!("list")),
            ("/v1/screenings/bloctel?professional=nobody", 422, json!("professional")),
            ("/v1/screenings/bloctel?wrong=1", 400, Value::Null),
        ] {
            for method in [Method::GET, Method::POST] {
                let (answered, lines) = api.ask(method.clone(), path, "", "0612345678\n").await;
                assert_eq!((answered, &lines[0]["field"]), (status, &field), "{method} {path}");
            }
        }
        for (token, status) in [("", 401), ("monitor", 403), ("caller of acme", 403), ("operator", 200)] {
            let path = "/v1/screenings/opposition";
            assert_eq!(
                api.status(Access::Network, token, Method::GET, path).await,
                status,
                "{token}"
            );
            if status != 200 {
                assert_eq!(
                    api.status(Access::Network, token, Method::POST, path).await,
                    status,
                    "{token}"
                );
            }
        }
    }
}

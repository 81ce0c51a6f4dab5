//! `GET /openapi.json`: the API as OpenAPI 3.1 says it, made from the handlers and the types themselves.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::access::Need;
use super::routes::{self, Context};
use super::{Imported, Problem, RejectedLine, batch, evidence, screening, suspension, upload};

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", security((), ("token" = [])),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = "4XX", description = "Not allowed", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn openapi(
    Shared(context): Shared<Context>,
    headers: HeaderMap,
) -> Result<Json<utoipa::openapi::OpenApi>, Problem> {
    context.authorise(&headers, Need::Description)?;
    Ok(Json(Described::openapi()))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "clapet", description = "Who may call whom: decisions, and what an operator does with a running server."),
    paths(
        routes::healthz,
        routes::readyz,
        routes::metrics,
        openapi,
        routes::decisions,
        batch::decisions_batch,
        upload::imports,
        screening::get,
        screening::post,
        suspension::get,
        suspension::put,
        suspension::delete,
        routes::forget,
        routes::reload,
        evidence::checkpoint,
    ),
    components(schemas(Imported, RejectedLine)),
    modifiers(&Tokens),
)]
struct Described;

/// The bearer token. On the Unix socket none is asked for.
struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", bearer);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::to_value(Described::openapi()).unwrap()
    }

    /// The routes as they are written, so that a new one cannot be left out.
    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let written = include_str!("routes.rs").split(".route(").skip(1);
        let written: BTreeSet<&str> = written.filter_map(|rest| rest.split('"').nth(1)).collect();
        assert!(written.len() > 8, "{written:?}");
        let document = document();
        let described = document["paths"].as_object().unwrap();
        let described: BTreeSet<&str> = described.keys().map(String::as_str).collect();
        assert_eq!(written, described);
    }

    #[test]
    fn it_is_openapi_3_1_and_each_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        found.push(to.clone());
                    }
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.iter().any(|to| to.ends_with("/Problem")), "{found:?}");
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
    }

    #[test]
    fn an_operators_requests_need_a_token_and_a_decision_may_do_without() {
        let document = document();
        for (path, method, open) in [
            ("/healthz", "get", true),
            ("/v1/decisions", "post", true),
            ("/v1/decisions/batch", "post", true),
            ("/v1/reload", "post", false),
            ("/v1/imports/{kind}", "post", false),
            ("/v1/suspensions/{what}/{id}", "put", false),
            ("/v1/suspensions/{what}/{id}", "delete", false),
        ] {
            let security = document["paths"][path][method]["security"].as_array().unwrap();
            assert_eq!(security.contains(&serde_json::json!({})), open, "{method} {path}");
        }
    }
}

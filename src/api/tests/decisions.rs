//! Questions and their answers.

use super::*;

#[tokio::test]
async fn a_decision_has_the_contracts_members() {
    let api = ready();
    let question = json!({ "from": "+33162001234", "to": "06 99 99 99 99" });
    let (status, answer) = api.decide(question).await;
    let allowed = json!({
        "verdict": "allow", "reason": null, "reasons": [], "attempts_left": 4, "next_allowed": null, "regime": "fr-2026-01"
    });
    assert_eq!((status, answer), (StatusCode::OK, allowed));
    let question = json!({ "from": "+33162001234", "to": "0612345678", "professional": "acme", "source": "bpo-lyon" });
    let (status, answer) = api.decide(question).await;
    let refused = json!({
        "verdict": "refuse", "reason": "frequency.exhausted", "reasons": ["frequency.exhausted"], "attempts_left": 0,
        "next_allowed": "2026-04-01T10:00:00+02:00", "regime": "fr-2026-01"
    });
    assert_eq!((status, answer), (StatusCode::OK, refused));
}

#[tokio::test]
async fn a_decision_is_taken_at_the_moment_asked_for() {
    let api = ready();
    let question = json!({ "from": "0162001234", "to": "0699999999", "at": "2026-03-14T10:30:00+01:00" });
    let (_, answer) = api.decide(question).await;
    assert_eq!(answer["reason"], "hours.day");
    assert_eq!(answer["next_allowed"], "2026-03-16T10:00:00+01:00");
}

#[tokio::test]
async fn hidden_callers_and_emergency_services_can_be_asked_about() {
    let api = ready();
    let (_, answer) = api.decide(json!({ "from": "anonymous", "to": "0699999999" })).await;
    assert_eq!(answer["reason"], "caller-id.masked");
    for to in ["112", "urn:service:sos"] {
        let (_, answer) = api.decide(json!({ "from": "0162001234", "to": to })).await;
        assert_eq!(
            (&answer["verdict"], &answer["reason"]),
            (&json!("allow"), &json!("exempt.emergency"))
        );
    }
}

/// What is asked, the status, and the field that is named.
#[tokio::test]
async fn a_bad_question_gets_a_problem_document_that_names_the_field() {
    let api = ready();
    for (question, status, field) in [
        (json!({ "to": "0612345678" }), 422, json!("from")),
        (json!({ "from": "0162001234" }), 422, json!("to")),
        (json!({ "from": "0162001234", "to": "hello" }), 422, json!("to")),
        (
            json!({ "from": 33_162_001_234_u64, "to": "0612345678" }),
            422,
            json!("from"),
        ),
        (
            json!({ "from": "0162001234", "to": "0612345678", "at": "tomorrow" }),
            422,
            json!("at"),
        ),
        (
            json!({ "from": "0162001234", "to": "0612345678", "at": "9999-01-01T00:00:00Z" }),
            422,
            json!("at"),
        ),
        (
            json!({ "from": "0162001234", "to": "0612345678", "professional": "x" }),
            422,
            json!("professional"),
        ),
        (
            json!({ "from": "0162001234", "to": "0612345678", "source": "x" }),
            422,
            json!("source"),
        ),
        (
            json!({ "from": "0162001234", "to": "0612345678", "why": "x" }),
            422,
            json!("why"),
        ),
        (json!(["0162001234", "0612345678"]), 400, Value::Null),
        (
            json!({ "from": "1".repeat(20_000), "to": "0612345678" }),
            413,
            Value::Null,
        ),
    ] {
        let (answered, problem) = api.decide(question.clone()).await;
        assert_eq!(answered.as_u16(), status, "{question}: {problem}");
        assert_eq!(
            (&problem["status"], &problem["field"]),
            (&json!(status), &field),
            "{problem}"
        );
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
    }
    let request = Request::post("/v1/decisions").body(Body::from("{}")).unwrap();
    let response = api.send(Access::Loopback, request).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
}

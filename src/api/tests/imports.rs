//! Imports: what is loaded, and what comes back.

use super::*;

/// The lines of an import's answer.
async fn import(api: &Api, path: &str, body: &str) -> (StatusCode, Vec<Value>) {
    let request = Request::post(path).body(Body::from(body.to_owned())).unwrap();
    let (status, text) = text(api.send(Access::Local, request).await).await;
    (
        status,
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_loads_the_good_lines_and_sends_the_bad_ones_back() {
    let api = ready();
    let file = "number,professional,at,channel\n0612345678,acme,2026-03-01T10:00:00+01:00,phone\nnobody,acme,2026-03-01T10:00:00Z,phone\n";
    let (status, lines) = import(&api, "/v1/imports/refusals", file).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&lines[0]["new"], &lines[0]["rejected"], &lines[0]["empty"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!((lines.len(), &lines[1]["line"]), (2, &json!(3)));
    assert!(lines[1]["text"].as_str().unwrap().starts_with("nobody"));
    assert!(matches!(
        api.ledger.recorded.lock().unwrap()[..],
        [Entry::Refusal { .. }]
    ));
    assert_eq!(
        std::fs::read_dir(&api.backend.store).unwrap().count(),
        0,
        "uploads leave nothing behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screening_comes_as_what_was_sent_and_then_what_came_back() {
    let api = ready();
    let (sent, back) = ("0612345678\n0612345679\n", "0612345678\n");
    let path = format!("/v1/imports/bloctel?professional=acme&submitted={}", sent.len());
    let (status, lines) = import(&api, &path, &format!("{sent}{back}")).await;
    assert_eq!(status, StatusCode::OK, "{lines:?}");
    let held = |number| api.backend.screening.holds(E164::new(number).unwrap());
    assert!(held(33_612_345_679)[0].opposed && !held(33_612_345_678)[0].opposed);
    // Nothing came back: most likely the wrong file.
    let path = format!("/v1/imports/bloctel?professional=acme&submitted={}", sent.len());
    let (status, lines) = import(&api, &path, sent).await;
    assert_eq!((status.as_u16(), &lines[0]["field"]), (422, &json!("force")));
    assert_eq!(
        import(&api, &format!("{path}&force=true"), sent).await.0,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_ranges_are_in_force_at_once() {
    let api = ready();
    let file = "first,last,professional,from,until\n+33162002000,+33162002999,acme,2026-01-01,\n";
    assert_eq!(import(&api, "/v1/imports/numbers", file).await.0, StatusCode::OK);
    assert_eq!(api.host.rebuilt.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_cannot_be_read_are_problems() {
    let api = ready();
    for (path, body, status, field) in [
        ("/v1/imports/calls", "", 422, json!("kind")),
        (
            "/v1/imports/refusals?professional=nobody",
            "number\n",
            422,
            json!("professional"),
        ),
        ("/v1/imports/refusals?wrong=1", "", 400, Value::Null),
        (
            "/v1/imports/bloctel?submitted=100",
            "0612345678\n",
            422,
            json!("submitted"),
        ),
        ("/v1/imports/refusals", "number,when\n", 422, Value::Null),
    ] {
        let (answered, lines) = import(&api, path, body).await;
        assert_eq!(
            (answered.as_u16(), &lines[0]["field"]),
            (status, &field),
            "{path}: {lines:?}"
        );
    }
}

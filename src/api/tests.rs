//! The routes against a ledger made for the test: what is answered, by whom it may be asked, and what is said of a bad request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use chrono::NaiveDate;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use super::*;
use crate::config::Config;
use crate::ledger::{
    self, AttemptId, AttemptMeta, DecisionNote, Entry, Forgotten, History, Key, Outcome, Recorded, ReserveIf, Reserved,
    Standing, StoreError,
};
use crate::numbering::E164;
use crate::screening::{List, Snapshot};

/// A Tuesday at half past ten in Paris, under the regime of the decree.
const NOW: &str = "2026-03-10T09:30:00Z";

/// Knows four attempts on one number, records what it is given, forgets.
#[derive(Default)]
struct Fake {
    recorded: Mutex<Vec<Entry>>,
}

impl Fake {
    const CALLED_FOUR_TIMES: u64 = 33_612_345_678;
}

impl Ledger for Fake {
    fn history(&self, key: Key) -> ledger::Answer<Result<History, StoreError>> {
        let mut history = History::default();
        if key.callee.get() == Self::CALLED_FOUR_TIMES {
            history.attempts = (2..6)
                .map(|day| {
                    NaiveDate::from_ymd_opt(2026, 3, day)
                        .unwrap()
                        .and_hms_opt(9, 0, 0)
                        .unwrap()
                        .and_utc()
                })
                .collect();
        }
        ledger::Answer::Ready(Ok(history))
    }

    fn reserve(&self, _ask: ReserveIf) -> ledger::Answer<Result<Reserved, StoreError>> {
        panic!("the API reserves nothing");
    }

    fn settle(&self, _key: Key, _id: AttemptId, _outcome: Outcome, _at: DateTime<Utc>) {}

    fn record(&self, entries: Vec<Entry>) -> ledger::Answer<Result<Recorded, StoreError>> {
        let new = entries.len() as u64;
        self.recorded.lock().unwrap().extend(entries);
        ledger::Answer::Ready(Ok(Recorded { new, known: 0 }))
    }

    fn note_decision(&self, _decision: DecisionNote) {}

    fn recover(&self, _key: Key, _at: DateTime<Utc>, _meta: AttemptMeta) {}

    fn forget(&self, _number: E164, _at: DateTime<Utc>) -> ledger::Answer<Result<Forgotten, StoreError>> {
        ledger::Answer::Ready(Ok(Forgotten {
            erased: 5,
            kept: Vec::new(),
        }))
    }

    fn standing(&self) -> Standing {
        Standing::default()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn records(&self) -> u64 {
        7
    }

    fn lag(&self) -> u64 {
        3
    }

    fn close(&self) -> ledger::Answer<Result<(), StoreError>> {
        ledger::Answer::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Process {
    ready: bool,
    bad_file: bool,
    rebuilt: AtomicUsize,
}

impl Host for Process {
    fn state(&self) -> State {
        State {
            ready: self.ready,
            draining: !self.ready,
            trunks: vec![TrunkState {
                id: "carrier-a".to_owned(),
                up: true,
            }],
            ..State::default()
        }
    }

    fn tokens(&self) -> Arc<[Token]> {
        let token = |secret: &str, role, professional: Option<&str>, source: Option<&str>| Token {
            name: Arc::from(secret),
            sha256: Sha256::digest(secret).into(),
            role,
            professional: professional.map(Arc::from),
            source: source.map(Arc::from),
        };
        [
            token("operator", Role::Operator, None, None),
            token("caller", Role::Caller, Some("acme"), Some("bpo-lyon")),
            token("monitor", Role::Monitor, None, None),
        ]
        .into()
    }

    fn reload(&self) -> Result<Vec<String>, String> {
        if self.bad_file {
            Err("clapet.toml:3: sip.drain: expected a duration".to_owned())
        } else {
            Ok(vec!["a warning".to_owned()])
        }
    }

    fn standing_changed(&self) -> Result<(), String> {
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct Api {
    backend: Arc<Backend>,
    ledger: Arc<Fake>,
    host: Arc<Process>,
    _store: tempfile::TempDir,
}

fn api(host: Process) -> Api {
    let store = tempfile::tempdir().unwrap();
    let (ledger, host) = (Arc::new(Fake::default()), Arc::new(host));
    let screening = Arc::new(Screening::in_memory());
    let metrics = Arc::new(Metrics::new().unwrap());
    let policy = Config::embedded().policy(&Standing::default()).unwrap();
    let gate = Gate::new(
        policy,
        Arc::<Fake>::clone(&ledger),
        Arc::clone(&screening),
        Arc::clone(&metrics),
    );
    let backend = Arc::new(Backend {
        gate,
        ledger: Arc::<Fake>::clone(&ledger),
        screening,
        metrics,
        host: Arc::<Process>::clone(&host),
        store: store.path().to_owned(),
        clock: || NOW.parse().unwrap(),
    });
    Api {
        backend,
        ledger,
        host,
        _store: store,
    }
}

fn ready() -> Api {
    api(Process {
        ready: true,
        ..Process::default()
    })
}

impl Api {
    async fn send(&self, access: Access, request: Request<Body>) -> Response<Body> {
        let router = router(Arc::clone(&self.backend), access);
        router.oneshot(request).await.unwrap()
    }

    async fn get(&self, access: Access, path: &str, token: &str) -> (StatusCode, String) {
        let mut request = Request::get(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        text(self.send(access, request.body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, access: Access, path: &str, token: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let (status, body) = text(self.send(access, request.body(body.into()).unwrap()).await).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn decide(&self, question: Value) -> (StatusCode, Value) {
        self.post(Access::Loopback, "/v1/decisions", "", question.to_string())
            .await
    }
}

async fn text(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn health_is_open_to_anybody_and_readiness_says_what_is_wrong() {
    let ready = ready();
    for access in [Access::Local, Access::Loopback, Access::Network] {
        assert_eq!(
            ready.get(access, "/healthz", "").await,
            (StatusCode::OK, "ok\n".to_owned())
        );
        let (status, body) = ready.get(access, "/readyz", "").await;
        assert_eq!(status, StatusCode::OK);
        let state: State = serde_json::from_str(&body).unwrap();
        assert!(state.ready && state.trunks[0].up);
    }
    let (status, body) = api(Process::default()).get(Access::Network, "/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("\"draining\":true"), "{body}");
}

#[tokio::test]
async fn metrics_are_brought_up_to_date_by_the_scrape() {
    let api = ready();
    let day = NaiveDate::from_ymd_opt(2026, 3, 9).unwrap();
    let opposed = vec![E164::new(33_612_000_000).unwrap()];
    let siren = ledger::Siren(552_100_554);
    api.backend
        .screening
        .load(List::Bloctel, Some(siren), day, Snapshot::Plain { opposed })
        .unwrap();
    let (status, text) = api.get(Access::Loopback, "/metrics", "").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "clapet_ledger_records 7",
        "clapet_journal_lag_records 3",
        "clapet_list_numbers{list=\"bloctel/552100554\"} 1",
        "clapet_list_age_seconds{list=\"bloctel/552100554\"} 120600",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

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

#[tokio::test]
async fn what_is_not_there_is_a_problem_document_too() {
    let api = ready();
    assert_eq!(api.post(Access::Local, "/v1/nothing", "", "{}").await.1["status"], 404);
    assert_eq!(
        api.get(Access::Local, "/v1/decisions", "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn beyond_loopback_everything_but_health_needs_a_token() {
    let api = ready();
    let question = json!({ "from": "0162001234", "to": "0699999999" }).to_string();
    let decide = |token: &'static str, question: String| api.post(Access::Network, "/v1/decisions", token, question);
    let (status, problem) = decide("", question.clone()).await;
    assert_eq!((status, &problem["status"]), (StatusCode::UNAUTHORIZED, &json!(401)));
    assert_eq!(decide("wrong", question.clone()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(decide("monitor", question.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(decide("operator", question.clone()).await.0, StatusCode::OK);
    assert_eq!(decide("caller", question).await.0, StatusCode::OK);
    assert_eq!(
        api.get(Access::Network, "/metrics", "").await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.get(Access::Network, "/metrics", "monitor").await.0, StatusCode::OK);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(
        api.send(Access::Network, request).await.headers()[header::WWW_AUTHENTICATE],
        "Bearer"
    );
}

#[tokio::test]
async fn a_bound_token_asks_for_its_own_professional_and_source_only() {
    let api = ready();
    let ask = |source: &str| json!({ "from": "0162001234", "to": "0699999999", "source": source }).to_string();
    let (status, problem) = api.post(Access::Network, "/v1/decisions", "caller", ask("other")).await;
    assert_eq!((status, &problem["field"]), (StatusCode::FORBIDDEN, &json!("source")));
    assert_eq!(
        api.post(Access::Network, "/v1/decisions", "caller", ask("bpo-lyon"))
            .await
            .0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn operating_needs_the_unix_socket_or_an_operators_token() {
    let api = ready();
    for (access, token, expected) in [
        (Access::Local, "", StatusCode::OK),
        (Access::Loopback, "", StatusCode::UNAUTHORIZED),
        (Access::Loopback, "caller", StatusCode::FORBIDDEN),
        (Access::Network, "operator", StatusCode::OK),
    ] {
        assert_eq!(api.post(access, "/v1/reload", token, "").await.0, expected);
        let number = json!({ "number": "0612345678" }).to_string();
        assert_eq!(api.post(access, "/v1/forget", token, number).await.0, expected);
        let import = api.post(access, "/v1/imports/opposition", token, "0612345678\n").await;
        assert_eq!(import.0, expected);
    }
}

#[tokio::test]
async fn a_reload_says_its_warnings_or_why_nothing_changed() {
    let (status, answer) = ready().post(Access::Local, "/v1/reload", "", "").await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "warnings": ["a warning"] })));
    let bad = api(Process {
        bad_file: true,
        ..Process::default()
    });
    let (status, problem) = bad.post(Access::Local, "/v1/reload", "", "").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("clapet.toml:3: sip.drain"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_says_what_was_erased_and_what_lists_keep() {
    let api = ready();
    let day = NaiveDate::from_ymd_opt(2026, 3, 9).unwrap();
    let opposed = vec![E164::new(33_612_345_678).unwrap()];
    let snapshot = Snapshot::Plain { opposed };
    api.backend
        .screening
        .load(List::Opposition, None, day, snapshot)
        .unwrap();
    let body = json!({ "number": "06 12 34 56 78" }).to_string();
    let (status, answer) = api.post(Access::Local, "/v1/forget", "", body).await;
    assert_eq!(
        (status, &answer["erased"], &answer["kept"][0][0]),
        (StatusCode::OK, &json!(5), &json!(1))
    );
    for number in ["112", "nobody"] {
        let body = json!({ "number": number }).to_string();
        let (status, problem) = api.post(Access::Local, "/v1/forget", "", body).await;
        assert_eq!((status.as_u16(), &problem["field"]), (422, &json!("number")));
    }
}

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

#[tokio::test]
async fn the_unix_socket_is_for_this_user_alone_and_answers() {
    use std::os::unix::fs::PermissionsExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let api = ready();
    let path = api.backend.store.join("clapet.sock");
    std::fs::write(&path, "left behind").unwrap();
    let listener = bind_unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = router(Arc::clone(&api.backend), Access::Local);
    let served = tokio::spawn(serve_unix(listener, router, async { drop(stopped.await) }));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: clapet\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"),
        "{answer}"
    );
    stop.send(()).unwrap();
    served.await.unwrap();
}

#[tokio::test]
async fn a_request_with_headers_beyond_the_bound_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let api = ready();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(&api.backend), Access::Loopback);
    let served = tokio::spawn(serve_tcp(listener, router, std::future::pending()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers = (0..100).fold(String::new(), |text, n| text + &format!("X-{n}: y\r\n"));
    let request = format!("GET /healthz HTTP/1.1\r\nHost: clapet\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    served.abort();
}

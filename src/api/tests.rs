//! The routes against a ledger made for the test: what is answered, by whom it may be asked, and what is said of a bad request.

mod access;
mod decisions;
mod imports;

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
async fn what_is_not_there_is_a_problem_document_too() {
    let api = ready();
    assert_eq!(api.post(Access::Local, "/v1/nothing", "", "{}").await.1["status"], 404);
    assert_eq!(
        api.get(Access::Local, "/v1/decisions", "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
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

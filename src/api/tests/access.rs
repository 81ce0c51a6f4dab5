//! Who may ask, and by which way.

use super::*;

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

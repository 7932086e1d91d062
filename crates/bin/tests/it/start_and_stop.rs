//! The greeting, the logs, and the signals.

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Body, Server, TOKEN, eventually};

#[tokio::test]
async fn without_any_setting_it_prints_where_it_is_a_token_and_a_call_that_works() {
    let server = Server::with(&[("SECRET_KEY", ""), ("EMBEDDED_READY_AFTER", ""), ("REQUESTS_PER_SECOND", ""), ("LOG_LEVEL", "")]);
    let token = server.greeted("Token");
    assert_eq!(token.len(), 32, "{token}");
    assert!(server.url().starts_with("http://127.0.0.1:"), "{}", server.url());

    let call = server.greeted("Try");
    assert!(call.starts_with(&format!("curl -X POST {}/api/v1/deployments ", server.url())), "{call}");
    assert!(call.contains(&format!("-H \"Authorization: Bearer {token}\"")), "{call}");
    let body: Value = serde_json::from_str(call.split('\'').nth(1).unwrap()).unwrap();
    let answer = server.send(server.anonymous(Method::POST, "/api/v1/deployments").bearer_auth(&token).json(&body)).await.expect(200);
    assert_eq!(answer.text_at("/details/release_name"), "dbt-server-test-project-main");
    assert!(!server.logs().contains(&token));
}

#[tokio::test]
async fn a_token_that_was_chosen_is_not_printed() {
    let server = Server::start();
    assert!(!server.greeting().contains(TOKEN));
    assert_eq!(server.greeted("Token"), "<your SECRET_KEY>");
    server.get("/api/v1/deployments").await.expect(200);
}

#[tokio::test]
async fn both_tokens_of_a_rotation_are_taken() {
    let server = Server::with(&[("SECRET_KEY_PREVIOUS", "CANARY-the-key-before-that-one")]);
    for (token, status) in [(TOKEN, 200), ("CANARY-the-key-before-that-one", 200), ("CANARY-any-other-key", 401)] {
        server.send(server.anonymous(Method::GET, "/api/v1/deployments").bearer_auth(token)).await.expect(status);
    }
}

#[tokio::test]
async fn a_short_token_is_warned_of() {
    let server = Server::with(&[("SECRET_KEY", "your-secret-key")]);
    eventually("a warning", async || server.logs().contains("shorter than 16").then_some(())).await;
}

#[tokio::test]
async fn a_line_about_an_operation_carries_request_operation_and_release() {
    let server = Server::start();
    let request = server.request(Method::POST, "/api/v1/deployments").header("X-Request-Id", "a-request-of-the-tests");
    let answer = server.send(request.json(Body::of("logged", "main").json())).await.expect(200);
    let (operation, release) = (answer.text_at("/details/operation_id"), answer.text_at("/details/release_name"));
    let fields = [("request.id", "a-request-of-the-tests"), ("operation.id", &operation), ("release.name", &release)];
    let has_all = |line: &Value| fields.iter().all(|(field, value)| line[field] == **value) && line["message"].is_string();
    eventually("a line with all three", async || server.log_lines().iter().any(has_all).then_some(())).await;
}

/// The lines of the audit, once there are as many. What a process wrote before it answered is read after the answer, now and then.
async fn audit_lines(server: &Server, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines of the audit"), async || {
        let lines: Vec<_> = server.log_lines().into_iter().filter(|line| line["target"] == "audit").collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

/// Who did what is told at every level.
#[tokio::test]
async fn the_audit_tells_of_each_mutation_and_its_outcome() {
    let server = Server::with(&[("LOG_LEVEL", "error"), ("PULL_ERROR_WINDOW", "100ms")]);
    let request = server.request(Method::POST, "/api/v1/deployments").header("X-Request-Id", "request-of-the-audit");
    let answer = server.send(request.json(Body::of("audited", "main").json())).await.expect(200);
    let (operation, release) = (answer.text_at("/details/operation_id"), answer.text_at("/details/release_name"));
    let failed =
        server.send(server.request(Method::POST, "/api/v1/deployments").json(Body::of("audited", "other").with("tag", "missing-1").json()));
    drop(failed.await.expect(500));
    let lines = audit_lines(&server, 4).await;
    let told: Vec<_> = lines.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!(told, ["accepted", "succeeded", "accepted", "failed"]);
    for line in &lines[..2] {
        let fields = ["actor", "kind", "release.name", "request.id", "operation.id"].map(|field| line[field].as_str().unwrap());
        assert_eq!(fields, ["current", "deploy", &release, "request-of-the-audit", &operation], "{line}");
    }
    assert_eq!(lines[3]["code"], "image_pull_failed", "{}", lines[3]);
}

#[tokio::test]
async fn the_audit_tells_of_every_kind_of_mutation_and_of_who_joined_it() {
    // Long enough for the second request to find the first one's operation, and the delete the third one's.
    let server = Server::with(&[("LOG_LEVEL", "error"), ("EMBEDDED_READY_AFTER", "1s")]);
    let post = |id: &'static str, tag: &str| {
        let request = server.request(Method::POST, "/api/v1/deployments").header("X-Request-Id", id);
        server.send(request.json(Body::of("audited", "main").with("tag", tag).json()))
    };
    let (first, second) = tokio::join!(post("first", "1.0.0"), post("second", "1.0.0"));
    let release = first.expect(200).text_at("/details/release_name");
    drop(second.expect(200));
    let path = format!("/api/v1/deployments/{release}");
    for action in ["suspend", "resume"] {
        drop(server.send(server.request(Method::POST, &format!("{path}/{action}"))).await.expect(200));
    }
    let running = async {
        eventually("a running deploy", async || {
            let operations = server.get("/api/v1/operations").await.expect(200).json();
            operations.as_array().unwrap().iter().any(|operation| operation["state"] == "running").then_some(())
        })
        .await;
        drop(server.send(server.request(Method::DELETE, &path)).await.expect(200));
    };
    let (cancelled, ()) = tokio::join!(post("third", "missing-1"), running);
    drop(cancelled.expect(409));

    let lines = audit_lines(&server, 11).await;
    let mut told: Vec<_> = lines.iter().map(|line| format!("{} {}", line["kind"], line["result"]).replace('"', "")).collect();
    // Two that come at once each tell of it when they know, as do the delete and the deploy that it stops.
    told[..2].sort_unstable();
    told[7..].sort_unstable();
    let expected = [
        "deploy accepted",
        "deploy joined",
        "deploy succeeded",
        "suspend accepted",
        "suspend succeeded",
        "resume accepted",
        "resume succeeded",
        "delete accepted",
        "delete succeeded",
        "deploy accepted",
        "deploy failed",
    ];
    assert_eq!(told, expected);
    assert_eq!(lines[0]["operation.id"], lines[1]["operation.id"]);
    assert_ne!(lines[0]["request.id"], lines[1]["request.id"]);
}

#[tokio::test]
async fn in_development_logs_are_for_people() {
    let server = Server::with(&[("FLASK_ENV", "development")]);
    let line = eventually("a line", async || server.logs().lines().find(|line| line.contains("listens")).map(str::to_owned)).await;
    assert!(serde_json::from_str::<Value>(&line).is_err() && line.contains("INFO"), "{line}");
}

#[tokio::test]
async fn an_idle_service_ends_well_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        server.get("/api/v1/deployments").await.expect(200);
        server.signal(signal);
        assert_eq!(server.exit_code().await, Some(0), "{signal}: {}", server.logs());
        assert!(server.logs().contains(&format!("SIG{signal}")), "{}", server.logs());
    }
}

#[tokio::test]
async fn on_sigterm_an_operation_gets_its_grace_and_its_caller_an_answer() {
    let mut server = Server::with(&[("EMBEDDED_READY_AFTER", "1h"), ("SHUTDOWN_GRACE", "500ms")]);
    let body = Body::of("slow", "main");
    let deploy = async {
        let answer = server.deploy(&body).await.expect(503);
        assert_eq!(answer.text_at("/details/code"), "shutting_down");
        assert_eq!(answer.text_at("/status"), "error");
        answer.text_at("/details/operation_id")
    };
    let stop = async {
        let operation = server.operation_in("ready").await;
        server.signal("TERM");
        server.not_ready().await;
        operation["id"].as_str().unwrap().to_owned()
    };
    let (answered, running) = tokio::join!(deploy, stop);
    assert_eq!(answered, running);
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_operation_that_ends_within_the_grace_ends_well() {
    let mut server = Server::with(&[("EMBEDDED_READY_AFTER", "2s")]);
    let body = Body::of("quick-enough", "main");
    let deploy = async { server.deploy(&body).await.expect(200) };
    let stop = async {
        server.operation_in("ready").await;
        server.signal("TERM");
        server.not_ready().await;
        assert_eq!(server.deploy(&Body::of("too-late", "main")).await.expect(503).text_at("/details/code"), "shutting_down");
    };
    tokio::join!(deploy, stop);
    assert_eq!(server.exit_code().await, Some(0));
    assert!(server.logs().contains("service: is stopping (not_ready)"), "{}", server.logs());
}

#[tokio::test]
async fn the_log_tells_why_a_request_was_refused() {
    let server = Server::with(&[("CORS_ORIGINS", "https://good.example")]);
    let preflight = server.anonymous(Method::OPTIONS, "/api/v1/operations").header("Access-Control-Request-Method", "GET");
    server.send(preflight.header("Origin", "https://other.example")).await.expect(400);
    server.send(server.anonymous(Method::GET, "/api/v1/operations")).await.expect(401);
    server.send(server.anonymous(Method::GET, "/api/v1/operations").bearer_auth("another-token")).await.expect(401);
    server.send(server.request(Method::PUT, "/api/v1/operations")).await.expect(405);
    server.get("/api/v1/nothing").await.expect(404);
    server.get("/api/v1/operations/nothing").await.expect(404);
    for reason in [
        "Origin is not allowed",
        "a bearer token is needed",
        "the bearer token is not valid",
        "PUT is not a method of",
        "no route has this path",
        "nothing not found",
    ] {
        eventually(reason, async || server.logs().contains(reason).then_some(())).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut server = Server::with(&[("EMBEDDED_READY_AFTER", "1h"), ("SHUTDOWN_GRACE", "1h")]);
    server
        .send(server.request(Method::POST, "/api/v1/deployments").header("Prefer", "respond-async").json(Body::of("slow", "main").json()))
        .await
        .expect(202);
    server.operation_in("ready").await;
    server.signal("TERM");
    eventually("the first signal to be heard", async || server.logs().contains("SIGTERM").then_some(())).await;
    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(1));
}

#[tokio::test]
async fn an_open_event_stream_does_not_hold_up_the_end() {
    let mut server = Server::with(&[("EMBEDDED_READY_AFTER", "1h"), ("SHUTDOWN_GRACE", "0")]);
    let request =
        server.request(Method::POST, "/api/v1/deployments").header("Prefer", "respond-async").json(Body::of("slow", "main").json());
    let location = server.send(request).await.expect(202).header("location").to_owned();
    let mut stream = server.request(Method::GET, &format!("{location}/events")).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream.chunk().await.unwrap().expect("a first event");
    server.signal("TERM");
    // The stream ends, by its last event or by its connection.
    while let Ok(Some(_)) = stream.chunk().await {}
    assert_eq!(server.exit_code().await, Some(0));
    assert!(!server.logs().contains("were cut"), "{}", server.logs());
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hold_up_the_end() {
    let mut server = Server::with(&[("SHUTDOWN_GRACE", "0")]);
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/v1/deployments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // That the body is asked for shows that the request is being answered. Another connection would show nothing of this one's thread.
    stream.read_exact(&mut [0; 12]).await.unwrap();
    let began = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "the promised time is 5 s: {:?}", began.elapsed());
    assert!(server.logs().contains("were cut"), "{}", server.logs());
}

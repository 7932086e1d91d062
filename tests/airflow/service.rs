//! The whole service on a real Airflow, with a cluster in memory.

use std::time::Duration;

use base64::Engine as _;
use dbt_controller_tests::airflow::{Server, admin, api, tables};
use dbt_controller_tests::{Action, At, Fault, Plan, Proxy, Script, Service, Step, Upstream, until, until_within};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const DEPLOYMENTS: &str = "/api/v1/deployments";
const OPERATIONS: &str = "/api/v1/operations";
const PASSWORD: &str = "p:a'ss \"w%ord é 0123456789";

/// A service that works with this Airflow.
async fn service(airflow: &Server, more: &[(&str, &str)]) -> Service {
    let (user, password) = admin();
    let settings =
        [("AIRFLOW_URL", airflow.url.as_str()), ("AIRFLOW_USER", &user), ("AIRFLOW_PASSWORD", &password), ("LOG_LEVEL", "trace")];
    Service::start_with(&["--embedded"], &[&settings, more].concat()).await
}

fn body(project: &str, user: &str) -> Value {
    json!({ "project_name": project, "git_branch": "main", "basic_auth_user": user, "basic_auth_password": PASSWORD })
}

fn release(project: &str) -> String {
    format!("{DEPLOYMENTS}/dbt-server-{project}-main")
}

/// No log of the service tells a password, its own for Airflow included.
#[track_caller]
fn assert_discreet(service: &Service) {
    let logs = service.logs();
    assert!(logs.lines().count() > 3, "{logs}");
    let (user, password) = admin();
    for (user, password) in [(user.as_str(), password.as_str()), ("first", PASSWORD), ("second", PASSWORD)] {
        assert!(!tells(&logs, user, password), "{logs}");
    }
}

/// Whether a log tells a password, however it is quoted, or encoded for basic authentication.
fn tells(logs: &str, user: &str, password: &str) -> bool {
    // Quotes, backslashes and letters outside ASCII may be escaped, and what escapes them again.
    let parts = password.split(|c: char| !c.is_ascii() || c == '"' || c == '\'' || c == '\\');
    let part = parts.max_by_key(|part| part.len()).unwrap();
    assert!(part.len() >= 6, "too short to tell");
    logs.contains(part) || logs.contains(basic(user, password).trim_end_matches('='))
}

#[test]
fn a_password_in_a_log_is_told() {
    let (user, password) = admin();
    for (user, password) in [(user.as_str(), password.as_str()), ("first", PASSWORD)] {
        let header = format!("Basic {}", basic(user, password));
        for leak in [password.to_owned(), format!("{password:?}"), password.escape_default().to_string(), header] {
            let line = json!({ "message": "a line", "value": leak }).to_string();
            assert!(tells(&line, user, password), "{line}");
        }
        assert!(!tells(&json!({ "message": "a line", "value": format!("Basic {}", basic(user, "***")) }).to_string(), user, password));
    }
}

#[tokio::test]
async fn a_deployment_is_registered_left_alone_changed_and_removed() {
    let airflow = Server::shared();
    // Nobody listens there: the proxies of the environment are not for Airflow.
    let nobody = "http://127.0.0.1:1";
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, nobody));
    let service = service(&airflow, &proxies).await;
    let id = "service_life_main";
    let deployed = service.post(DEPLOYMENTS, &body("service-life", "first")).await.expect(200).json();
    let connection = json!({ "id": id, "host": host("service-life"), "status": "created" });
    assert_eq!(deployed["details"]["airflow_connection"], connection);

    let row = tables::row(&airflow, id).await.unwrap();
    assert_eq!((&row["conn_type"], &row["host"], &row["login"]), (&json!("http"), &json!(host("service-life")), &json!("first")));
    assert_eq!(row["description"], "dbt-api-service-controller: release dbt-server-service-life-main in namespace dbt-server");
    assert_eq!((&row["port"], &row["schema"]), (&Value::Null, &json!("")));
    assert_eq!(tables::password(&airflow, id).await.as_deref(), Some(PASSWORD));

    // An equal POST leaves every byte of it, the encrypted ones included.
    let equal = service.post(DEPLOYMENTS, &body("service-life", "first")).await.expect(200).json();
    assert_eq!((&equal["details"]["unchanged"], &equal["details"]["airflow_connection"]["status"]), (&json!(true), &json!("updated")));
    assert_eq!(tables::row(&airflow, id).await.unwrap(), row);

    drop(service.post(DEPLOYMENTS, &body("service-life", "second")).await.expect(200));
    assert_eq!(tables::row(&airflow, id).await.unwrap()["login"], "second");
    // A slow reading is made behind the answer.
    until("the connection was read", async || {
        let shown = service.get(&release("service-life")).await.expect(200).json();
        (shown["airflow_connection"]["status"] == "registered").then_some(())
    })
    .await;

    let deleted = service.delete(&release("service-life")).await.expect(200).json();
    assert_eq!(deleted["details"]["airflow_connection"], json!({ "id": id, "status": "deleted", "error": null }));
    assert_eq!(tables::row(&airflow, id).await, None);
    assert_discreet(&service);
}

fn host(project: &str) -> String {
    format!("http://dbt-server-{project}-main.dbt-server.svc.cluster.local/invocations")
}

#[tokio::test]
async fn an_airflow_that_stops_before_the_connection_is_written_undoes_the_deployment() {
    let airflow = Server::start(&[]).await;
    let service = service(&airflow, &[("EMBEDDED_READY_AFTER", "5s"), ("UNDO_TIMEOUT", "20s")]).await;
    let body = body("service-stop", "first");
    let stop = async {
        until("it waits for the server", async || {
            let shown = service.get(OPERATIONS).await.expect(200).json();
            (shown[0]["phase"] == "ready").then_some(())
        })
        .await;
        airflow.stop().await
    };
    let (failed, again) = tokio::join!(service.post(DEPLOYMENTS, &body), stop);
    let failed = failed.expect(503).json();
    // Airflow was not reached, so nothing can have been written, and the undo is complete.
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("airflow_unavailable"), &json!("undone")), "{failed:#}");
    assert_eq!(failed["details"]["phase"], "connect", "{failed:#}");
    assert_eq!(service.get(DEPLOYMENTS).await.expect(200).json(), json!([]));
    // Nobody can begin without it either, and nothing is half done.
    let refused = service.post(DEPLOYMENTS, &body).await.expect(503).json();
    assert_eq!(refused["details"]["code"], "airflow_unavailable", "{refused:#}");

    let airflow = Server::start(&[&again[0], &again[1]]).await;
    assert_eq!(tables::row(&airflow, "service_stop_main").await, None);
    let deployed = service.post(DEPLOYMENTS, &body).await.expect(200).json();
    assert_eq!(deployed["details"]["airflow_connection"]["status"], "created", "{deployed:#}");
    assert_discreet(&service);
}

/// Every change of the connection is made, and none is answered: neither that of the deployment nor that of its undo.
#[tokio::test]
async fn a_change_whose_undo_hears_nothing_of_airflow_gets_its_old_login_back() {
    let airflow = Server::shared();
    let script = Script::new(Vec::new());
    let proxy = Proxy::to(Upstream::plain(&airflow.url), &script);
    let url = format!("http://{}", proxy.address());
    let service = service(&airflow, &[("AIRFLOW_URL", &url), ("UNDO_TIMEOUT", "20s")]).await;
    drop(service.post(DEPLOYMENTS, &body("service-undo", "first")).await.expect(200));
    let step = Step { label: "airflow: patch connections/service_undo_main".to_owned(), occurrence: 1 };
    script.arm(Some(Plan { at: At::Step(step), times: usize::MAX, action: Action::Fault(Fault::DropAnswer) }), service.process());
    let failed = service.post(DEPLOYMENTS, &body("service-undo", "second")).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "rollback_failed", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains("connection `service_undo_main` is not as it was before"), "{failed:#}");
    // As if the last change that was made were the deployment's. Whatever the background work pays meanwhile is not answered.
    let row = tables::row(&airflow, "service_undo_main").await.unwrap();
    tables::set_connection(
        &airflow,
        &json!({ "conn_id": "service_undo_main", "conn_type": "http", "host": row["host"], "login": "second",
        "password": "not the server's", "description": row["description"] }),
    )
    .await;
    assert!(script.disarm() >= 2);
    until_within(Duration::from_secs(60), "the old login is back", async || {
        let login = tables::row(&airflow, "service_undo_main").await.unwrap()["login"].clone();
        (login == "first").then_some(())
    })
    .await;
    assert_eq!(tables::password(&airflow, "service_undo_main").await.as_deref(), Some(PASSWORD));
    let shown = service.get(&release("service-undo")).await.expect(200).json();
    assert_eq!((&shown["server"]["phase"], &shown["revision"]), (&json!("ready"), &json!(3)), "{shown:#}");
    drop(service.delete(&release("service-undo")).await.expect(200));
    assert_discreet(&service);
}

#[tokio::test]
async fn a_connection_that_could_not_be_removed_is_removed_when_airflow_is_back() {
    let airflow = Server::start(&[]).await;
    let service = service(&airflow, &[]).await;
    drop(service.post(DEPLOYMENTS, &body("service-debt", "first")).await.expect(200));
    let again = airflow.stop().await;
    let deleted = service.delete(&release("service-debt")).await.expect(200).json();
    let connection = &deleted["details"]["airflow_connection"];
    assert_eq!((&connection["status"], &connection["id"]), (&json!("error"), &json!("service_debt_main")), "{deleted:#}");
    assert_eq!(service.get(DEPLOYMENTS).await.expect(200).json(), json!([]));

    let airflow = Server::start(&[&again[0], &again[1]]).await;
    until_within(Duration::from_secs(60), "the connection is gone", async || {
        tables::row(&airflow, "service_debt_main").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_sleeps_and_wakes_with_its_dags() {
    let airflow = Server::start(&[]).await;
    let (one, other) = ("daily_test_project_main", "weekly_test_project_main");
    api::pause(&airflow, one, false).await;
    api::pause(&airflow, other, true).await;
    let service = service(&airflow, &[("SLEEP_WITH_DAGS", "true"), ("DAGS_INTERVAL", "2s")]).await;
    drop(service.post(DEPLOYMENTS, &body("test-project", "first")).await.expect(200));
    let dags = json!([{ "id": one, "paused": false }, { "id": other, "paused": true }]);
    until("they are shown", async || {
        let shown = service.get(&release("test-project")).await.expect(200).json();
        (shown["dags"] == dags).then_some(())
    })
    .await;
    let refused = service.post(&format!("{}/suspend", release("test-project")), &json!({})).await.expect(409).json();
    assert_eq!(refused["details"]["code"], "dags_active", "{refused:#}");

    let in_phase = async |phase: &'static str| {
        until_within(Duration::from_secs(90), phase, async || {
            (service.get(&release("test-project")).await.expect(200).json()["server"]["phase"] == phase).then_some(())
        })
        .await;
    };
    api::pause(&airflow, one, true).await;
    in_phase("sleeping").await;
    // The one DAG wakes it, whatever the other one does.
    api::pause(&airflow, other, false).await;
    in_phase("ready").await;
}

#[tokio::test]
async fn a_task_of_airflow_calls_the_server_with_our_connection() {
    let airflow = Server::shared();
    let service = service(&airflow, &[]).await;
    // In ASCII: Python's HTTP client writes a login in Latin-1.
    let password = "p:a'ss \"w%ord\\ 0123456789";
    let mut body = body("service-task", "agent");
    body["basic_auth_password"] = password.into();
    drop(service.post(DEPLOYMENTS, &body).await.expect(200));
    // The task takes every server's name to this port; see `xtask/airflow/dags/task.py`.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let variables = json!({ "SERVER_PORT": listener.local_addr().unwrap().port().to_string() }).to_string();
    let stub = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "half a request");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nit runs").await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let task = ["tasks", "test", "--env-vars", &variables, "service_task_main", "invoke", "2026-01-01"];
    let told = airflow.airflow(&task).await;
    assert!(told.contains("Returned value was: it runs"), "{told}");
    let request = stub.await.unwrap();
    assert!(request.starts_with("POST /invocations HTTP/1.1\r\n"), "{request}");
    let mut headers = request.lines().filter_map(|line| line.split_once(": "));
    let login = headers.find_map(|(name, value)| name.eq_ignore_ascii_case("authorization").then_some(value));
    assert_eq!(login, Some(format!("Basic {}", basic("agent", password)).as_str()), "{request}");
    drop(service.delete(&release("service-task")).await.expect(200));
}

/// The calls about connections that an operation makes, once the API is known. What comes by the clock is not counted.
#[tokio::test]
async fn a_deployment_costs_two_calls_and_an_equal_one_costs_one() {
    let airflow = Server::shared();
    let script = Script::new(Vec::new());
    let proxy = Proxy::to(Upstream::plain(&airflow.url), &script);
    let url = format!("http://{}", proxy.address());
    let service = service(&airflow, &[("AIRFLOW_URL", &url)]).await;
    // What it asks at its start is no part of an operation.
    until("it knows Airflow", async || service.logs().contains("Airflow answers").then_some(())).await;
    let calls = async |request: Value| {
        script.arm(None, service.process());
        drop(service.post(DEPLOYMENTS, &request).await.expect(200));
        let steps = script.steps();
        let (logins, calls): (Vec<_>, Vec<_>) = steps.iter().map(|(step, _)| step.label.as_str()).partition(|label| *label == "logs in");
        assert!(logins.len() <= 1, "{logins:?}");
        calls.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let with_tag = |tag: &str| {
        let mut body = body("service-count", "agent");
        body["tag"] = tag.into();
        body
    };
    let look = "airflow: get connections/service_count_main";
    let create = "airflow: post connections/service_count_main";
    assert_eq!(calls(with_tag("1.0.0")).await, [look, create], "the first one");
    assert_eq!(calls(with_tag("1.0.1")).await, [look, look], "a change that keeps the login: before it begins and before it is committed");
    assert_eq!(calls(with_tag("1.0.1")).await, [look], "an equal one");
    drop(service.delete(&release("service-count")).await.expect(200));
}

/// A login as basic authentication encodes it.
fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

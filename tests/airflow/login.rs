//! Logging in, and what a role may do.

use std::time::Duration;

use dbt_controller_adapters_airflow::AirflowConnections;
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;
use tokio::time::Instant;

use crate::adapter::{adapter, adapter_of, connection, settings};
use dbt_controller_tests::airflow::{Server, admin, kind, viewer};
use dbt_controller_tests::{Action, Answer, Fault, Plan, Proxy, Script, Step, Upstream};

#[tokio::test]
async fn a_good_login_is_told_with_the_version() {
    let health = adapter_of(&Server::shared()).check().await.unwrap();
    assert!(health.role_sufficient);
    assert_eq!(health.version, if kind() == "2" { "2.11.2" } else { "3.3.2" });
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let wrong = adapter(settings(&Server::shared().url, (admin().0, "wrong-password".to_owned())));
    let answers = [
        wrong.check().await.map(drop),
        wrong.put(&connection("wrong"), None, &fence()).await.map(drop),
        wrong.list_ours().await.map(drop),
        wrong.all_dags().await.map(drop),
    ];
    for answer in answers {
        let Err(ConnectionError::Refused(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("AIRFLOW_PASSWORD") && !why.contains("wrong-password"), "{why}");
    }
}

#[tokio::test]
async fn a_viewer_has_a_role_that_is_too_low() {
    let store = adapter(settings(&Server::shared().url, viewer()));
    assert!(!store.check().await.unwrap().role_sufficient);
    for answer in [store.put(&connection("viewer"), None, &fence()).await.map(drop), store.list_ours().await.map(drop)] {
        let Err(ConnectionError::Refused(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("role"), "{why}");
    }
}

#[tokio::test]
async fn tokens_that_live_for_seconds_are_renewed_in_time() {
    let server = Server::start(&["AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME=3", "AIRFLOW__API_AUTH__JWT_LEEWAY=0"]).await;
    let script = Script::new(Vec::new());
    let (store, proxy) = watched(&server, &script, None);
    let wanted = connection("short");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(9) {
        store.put(&wanted, None, &fence()).await.unwrap();
        store.get(&wanted.id).await.unwrap().unwrap();
    }
    // One that ended while nobody called.
    tokio::time::sleep(Duration::from_secs(4)).await;
    store.get(&wanted.id).await.unwrap().unwrap();
    let logins = logins(&script);
    // Airflow 2 has no tokens. Of Airflow 3 each is used for two or three seconds; one may end on its way to a server that is slow.
    assert!(if kind() == "2" { logins == 0 } else { (3..10).contains(&logins) }, "{logins} tokens");
    drop(proxy);
}

/// Signs what another token says with times that are over.
const EXPIRED: &str = r#"
import os, sys, time, jwt
claims = jwt.decode(sys.argv[1], options={"verify_signature": False})
header = jwt.get_unverified_header(sys.argv[1])
now = int(time.time())
claims |= {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}
print(jwt.encode(claims, os.environ["AIRFLOW__API_AUTH__JWT_SECRET"], header["alg"], headers=header))
"#;

#[tokio::test]
async fn a_token_that_airflow_refuses_is_replaced_once() {
    let server = Server::shared();
    let tokens = if kind() == "2" { vec!["garbage".to_owned()] } else { vec!["garbage".to_owned(), expired(&server).await] };
    for token in tokens {
        let script = Script::new(Vec::new());
        let (store, proxy) = watched(&server, &script, Some(token));
        assert!(store.get(&connection("refused").id).await.unwrap().is_none());
        // Airflow 2 is asked for none, so it cannot give a wrong one.
        let expected = if kind() == "2" { (0, 0) } else { (2, 1) };
        assert_eq!((logins(&script), refusals(&script)), expected);
        drop(proxy);
    }
}

async fn expired(server: &Server) -> String {
    let (user, password) = admin();
    let body = serde_json::json!({ "username": user, "password": password });
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{}/auth/token", server.url)).json(&body);
    let genuine = Answer::to(request).await.expect(201).json();
    server.python(EXPIRED, &[genuine["access_token"].as_str().unwrap()]).await.trim().to_owned()
}

/// The adapter behind a proxy that sees all, and that gives this token for the first login.
fn watched(server: &Server, script: &Script, token: Option<String>) -> (AirflowConnections, Proxy) {
    let proxy = Proxy::to(Upstream::plain(&server.url), script);
    let plan = token.map(|token| {
        let answer = Fault::Answer(201, serde_json::json!({ "access_token": token }).to_string().leak());
        Plan { step: Step { label: "logs in".to_owned(), occurrence: 1 }, times: 1, action: Action::Fault(answer) }
    });
    // No process is to get a signal; this one is as good as any.
    script.arm(plan, rustix::process::getpid());
    (adapter(settings(&format!("http://{}", proxy.address()), admin())), proxy)
}

fn logins(script: &Script) -> usize {
    script.seen().iter().filter(|seen| seen.call.label == "logs in").count()
}

/// How often the server refused a call.
fn refusals(script: &Script) -> usize {
    script.seen().iter().filter(|seen| matches!(seen.status, Some(401 | 403))).count()
}

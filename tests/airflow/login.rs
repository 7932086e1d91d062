//! Logging in, and what a role may do.

use std::time::Duration;

use dbt_controller_adapters_airflow::AirflowConnections;
use dbt_controller_domain::model::{DeleteOutcome, PutOutcome};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::adapter::{adapter, adapter_of, connection, settings};
use dbt_controller_tests::airflow::{Server, admin, api, kind, op, tables, viewer};
use dbt_controller_tests::{Action, At, Fault, Plan, Proxy, Script, Step, Upstream};

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
async fn the_role_op_suffices() {
    let server = Server::shared();
    let (store, mut wanted) = (adapter(settings(&server.url, op())), connection("op"));
    assert!(store.check().await.unwrap().role_sufficient);
    assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Created);
    let known = store.get(&wanted.id).await.unwrap().unwrap();
    wanted.credentials = fixtures::credentials("second");
    assert_eq!(store.put(&wanted, Some(&known), &fence()).await.unwrap(), PutOutcome::Updated);
    assert!(store.list_ours().await.unwrap().iter().any(|ours| ours.agrees_with(&wanted)));
    let password = tables::password(&server, wanted.id.as_str()).await;
    assert_eq!(password.as_deref(), Some(wanted.credentials.password.expose_secret()));
    assert_eq!(store.all_dags().await.unwrap().dags["dbt-server-test-project-main"].len(), 2);
    assert_eq!(store.delete(&wanted.id, &fence()).await.unwrap(), DeleteOutcome::Deleted);
    assert!(store.get(&wanted.id).await.unwrap().is_none());
}

/// How long the tokens of the following test live. The server counts whole seconds, so one ends up to a second sooner than it says; it is
/// renewed two seconds sooner.
const LIFE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn tokens_that_live_for_seconds_are_renewed_in_time() {
    let life = format!("AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME={}", LIFE.as_secs());
    let server = Server::start(&[&life, "AIRFLOW__API_AUTH__JWT_LEEWAY=0"]).await;
    let script = Script::new(Vec::new());
    let (first, proxy) = watched(&server, &script, None);
    let second = adapter(settings(&format!("http://{}", proxy.address()), admin()));
    let id = connection("short").id;
    // Airflow 2 has no tokens.
    let lives = if kind() == "2" { 0 } else { 3 };
    let calls = async |store: AirflowConnections, delay| {
        // At another part of a second, so that not all tokens live nearly as long as they say.
        tokio::time::sleep(delay).await;
        let begin = Instant::now();
        // There is a call at the end of each token.
        while begin.elapsed() < LIFE * lives + LIFE / 4 {
            assert!(store.get(&id).await.unwrap().is_none());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // One that ended while nobody called.
        tokio::time::sleep(if lives == 0 { Duration::ZERO } else { LIFE }).await;
        assert!(store.get(&id).await.unwrap().is_none());
    };
    tokio::join!(calls(first, Duration::ZERO), calls(second, Duration::from_millis(500)));
    let (logins, refusals) = (logins(&script), refusals(&script));
    assert!(if lives == 0 { logins == 0 } else { logins > 2 * lives as usize }, "{logins} tokens");
    // One may end on its way to a server that is slow.
    assert!(refusals <= 1, "{refusals} refusals of {logins} tokens");
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
    server.python(EXPIRED, &[&api::token(server).await]).await.trim().to_owned()
}

/// The adapter behind a proxy that sees all, and that gives this token for the first login.
fn watched(server: &Server, script: &Script, token: Option<String>) -> (AirflowConnections, Proxy) {
    let proxy = Proxy::to(Upstream::plain(&server.url), script);
    let plan = token.map(|token| {
        let answer = Fault::Answer(201, serde_json::json!({ "access_token": token }).to_string().leak());
        Plan { at: At::Step(Step { label: "logs in".to_owned(), occurrence: 1 }), times: 1, action: Action::Fault(answer) }
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

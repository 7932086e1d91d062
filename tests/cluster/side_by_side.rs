//! Two replicas of the service on one namespace.

use std::collections::BTreeSet;

use dbt_controller_tests::{Answer, Helm, HelmVersion, Namespace, Service, until};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::site::{admin, body, body_with, inventory, path, serve, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";
/// How many deployments each replica is asked for at once.
const EACH: usize = 20;

/// Two replicas.
async fn pair() -> ([Service; 2], Namespace, TempDir) {
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = admin(&namespace, &files);
    let (first, second) = tokio::join!(serve(&namespace, &kubeconfig, &[]), serve(&namespace, &kubeconfig, &[]));
    ([first, second], namespace, files)
}

/// The names that a replica lists.
async fn names(service: &Service) -> BTreeSet<String> {
    let listed = service.get("/api/v1/deployments").await.expect(200).json();
    listed.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_same_post_on_both_makes_one_revision_and_gives_one_answer() {
    let ([first, second], namespace, _files) = pair().await;
    let body = body(PROJECT);
    let (one, other) = tokio::join!(first.post("/api/v1/deployments", &body), second.post("/api/v1/deployments", &body));
    let [one, other] = [one, other].map(|answer| answer.expect(200).json());
    assert_eq!(one, other);
    assert_eq!(one["details"]["revision"], 1, "{one:#}");
    assert_eq!(Helm::new(HelmVersion::V4, &namespace).history(RELEASE).await.len(), 1);
    for service in [&first, &second] {
        let shows = async || (service.get(&path(RELEASE)).await.status == 200).then_some(());
        until("the other replica shows it, too", shows).await;
    }
}

#[tokio::test]
async fn both_deploy_many_at_once_and_list_the_same() {
    let ([first, second], _namespace, _files) = pair().await;
    let mut posts = JoinSet::new();
    for (replica, service) in [&first, &second].into_iter().enumerate() {
        for number in 0..EACH {
            let body = body(&format!("project-{replica}-{number}"));
            posts.spawn(Answer::to(service.request(reqwest::Method::POST, "/api/v1/deployments").json(&body)));
        }
    }
    let mut deployed = BTreeSet::new();
    for answer in posts.join_all().await {
        let details = answer.expect(200).json()["details"].clone();
        assert_eq!(details["revision"], 1, "{details}");
        deployed.insert(details["release_name"].as_str().unwrap().to_owned());
    }
    assert_eq!(deployed.len(), 2 * EACH);
    for service in [&first, &second] {
        until("both list all", async || (names(service).await == deployed).then_some(())).await;
    }
}

#[tokio::test]
async fn a_delete_on_one_stops_the_deploy_on_the_other() {
    let ([first, second], namespace, _files) = pair().await;
    let before = inventory(&namespace).await;
    let body = body_with(PROJECT, &json!({"tag": "slow-1"}));
    let deploy = async { first.post("/api/v1/deployments", &body).await };
    let delete = async {
        // Its first step is over, so there is something to remove.
        namespace.until("statefulset", RELEASE, "is made", |_| Some(())).await;
        second.delete(&path(RELEASE)).await
    };
    let (deployed, deleted) = tokio::join!(deploy, delete);
    drop(deleted.expect(200));
    let cancelled = deployed.expect(409).json();
    assert_eq!(cancelled["details"]["code"], "cancelled", "{cancelled:#}");
    until_nothing_is_left(&namespace, &before).await;
    for service in [&first, &second] {
        until("both list none", async || names(service).await.is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn a_service_with_another_home_is_warned_of() {
    let [home, other_home] = [Namespace::create().await, Namespace::create().await];
    let files = TempDir::new().unwrap();
    let service = serve(&home, &admin(&home, &files), &[]).await;
    let looked = |service: &Service| service.logs().contains("deployments that a service of another KUBERNETES_NAMESPACE wrote");
    drop(service.post("/api/v1/deployments", &body(PROJECT)).await.expect(200));
    let said = |service: &Service| {
        let logs = service.logs();
        let warning =
            logs.lines().find(|line| line.contains("a service of another KUBERNETES_NAMESPACE wrote deployments in our namespaces"));
        warning.map(str::to_owned)
    };
    let other = serve(&other_home, &admin(&other_home, &files), &[("ALLOWED_NAMESPACES", home.name())]).await;
    let warning = until("the other one warns", async || said(&other)).await;
    assert!(warning.contains(&format!("{}/{RELEASE}", home.name())) && warning.contains("WARN"), "{warning}");
    // A replica of the first one has nothing to say.
    let replica = serve(&home, &admin(&home, &files), &[("LOG_LEVEL", "debug")]).await;
    until("the replica has looked", async || looked(&replica).then_some(())).await;
    assert_eq!((said(&service), said(&replica)), (None, None));
}

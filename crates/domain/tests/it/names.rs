//! Names: who gets which, and what a name in a call means.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::Identity;

use crate::stage::{NAME, Stage, caller, code, key, main_request, request, revision, server, target};

async fn names(stage: &Stage) -> Vec<(String, String)> {
    let list = stage.controller.list(&DeploymentFilter::default()).await.unwrap();
    let connection = |release: &ReleaseSummary| release.deployment.as_ref().unwrap().connection_id.as_ref().unwrap().to_string();
    list.iter().map(|release| (release.key.name.to_string(), connection(release))).collect()
}

#[tokio::test(start_paused = true)]
async fn two_identities_of_one_slug_have_two_servers_and_keep_their_names() {
    let stage = Stage::new();
    revision(stage.deploy(request("a-b", Some("c"), "v1")).await);
    revision(stage.deploy(request("a", Some("b-c"), "v1")).await);
    let plain = ("dbt-server-a-b-c".to_owned(), "a_b_c".to_owned());
    let hashed = ("dbt-server-a-b-c-760edd92".to_owned(), "a_b_c_760edd92".to_owned());
    assert_eq!(names(&stage).await, [plain.clone(), hashed.clone()]);

    stage.delete("dbt-server-a-b-c").await.unwrap();
    revision(stage.deploy(request("a", Some("b-c"), "v2")).await);
    assert_eq!(names(&stage).await, std::slice::from_ref(&hashed), "a deployment keeps its name when the plain one becomes free");
    revision(stage.deploy(request("a-b", Some("c"), "v1")).await);
    assert_eq!(names(&stage).await, [plain, hashed]);
}

#[tokio::test(start_paused = true)]
async fn two_identities_of_one_slug_at_once_get_two_names() {
    let stage = Stage::new();
    let (one, two) = tokio::join!(stage.deploy(request("x_y", None, "v1")), stage.deploy(request("x-y", None, "v1")));
    assert_eq!((revision(one), revision(two)), (1, 1));
    let mut found = names(&stage).await;
    found.sort();
    assert_eq!(found[0], ("dbt-server-x-y".to_owned(), "x_y".to_owned()));
    assert_eq!(found.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn data_that_another_left_is_not_mounted_by_a_stranger() {
    let stage = Stage::new();
    revision(stage.deploy(request("x_y", None, "v1")).await);
    stage.world.releases().uninstall(&crate::stage::key("dbt-server-x-y"), false);
    let report = stage.controller.names(&Identity::parse("x-y", None).unwrap()).await.unwrap();
    assert!(report.candidates[0].held_by.as_ref().unwrap().contains("claim"), "{report:?}");
    revision(stage.deploy(request("x-y", None, "v1")).await);
    let (name, _) = names(&stage).await.remove(0);
    assert!(name.starts_with("dbt-server-x-y-") && name.len() == "dbt-server-x-y-".len() + 8, "{name}");
    assert_eq!(stage.world.claims().of(&server("dbt-server-x-y")).len(), 1, "the data is still there");
}

#[tokio::test(start_paused = true)]
async fn the_lookup_takes_the_exact_name_or_adds_the_prefix_once() {
    let stage = Stage::new();
    revision(stage.deploy(request("dbt-server-x", None, "v1")).await);
    let found = |name: &'static str| {
        let controller = stage.controller.clone();
        async move { controller.find(&target(name)).await.map(|release| release.key.name.to_string()) }
    };
    let full = "dbt-server-dbt-server-x";
    assert_eq!(found(full).await.unwrap(), full);
    assert_eq!(found("dbt-server-x").await.unwrap_err().code, FailureCode::NotFound, "a name with the prefix is not given it again");

    revision(stage.deploy(request("x", None, "v1")).await);
    assert_eq!(found("x").await.unwrap(), "dbt-server-x");
    assert_eq!(found("dbt-server-x").await.unwrap(), "dbt-server-x");
    stage.delete("dbt-server-x").await.unwrap();
    assert_eq!(code(stage.delete("dbt-server-x").await), FailureCode::NotFound, "a repeated delete cannot hit a namesake");
    assert_eq!(names(&stage).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_answered_in_the_contracts_words() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let failure = stage.controller.delete(&target("nope"), caller()).await.unwrap_err();
    assert_eq!(failure.message, "Deployment nope not found in namespace dbt-server");
    assert_eq!(failure.available, [NAME]);
}

#[tokio::test(start_paused = true)]
async fn filters_match_exactly() {
    let stage = Stage::new();
    revision(stage.deploy(request("one", Some("main"), "v1")).await);
    revision(stage.deploy(request("one", None, "v1")).await);
    revision(stage.deploy(request("two", Some("main"), "v1")).await);
    let some = |text: &str| Some(text.to_owned());
    let table = [
        (DeploymentFilter::default(), 3),
        (DeploymentFilter { project_name: some("one"), ..DeploymentFilter::default() }, 2),
        (DeploymentFilter { git_branch: some("main"), ..DeploymentFilter::default() }, 2),
        (DeploymentFilter { git_branch: some(""), ..DeploymentFilter::default() }, 1),
        (DeploymentFilter { project_name: some("on"), ..DeploymentFilter::default() }, 0),
        (DeploymentFilter { namespace: some("data"), ..DeploymentFilter::default() }, 0),
        (DeploymentFilter { status: some("deployed"), ..DeploymentFilter::default() }, 3),
        (DeploymentFilter { status: some("failed"), ..DeploymentFilter::default() }, 0),
    ];
    for (filter, expected) in table {
        assert_eq!(stage.controller.list(&filter).await.unwrap().len(), expected, "{filter:?}");
    }
}

/// Deploys `a-b`, `c` at a replica that stands still between its choice of the name and the submission for 10 s, while `act` happens.
async fn deployed_too_late(act: impl AsyncFnOnce(&Stage)) -> Result<Success, Failure> {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::OperationsRead, 1, FaultKind::Hang));
    let slow = stage.controller.clone();
    let late = tokio::spawn(async move { crate::stage::deploy(&slow, request("a-b", Some("c"), "v1")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    act(&stage).await;
    late.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_taken_in_another_namespace_since_it_was_chosen_is_not_used_twice() {
    let outcome = deployed_too_late(async |stage| {
        let first = DeployRequest { namespace: "data".parse().unwrap(), ..request("a", Some("b-c"), "v1") };
        revision(stage.deploy(first).await);
    });
    assert_eq!(code(outcome.await), FailureCode::NameTaken);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_left_under_the_name_since_it_was_chosen_is_not_mounted() {
    let outcome = deployed_too_late(async |stage| {
        revision(stage.deploy(request("a", Some("b-c"), "v1")).await);
        assert!(stage.world.releases().uninstall(&key("dbt-server-a-b-c"), false));
    });
    assert_eq!(code(outcome.await), FailureCode::NameTaken);
}

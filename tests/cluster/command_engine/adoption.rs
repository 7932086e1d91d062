//! Deployments of the replaced service, adopted by helm: as by the native engine, whichever Helm made them.

use dbt_controller_adapters_helm::Helm;
use dbt_controller_tests::{HelmVersion, Namespace};
use tempfile::TempDir;

use super::{access, home};
use crate::adoption::{check_adoptions, check_failed_adoption};
use crate::support::stage::{Setup, Stage};

async fn stage(version: HelmVersion) -> (Stage, TempDir) {
    let tools = Namespace::create().await;
    let home = home(&tools, version);
    let helm = Helm::find(access(&home, &tools.plane().kubeconfig().write(&home))).await.unwrap();
    (Stage::with(Setup { helm: Some(helm), ..Setup::default() }).await, home)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_3_adopts_a_deployment_under_its_old_names() {
    let (stage, _home) = stage(HelmVersion::V3).await;
    check_adoptions(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_4_adopts_a_deployment_under_its_old_names() {
    let (stage, _home) = stage(HelmVersion::V4).await;
    check_adoptions(&stage).await;
}

#[tokio::test]
async fn an_adoption_that_does_not_work_is_undone_by_helm_3() {
    let (stage, _home) = stage(HelmVersion::V3).await;
    check_failed_adoption(&stage).await;
}

#[tokio::test]
async fn an_adoption_that_does_not_work_is_undone_by_helm_4() {
    let (stage, _home) = stage(HelmVersion::V4).await;
    check_failed_adoption(&stage).await;
}

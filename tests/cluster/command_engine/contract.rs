//! The promises of `ChartInstaller` that the engine keeps: all that the suite can check, with both Helms.

use std::sync::Arc;

use dbt_controller_domain::ports::ChartInstaller;
use dbt_controller_port_contracts::chart_installer;
use dbt_controller_tests::HelmVersion;

use super::engine;
use crate::native_helm::contract::ClusterHarness;

/// Checks that this engine is expected to break, because of what Helm is. What else it does not promise, no check can see: see the
/// engine's own documentation.
const NOT_PROMISED: [&str; 0] = [];

async fn keeps_the_contract(version: HelmVersion) {
    let mut home = None;
    let harness = ClusterHarness::new(async |namespace, kubeconfig| {
        let (installer, folder) = engine(namespace, kubeconfig, version).await;
        home = Some(folder);
        Arc::new(installer) as Arc<dyn ChartInstaller>
    });
    let report = chart_installer(&harness.await).await;
    let broken: Vec<_> = report.broken().iter().map(|(check, _)| *check).collect();
    assert_eq!(broken, NOT_PROMISED, "{report:#?}");
    assert!(report.skipped().is_empty(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_helm_3_it_keeps_the_contract() {
    keeps_the_contract(HelmVersion::V3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_helm_4_it_keeps_the_contract() {
    keeps_the_contract(HelmVersion::V4).await;
}

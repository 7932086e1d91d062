//! Status, info, probes.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, ClusterLink, Fault, FaultKind};
use serde_json::json;

use crate::support::TestApp;

#[tokio::test(start_paused = true)]
async fn status_and_info_tell_what_runs() {
    let app = TestApp::new();
    let status = app.get("/api/v1/status").await.expect(200);
    assert_eq!((&status["status"], &status["version"]), (&json!("healthy"), &json!("1.2.3")));
    assert_eq!(status["service"], "dbt-api-service-controller");
    assert!(status["platform"].as_str().is_some_and(|platform| platform.contains(std::env::consts::ARCH)));

    let info = app.get("/info").await.expect(200);
    let expected = json!({ "service": "dbt-api-service-controller", "version": "1.2.3", "build": "abc", "settings": { "PORT": "6798" } });
    assert_eq!(info, expected);
}

#[tokio::test(start_paused = true)]
async fn probes_follow_the_cluster_but_liveness_does_not() {
    let app = TestApp::new();
    let ready = app.get("/health/readiness").await.expect(200);
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["checks"], json!({ "cluster": "ok", "releases": "ok", "operations": "ok", "service": "ok" }));
    assert_eq!(app.get("/health/startup").await.expect(200)["status"], "started");

    // Any number of probes asks the cluster once a second at most.
    let asked = app.world.calls().count(Call::ClusterCheck);
    for _ in 0..20 {
        app.get("/health/readiness").await.expect(200);
    }
    assert_eq!(app.world.calls().count(Call::ClusterCheck), asked);

    app.world.set_cluster_link(ClusterLink::NeverSynced);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = app.get("/health/readiness").await;
    let answer = reply.expect(503);
    assert_eq!(answer["status"], "not_ready");
    assert_ne!(answer["checks"]["cluster"], "ok");
    assert_eq!(answer["details"]["code"], "not_ready");
    assert!(reply.header("retry-after").is_some());
    app.get("/health/startup").await.expect(503);
    assert_eq!(app.get("/health/liveness").await.expect(200)["status"], "alive");
}

#[tokio::test(start_paused = true)]
async fn each_check_can_fail_by_itself() {
    let app = TestApp::new();
    let checks = [(Call::ClusterCheck, "cluster"), (Call::InstallerList, "releases"), (Call::OperationsList, "operations")];
    for (call, name) in checks {
        app.world.faults().plan(Fault::new(call, 1, FaultKind::Fail).times(10));
        let answer = app.get("/health/readiness").await.expect(503);
        app.world.faults().clear();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let wrong: Vec<_> =
            answer["checks"].as_object().unwrap().iter().filter(|(_, found)| *found != "ok").map(|(name, _)| name).collect();
        assert_eq!(wrong, [name]);
    }
}

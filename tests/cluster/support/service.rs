//! The program under test.

use dbt_controller_tests::Service;
use serde_json::json;

#[tokio::test]
async fn it_starts_answers_and_ends() {
    let settings = [("EMBEDDED_READY_AFTER", "0"), ("LOG_LEVEL", "info")];
    let mut service = Service::start_with(&["--embedded"], &settings).await;
    let deployed = service.post("/api/v1/deployments", &json!({"project_name": "test-project", "git_branch": "main"})).await.expect(200);
    let name = deployed.json()["details"]["release_name"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/deployments/{name}");
    assert_eq!(service.get(&path).await.expect(200).json()["name"], name);
    drop(service.delete(&path).await.expect(200));
    drop(service.get(&path).await.expect(404));
    service.signal(rustix::process::Signal::TERM);
    assert_eq!(service.ended().await, Some(0));
    assert!(service.logs().contains(&name), "{}", service.logs());
}

//! Lists: filters, pages, speed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{TestApp, body_of};

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

async fn app_with(bodies: &[Value]) -> TestApp {
    let app = TestApp::new();
    for body in bodies {
        app.deploy(body).await.expect(200);
    }
    app
}

#[tokio::test(start_paused = true)]
async fn conditions_are_joined_by_and() {
    let app = app_with(&[
        json!({ "project_name": "a", "git_branch": "main" }),
        json!({ "project_name": "a", "git_branch": "feature/x" }),
        json!({ "project_name": "a" }),
        json!({ "project_name": "b", "git_branch": "main", "namespace": "data" }),
    ])
    .await;
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(names(&app.get(&format!("/api/v1/deployments{query}")).await.expect(200)), expected, "{query}");
    };
    let all = ["dbt-server-b-main", "dbt-server-a", "dbt-server-a-feature-x", "dbt-server-a-main"];
    check("", &all).await;
    check("?unknown=1", &all).await;
    check("?project_name=a&git_branch=main", &["dbt-server-a-main"]).await;
    check("?git_branch=main", &["dbt-server-b-main", "dbt-server-a-main"]).await;
    check("?git_branch=feature%2Fx", &["dbt-server-a-feature-x"]).await;
    check("?git_branch=", &["dbt-server-a"]).await;
    check("?namespace=data", &["dbt-server-b-main"]).await;
    check("?namespace=elsewhere", &[]).await;
    check("?status=deployed", &all).await;
    check("?status=failed", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_by_their_links() {
    let bodies: Vec<_> = ["a", "b", "c", "d", "e"].map(body_of).into();
    let app = app_with(&bodies).await;
    let mut path = "/api/v1/deployments?limit=2&git_branch=main".to_owned();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let reply = app.get(&path).await;
        let page = names(&reply.expect(200));
        sizes.push(page.len());
        seen.extend(page);
        let Some(link) = reply.header("link") else { break };
        path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(seen, names(&app.get("/api/v1/deployments").await.expect(200)));
    // A page that is exactly full and the last one has no link.
    assert_eq!(app.get("/api/v1/deployments?limit=5").await.header("link"), None);
}

#[tokio::test(start_paused = true)]
async fn bad_conditions_are_422_all_at_once() {
    let app = TestApp::new();
    let query = "?limit=0&continue=x&status=fine&namespace=A&project_name=&git_branch=%00";
    let answer = app.get(&format!("/api/v1/deployments{query}")).await.expect_error(422, "validation_failed");
    let named: BTreeSet<_> = answer["details"]["validation_errors"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, BTreeSet::from(["continue", "git_branch", "limit", "namespace", "project_name", "status"]));
    for limit in ["-1", "1001", "1.0", "+1", "", "99999999999999999999"] {
        app.get(&format!("/api/v1/deployments?limit={limit}")).await.expect_error(422, "validation_failed");
    }
    app.get("/api/v1/deployments?limit=1&limit=2").await.expect_error(422, "validation_failed");
}

use std::collections::BTreeMap;

use dbt_controller_domain::model::{Failure, FailureCode, Phase, Target, UndoOutcome};
use serde_json::{Value, json};

use super::*;

async fn body_of(error: &ApiError) -> Value {
    let body = actix_web::body::to_bytes(error.error_response().into_body()).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn the_table() {
    let lines: Vec<_> = ErrorCode::all()
        .map(|code| {
            let row = code.row();
            let retry = row.retry_after.map(|seconds| format!(" (again after {seconds} s)")).unwrap_or_default();
            format!("{} {}: {}{retry}", row.status.as_u16(), row.word, row.title)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn no_two_codes_share_a_word_but_internal() {
    let mut words: Vec<_> = ErrorCode::all().map(ErrorCode::as_str).collect();
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count - 1, "`internal` is a word of the domain and of HTTP, and the only one");
    assert_eq!(ErrorCode::Internal.as_str(), ErrorCode::Domain(FailureCode::Internal).as_str());
    assert_eq!(ErrorCode::Internal.status(), ErrorCode::Domain(FailureCode::Internal).status());
}

#[actix_web::test]
async fn every_error_is_in_the_contracts_shape() {
    for code in ErrorCode::all() {
        let error = ApiError::new(code, "why");
        let response = error.error_response();
        assert_eq!(response.status(), code.status());
        assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
        let is_401 = code.status() == StatusCode::UNAUTHORIZED;
        assert_eq!(response.headers().contains_key("www-authenticate"), is_401, "{}", code.as_str());
        let is_429 = code.status() == StatusCode::TOO_MANY_REQUESTS;
        assert!(!is_429 || response.headers().contains_key("retry-after"), "{}", code.as_str());
        let expected = json!({ "status": "error", "message": "why", "details": { "error": code.row().title, "code": code.as_str() } });
        assert_eq!(body_of(&error).await, expected);
    }
}

#[actix_web::test]
async fn a_missing_deployment_is_told_in_the_contracts_words() {
    let target = Target { name: "dbt-server-x".to_owned(), namespace: None };
    let mut failure = Failure::new(FailureCode::NotFound, "whatever the domain says");
    failure.available = vec!["dbt-server-y".to_owned()];
    let error = ApiError::about(&target, &"dbt-server".parse().unwrap(), failure.clone());
    let body = body_of(&error).await;
    assert_eq!(body["message"], "Deployment dbt-server-x not found in namespace dbt-server");
    assert_eq!(body["details"]["pvc_deleted"], json!([]));
    assert_eq!(body["details"]["available_releases"], json!(["dbt-server-y"]));

    let elsewhere = Target { namespace: Some("data".parse().unwrap()), ..target };
    let body = body_of(&ApiError::about(&elsewhere, &"dbt-server".parse().unwrap(), failure)).await;
    assert_eq!(body["message"], "Deployment dbt-server-x not found in namespace data");
}

#[actix_web::test]
async fn a_failed_operation_shows_its_step_and_its_undo() {
    let mut failure = Failure::new(FailureCode::CrashLoop, "the container ends").at(Phase::Ready);
    failure.undo = UndoOutcome::Undone;
    failure.autopsy = Some(Box::default());
    let body = body_of(&ApiError::from(failure)).await;
    assert_eq!(body["details"]["phase"], "ready");
    assert_eq!(body["details"]["undo"], "undone");
    assert_eq!(body["details"]["autopsy"]["containers"], json!([]));
}

#[actix_web::test]
async fn all_that_is_not_valid_is_named() {
    let problems = BTreeMap::from([("tag".to_owned(), vec!["too long".to_owned()]), ("domain".to_owned(), vec!["empty".to_owned()])]);
    let body = body_of(&ApiError::invalid(problems)).await;
    assert_eq!(body["message"], "not valid: `domain` empty; `tag` too long");
    assert_eq!(body["details"]["validation_errors"], json!({ "tag": ["too long"], "domain": ["empty"] }));
}

//! Tests of the middleware, each against a small application of its own.

mod auth;
mod catch_panic;
mod headers;
mod rate_limit;
mod tokens;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::AUTHORIZATION;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::auth::Tokens;

const CURRENT: &str = "current-t0ken";
const PREVIOUS: &str = "previous-t0ken";

fn tokens() -> Tokens {
    Tokens::new(&CURRENT.into(), Some(&PREVIOUS.into())).unwrap()
}

fn with_token(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header((AUTHORIZATION, format!("Bearer {token}")))
}

/// The value of a header that is there once or not at all.
#[track_caller]
fn header<'a, B>(response: &'a ServiceResponse<B>, name: &str) -> Option<&'a str> {
    let mut all = response.headers().get_all(name);
    let value = all.next().map(|value| value.to_str().unwrap());
    assert!(all.next().is_none(), "several {name}");
    value
}

/// The body of an error in the contract's shape has this code, and a message.
async fn check_error(response: ServiceResponse<impl MessageBody>, code: &str) -> String {
    let body: Value = actix_web::test::read_body_json(response).await;
    assert_eq!(body["status"], json!("error"));
    assert_eq!(body["details"]["code"], json!(code));
    assert!(body["details"]["error"].is_string());
    body["message"].as_str().unwrap().to_owned()
}

//! How many requests a token may send.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::test::{call_service, init_service};
use actix_web::{App, HttpResponse, web};
use governor::Quota;

use super::*;
use crate::middleware::auth::BearerAuth;
use crate::middleware::rate_limit::{RateLimit, whole_seconds};

/// One application of a server that has several, with one limit for all.
macro_rules! app {
    ($limit:expr) => {
        init_service(App::new().default_service(web::to(HttpResponse::Ok)).wrap($limit.clone()).wrap(BearerAuth::new(tokens()))).await
    };
}

/// Two at once, and then one every hour: time plays no part in a test.
fn two_at_once() -> RateLimit {
    let hour = Quota::with_period(Duration::from_secs(3600)).unwrap();
    RateLimit::with_quota(hour.allow_burst(NonZeroU32::new(2).unwrap()))
}

fn get(token: &str) -> TestRequest {
    with_token(TestRequest::with_uri("/info"), token)
}

/// The answer of an application to a request.
macro_rules! answer {
    ($app:expr, $request:expr) => {
        call_service(&$app, $request.to_request()).await
    };
}

#[actix_web::test]
async fn requests_above_the_limit_are_told_when_to_come_back() {
    let app = app!(two_at_once());
    for _ in 0..2 {
        assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::OK);
    }
    let response = answer!(app, get(CURRENT));
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u32 = header(&response, "retry-after").unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    assert_eq!(
        check_error(response, "rate_limited").await,
        "too many requests with this token: wait as long as `Retry-After` says, or raise `REQUESTS_PER_SECOND`"
    );
}

#[actix_web::test]
async fn each_token_has_its_own_allowance() {
    let app = app!(two_at_once());
    for _ in 0..2 {
        answer!(app, get(CURRENT));
    }
    assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer!(app, get(PREVIOUS)).status(), StatusCode::OK);
}

#[actix_web::test]
async fn threads_share_one_allowance() {
    let limit = two_at_once();
    let (one, two) = (app!(limit), app!(limit));
    assert_eq!(answer!(one, get(CURRENT)).status(), StatusCode::OK);
    assert_eq!(answer!(two, get(CURRENT)).status(), StatusCode::OK);
    assert_eq!(answer!(one, get(CURRENT)).status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer!(two, get(CURRENT)).status(), StatusCode::TOO_MANY_REQUESTS);
}

#[actix_web::test]
async fn probes_and_strangers_are_not_counted() {
    let app = app!(two_at_once());
    for _ in 0..10 {
        assert_eq!(answer!(app, TestRequest::with_uri("/health/liveness")).status(), StatusCode::OK);
        assert_eq!(answer!(app, get("wrong")).status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::OK);
}

#[actix_web::test]
async fn the_allowance_comes_back() {
    let app = app!(RateLimit::with_quota(Quota::with_period(Duration::from_millis(20)).unwrap()));
    assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::OK);
}

#[actix_web::test]
async fn so_many_per_second_may_come_at_once() {
    for (per_second, at_once) in [(0, 1), (1, 1), (50, 50)] {
        let app = app!(RateLimit::new(per_second));
        for _ in 0..at_once {
            assert_eq!(answer!(app, get(CURRENT)).status(), StatusCode::OK, "{per_second}");
        }
    }
}

#[test]
fn a_wait_is_at_least_a_second() {
    for (milliseconds, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2000, 2), (59_999, 60)] {
        assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds} ms");
    }
    assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
}

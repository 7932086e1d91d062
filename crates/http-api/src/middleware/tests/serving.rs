//! How the body of an answer is handed out.

use std::future::poll_fn;

use actix_web::body::MessageBody as _;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, web};
use futures_util::stream;

use crate::middleware::serving::{PIECE, serving};

/// What a body of these chunks is handed out as.
async fn pieces(chunks: &'static [&'static [u8]]) -> Vec<Bytes> {
    let body = || stream::iter(chunks.iter().map(|chunk| Ok::<_, actix_web::Error>(Bytes::from_static(chunk))));
    let answer = web::get().to(move || async move { HttpResponse::Ok().streaming(body()) });
    let app = init_service(App::new().wrap(from_fn(serving)).route("/", answer)).await;
    let mut body = Box::pin(call_service(&app, TestRequest::default().to_request()).await.into_body());
    let mut pieces = Vec::new();
    while let Some(piece) = poll_fn(|context| body.as_mut().poll_next(context)).await {
        pieces.push(piece.unwrap());
    }
    pieces
}

#[actix_web::test]
async fn a_large_body_comes_in_pieces() {
    const LARGE: &[u8] = &[b'a'; 2 * PIECE + 1];
    assert_eq!(pieces(&[LARGE, b"b"]).await, [&LARGE[..PIECE], &LARGE[..PIECE], b"a", b"b"]);
}

#[actix_web::test]
async fn a_small_body_comes_whole() {
    assert_eq!(pieces(&[b"one", b"two"]).await, ["one", "two"]);
}

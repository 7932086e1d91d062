//! One connection of a client, call by call.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use super::{Action, Call, Fault, Kind, Moment, Script};
use crate::Upstream;
use crate::upstream::BoxError;

/// An answer. That of a watch goes on for as long as somebody reads it.
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Serves a connection to its end. An error of a call closes it without an answer.
pub(super) async fn serve(client: TcpStream, upstream: Upstream, script: Script) {
    let _ = client.set_nodelay(true);
    let service = service_fn(move |request| one(request, upstream.clone(), script.clone()));
    // The client hears of it by the end of the connection.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
}

async fn one(request: Request<Incoming>, upstream: Upstream, script: Script) -> Result<Answer, BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call = script.tell(Call::of(&head, &body));
    let (noted, action) = script.meet(&call);
    match action {
        Some(Action::Signal(signal, Moment::Before)) => {
            script.signal(signal);
            return Err("the process does not live to make this call".into());
        }
        Some(Action::Fault(Fault::Drop)) => return Err("the connection is dropped".into()),
        Some(Action::Fault(Fault::Hang)) => return pending().await,
        Some(Action::Fault(Fault::Status(status))) => return Ok(refusal(status, &head.method)),
        Some(Action::Fault(Fault::Answer(status, body))) => return Ok(answer(status, body.to_owned())),
        Some(Action::Fault(Fault::Late(after))) => {
            // In a task of its own: this one ends with the connection of the caller, who does not wait for so long.
            tokio::spawn(late(Request::from_parts(head, body), after, upstream, script, noted));
            return pending().await;
        }
        Some(Action::Fault(Fault::CutWatches)) => script.cut_watches(),
        Some(Action::Signal(_, Moment::After) | Action::Fault(Fault::DropAnswer)) | None => {}
    }
    // Before the watch begins, so that a cut in between is not missed.
    let mut cuts = script.cuts();
    cuts.mark_unchanged();
    let response = upstream.send(Request::from_parts(head, body)).await?;
    script.answered(noted, response.status().as_u16());
    let (mut head, body) = response.into_parts();
    // It is about the connection to the far side.
    head.headers.remove(CONNECTION);
    if call.kind == Kind::Watch {
        if action == Some(Action::Fault(Fault::DropAnswer)) {
            return Err("the answer is dropped".into());
        }
        let cut = Box::pin(async move { drop(cuts.changed().await) });
        return Ok(Response::from_parts(head, Watched { body, cut }.boxed_unsync()));
    }
    // Read to its end, so that the call is over when something happens after it.
    let body = body.collect().await?.to_bytes();
    match action {
        Some(Action::Signal(signal, Moment::After)) => {
            script.signal(signal);
            // Who is only stopped finds the answer when it wakes.
            if signal != Signal::STOP {
                return Err("the process does not live to see this answer".into());
            }
        }
        Some(Action::Fault(Fault::DropAnswer)) => return Err("the answer is dropped".into()),
        _ => {}
    }
    Ok(Response::from_parts(head, full(body)))
}

async fn late(request: Request<Bytes>, after: Duration, upstream: Upstream, script: Script, noted: usize) -> Result<(), BoxError> {
    tokio::time::sleep(after).await;
    let response = upstream.send(request).await?;
    script.answered(noted, response.status().as_u16());
    response.into_body().collect().await?;
    Ok(())
}

/// An answer as the API server gives it in trouble. Airflow's have another form, of which nothing but the status counts.
fn refusal(status: u16, method: &http::Method) -> Answer {
    let reason = match status {
        409 if method == http::Method::POST => "AlreadyExists",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let message = format!("the proxy answers {status}");
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": status});
    let mut answer = answer(status, body.to_string());
    // Both say when they can be asked again.
    if matches!(status, 429 | 503) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn answer(status: u16, json: String) -> Answer {
    let mut response = Response::new(full(json.into()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn full(body: Bytes) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// The body of a watch, until it is cut.
struct Watched<F> {
    body: Incoming,
    cut: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Body for Watched<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the watch is cut".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }
}

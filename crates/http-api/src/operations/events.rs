//! `GET /api/v1/operations/{id}/events`: an operation as server-sent events.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{Either, FromRequest, HttpRequest, HttpResponse, Responder};
use actix_web_lab::sse::{self, Sse};
use dbt_controller_domain::model::OperationView;
use futures_util::{Stream, stream};
use paperclip::actix::{OperationModifier, api_v2_operation, web};
use paperclip::v2::models::{DataType, DefaultOperationRaw, DefaultSchemaRaw, Parameter, ParameterIn};
use paperclip::v2::schema::Apiv2Schema;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{EventAnswer, OperationAnswer, OperationPath};
use crate::answer::Empty;
use crate::app::ApiState;
use crate::error::ApiError;

/// Proxies and load balancers cut connections that are silent for 30 to 60 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// nginx would otherwise hold events back until its buffer is full.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follow an operation
///
/// Server-sent events: `phase` when a step begins, `progress` within it, `outcome` once at the end, with the whole operation as data; then
/// the stream ends. The id of an event is its number; a client that comes back with `Last-Event-ID` gets what it missed, and 204 when it
/// has seen the outcome. `gap` tells that events were dropped because there were too many. Comments keep the connection alive.
#[api_v2_operation(tags(Operations), operation_id = "followOperation")]
pub(crate) async fn follow_operation(
    state: Data<ApiState>,
    path: web::Path<OperationPath>,
    last_seen: LastEventId,
) -> Result<Followed, ApiError> {
    let id = path.parse()?;
    let views = state.controller.follow(&id).await?.ok_or_else(|| path.unknown())?;
    if outcome_number(&views.borrow()).is_some_and(|outcome| last_seen.0 >= outcome) {
        return Ok(Followed(Either::Right(Empty)));
    }
    let events = Story { views, seen: last_seen.0, ready: Vec::new(), ended: false, stop: state.stop.clone() };
    Ok(Followed(Either::Left(Box::pin(events.stream()))))
}

type EventStream = std::pin::Pin<Box<dyn Stream<Item = sse::Event>>>;

/// The stream, or nothing more to tell.
pub(crate) struct Followed(Either<EventStream, Empty>);

/// The number of the last event that the client has seen; 0 is none.
pub(crate) struct LastEventId(u64);

/// What is still to be told of an operation.
struct Story {
    views: watch::Receiver<Arc<OperationView>>,
    /// The number of the last event that was told.
    seen: u64,
    /// Events to tell next, the last one first.
    ready: Vec<sse::Event>,
    /// Whether the outcome was told.
    ended: bool,
    /// Ends the stream when the service stops; an open stream would hold it up.
    stop: CancellationToken,
}

/// Events that are not there any more.
#[derive(Debug, Serialize)]
struct Gap {
    first: u64,
    last: u64,
}

impl Story {
    fn stream(mut self) -> impl Stream<Item = sse::Event> {
        let view = self.views.borrow_and_update().clone();
        self.take(&view);
        stream::unfold(self, |mut story| async move { Some((story.next().await?, story)) })
    }

    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                // The sender goes away after the view that shows the end; without that view the client has to ask again.
                changed = self.views.changed() => changed.ok()?,
            }
            let view = self.views.borrow_and_update().clone();
            self.take(&view);
        }
    }

    /// Notes what a view has to tell that was not told yet. Views may be skipped: each holds the whole story.
    fn take(&mut self, view: &OperationView) {
        for event in &view.events {
            if event.sequence <= self.seen {
                continue;
            }
            if event.sequence > self.seen + 1 {
                let gap = Gap { first: self.seen + 1, last: event.sequence - 1 };
                self.ready.extend(message("gap", gap.last, &gap));
            }
            let name = if event.begins_phase { "phase" } else { "progress" };
            self.ready.extend(message(name, event.sequence, &EventAnswer::from(event)));
            self.seen = event.sequence;
        }
        if let Some(number) = outcome_number(view) {
            self.ready.extend(message("outcome", number, &OperationAnswer::from(view)));
            self.ended = true;
        }
        self.ready.reverse();
    }
}

/// The number of the event that tells the outcome; none before the end.
fn outcome_number(view: &OperationView) -> Option<u64> {
    view.outcome.as_ref()?;
    Some(view.events.last().map_or(0, |event| event.sequence) + 1)
}

fn message(name: &'static str, number: u64, data: &impl Serialize) -> Option<sse::Event> {
    let data = sse::Data::new_json(data).inspect_err(|error| tracing::error!(%error, "an event could not be written as JSON")).ok()?;
    Some(data.event(name).id(number.to_string()).into())
}

// === impl Followed ===

impl Responder for Followed {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self.0 {
            Either::Left(events) => {
                let events = Sse::from_infallible_stream(events).with_keep_alive(KEEP_ALIVE).with_retry_duration(RETRY);
                let mut response = events.respond_to(request).map_into_boxed_body();
                response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
                response
            }
            Either::Right(nothing) => nothing.respond_to(request),
        }
    }
}

impl Apiv2Schema for Followed {}

impl OperationModifier for Followed {
    fn update_response(operation: &mut DefaultOperationRaw) {
        Empty::update_response(operation);
    }
}

// === impl LastEventId ===

impl FromRequest for LastEventId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get(LAST_EVENT_ID);
        // An id that we never gave is no id: the client gets everything.
        ready(Ok(Self(header.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default())))
    }
}

impl Apiv2Schema for LastEventId {
    fn header_parameter_schema() -> Vec<Parameter<DefaultSchemaRaw>> {
        vec![Parameter {
            name: "Last-Event-ID".to_owned(),
            in_: ParameterIn::Header,
            description: Some("The id of the last event that the client has seen.".to_owned()),
            data_type: Some(DataType::String),
            ..Parameter::default()
        }]
    }
}

impl OperationModifier for LastEventId {}

#[cfg(test)]
mod tests;

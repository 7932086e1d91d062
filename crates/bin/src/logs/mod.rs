//! Logs: one line per event on standard error, as JSON or for people.
//!
//! A line carries the fields of the spans it happened in (the id of the request, of the operation, the release), so that it reads
//! well alone and everything about one of them is found by its value.

mod json;

use std::any::Any;
use std::io::{self, IsTerminal as _};
use std::panic;

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use dbt_controller_domain::operations::AUDIT_TARGET;

use crate::settings::{LogLevel, LogSettings};

/// Sends all events of this process to standard error, panics included.
pub(crate) fn start(settings: LogSettings) {
    Registry::default().with(layer(settings, io::stderr, io::stderr().is_terminal())).init();
    panic::set_hook(Box::new(|panic| {
        let message = panic_text(panic.payload());
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "a task panicked: {message}");
    }));
}

/// What the log says of a panic. A formatted message may quote a value, and values are secrets at times; where it happened tells enough.
fn panic_text(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("a formatted message, which is left out")
}

/// What writes the lines.
fn layer<S, W>(settings: LogSettings, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let filter = filter(settings.level);
    if settings.readable {
        lines.with_ansi(colours).with_filter(filter).boxed()
    } else {
        lines.fmt_fields(JsonFields::new()).event_format(json::FlatJson).with_filter(filter).boxed()
    }
}

/// Lines from this level on, and every span: a span that is off would take its fields away from the lines within.
fn filter(level: LogLevel) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let spans = level.max(LogLevel::INFO);
    let enabled = move |metadata: &Metadata<'_>| {
        // Who did what is told whatever else is.
        if metadata.target() == AUDIT_TARGET {
            return true;
        }
        let limit = if metadata.is_span() { spans } else { level };
        metadata.target() != RETOLD && *metadata.level() <= limit.min(most_of(metadata.target()))
    };
    FilterFn::new(enabled).with_max_level_hint(LevelFilter::from_level(spans))
}

/// The lowest level that is written of a target.
fn most_of(target: &str) -> LogLevel {
    let is_ours = target.starts_with("dbt_controller_") || target.starts_with("dbt_api_service_controller");
    if is_ours {
        LogLevel::TRACE
    } else if TELLTALES.contains(&target) {
        LogLevel::ERROR
    } else {
        // Libraries say too much below `info`, and some of it is what was sent and received.
        LogLevel::INFO
    }
}

/// What these warn of is the text of answers that they do not understand, and that may be a Secret; or a refusal that we tell ourselves.
const TELLTALES: [&str; 2] = ["kube_client::client", "kube_runtime::watcher"];

/// Each failed connection, without saying where to; our own lines say that, and what it means.
const RETOLD: &str = "kube_client::client::builder";

#[cfg(test)]
mod tests;

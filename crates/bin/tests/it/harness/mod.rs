//! Starts the built program and talks to it as its users do.

mod answer;
mod body;
mod process;
mod server;

pub(crate) use answer::Answer;
pub(crate) use body::Body;
pub(crate) use process::{program, run};
pub(crate) use server::{Server, TOKEN};

use std::time::Duration;

/// What no secret may be without, so that one search finds all of them.
pub(crate) const CANARY: &str = "CANARY";

/// How long anything may take before a test gives up. Far longer than needed: it shows that something never comes, not that it is slow.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a condition gives a value.
#[track_caller]
pub(crate) fn eventually<T, F: Future<Output = Option<T>>>(what: &str, condition: impl FnMut() -> F) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    let mut condition = condition;
    async move {
        let poll = async {
            loop {
                if let Some(value) = condition().await {
                    return value;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, poll).await.unwrap_or_else(|_| panic!("{caller}: never came: {what}"))
    }
}

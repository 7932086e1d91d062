//! What every suite needs to know of the adapter under test, and of the world around it.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::Identity;
use dbt_controller_domain::model::Namespace;

use crate::check::{Outcome, Stopped};
use crate::fixtures::{self, RequestBuilder};

/// Whether the harness could do what a check asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Hook {
    /// It is done.
    Done,
    /// It cannot be done here.
    NotSupported,
}

/// How the system behind the adapter behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FarSide {
    /// As usual.
    Answers,
    /// It refuses connections.
    Down,
    /// It takes requests and never answers.
    Hangs,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From a change until it can be seen, the start of a server included.
    pub change: Duration,
    /// A whole check.
    pub check: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { change: Duration::from_secs(30), check: Duration::from_secs(180) }
    }
}

/// What every harness has.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The namespace in which the checks work. It exists.
    fn namespace(&self) -> Namespace;

    /// What the names of projects begin with. Names are otherwise counted per process, so a far side that outlives the process needs
    /// another prefix each time.
    fn prefix(&self) -> String {
        "contract".to_owned()
    }

    /// How long to wait.
    fn patience(&self) -> Patience {
        Patience::default()
    }

    /// Hook: breaks the far side, or mends it. What is answered from memory need not change.
    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        let _ = far_side;
        Hook::NotSupported
    }
}

impl Hook {
    /// Goes on, or skips the check.
    pub(crate) fn or_skip(self, hook: &'static str) -> Outcome {
        match self {
            Self::Done => Ok(()),
            Self::NotSupported => Err(Stopped::Skipped(hook)),
        }
    }
}

/// An identity that no other check uses.
pub(crate) fn fresh_identity<H: Harness + ?Sized>(harness: &H) -> Identity {
    fixtures::fresh_identity(&harness.prefix())
}

/// A request for an identity that no other check uses, in the namespace of the checks.
pub(crate) fn fresh_request<H: Harness + ?Sized>(harness: &H) -> RequestBuilder {
    let identity = fresh_identity(harness);
    fixtures::request(identity.project().as_str(), identity.branch().map(|branch| branch.as_str())).namespace(harness.namespace().as_str())
}

/// Asks again and again until the answer is yes.
#[track_caller]
pub(crate) fn until<'a, H, F>(harness: &'a H, what: &'a str, ask: impl Fn() -> F + 'a) -> impl Future<Output = Outcome> + 'a
where
    H: Harness + ?Sized,
    F: Future<Output = Outcome<bool>> + 'a,
{
    let late = Stopped::broken(&format!("{what} was not seen in time"));
    async move {
        let limit = tokio::time::Instant::now() + harness.patience().change;
        while !ask().await? {
            if tokio::time::Instant::now() >= limit {
                return Err(late);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

//! What a controller does by itself, while its replica leads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Controller;
use crate::model::{Caller, ReleaseKey, Task};
use crate::operations::Operations;
use crate::workflows::list::Found;

/// How often the background work looks around, when `LOCK_STALE_AFTER` does not ask for more.
const BACKGROUND_PERIOD: Duration = Duration::from_secs(10);

/// How many servers are told at a time that their DAGs changed: each is an operation, with some calls to the cluster and to Airflow.
const FOLLOWING_AT_ONCE: usize = 10;

impl Controller {
    /// The background work: takes over what dead holders left, pays debts, drops what is past its retention, and lets servers follow
    /// their DAGs where that is wished. Runs until shutdown.
    pub async fn run_background(self: &Arc<Self>) {
        tokio::join!(self.recover(), self.clean_up(), async {
            if self.settings().sleep_with_dags {
                self.follow_dags().await;
            }
        });
    }

    async fn recover(&self) {
        let mut turns = self.turns();
        while turns.next().await {
            if let Err(error) = self.operations.recover().await {
                tracing::warn!(%error, "the background work is tried again later");
            }
        }
    }

    async fn clean_up(&self) {
        let mut turns = self.turns();
        while turns.next().await {
            if let Err(error) = self.operations.clean_up().await {
                tracing::warn!(%error, "what is past its retention is dropped later");
            }
        }
    }

    fn turns(&self) -> Turns<'_> {
        Turns::new(self, BACKGROUND_PERIOD.min(self.settings().lock_stale_after / 3))
    }

    async fn follow_dags(&self) {
        let mut turns = Turns::new(self, self.settings().dags_interval);
        // Where the next look goes on, so that servers which cannot follow do not take the place of others for ever.
        let mut last = None;
        while turns.next().await {
            // Airflow may take its time, and the stop of the service has none.
            let looked = tokio::select! {
                () = self.operations.closing() => return,
                looked = self.workflows.with_changed_dags() => looked,
            };
            match looked {
                Ok(changed) => last = self.let_follow(changed, last).await,
                Err(failure) => tracing::warn!(%failure, "the DAGs are looked at again later"),
            }
        }
    }

    /// Submits operations for servers that do not know yet what their DAGs are doing, beginning after this one. Returns the last of them.
    async fn let_follow(&self, mut changed: Vec<ReleaseKey>, after: Option<ReleaseKey>) -> Option<ReleaseKey> {
        changed.sort();
        let first = changed.iter().position(|key| Some(key) > after.as_ref()).unwrap_or_default();
        changed.rotate_left(first);
        let mut last = after;
        let mut room = FOLLOWING_AT_ONCE;
        for key in changed {
            // Whatever is under way notes the state itself, or is followed by another look.
            if self.operations.unfinished(&key.name).await.is_some() {
                continue;
            }
            if room == 0 {
                break;
            }
            room -= 1;
            last = Some(key.clone());
            if let Err(failure) = self.submit(Found { key: key.clone(), release: None }, Task::FollowDags, Caller::background()).await {
                tracing::warn!(release.name = %key.name, %failure, "the server follows its DAGs later");
            }
        }
        last
    }
}

/// The turns of something that is done again and again while this replica leads, until shutdown.
struct Turns<'a> {
    operations: &'a Operations,
    leader: watch::Receiver<bool>,
    period: Duration,
    next: Instant,
}

impl<'a> Turns<'a> {
    fn new(controller: &'a Controller, period: Duration) -> Self {
        let leader = controller.workflows.ports.operations.leadership();
        Self { operations: &controller.operations, leader, period, next: Instant::now() }
    }

    /// Waits for the next turn, the first of which is now; false at shutdown.
    async fn next(&mut self) -> bool {
        let turn = async {
            tokio::time::sleep_until(self.next).await;
            leads(&mut self.leader).await;
        };
        let is_turn = tokio::select! {
            () = self.operations.closing() => false,
            () = turn => true,
        };
        self.next = Instant::now() + self.period;
        is_turn
    }
}

/// Resolves while this replica does the background work.
async fn leads(leader: &mut watch::Receiver<bool>) {
    if leader.wait_for(|leads| *leads).await.is_err() {
        tracing::debug!("nobody says who leads; this replica does the background work alone");
    }
}

//! Reading operations: waiting for an end, following a story, looking one up. On any replica, whoever runs the operation.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::engine::{Operations, store_failure};
use crate::model::{Failure, FailureCode, FinishedOperation, OperationId, OperationRecord, OperationView, ReleaseKey, Ticket};
use crate::naming::ReleaseName;
use crate::ports::StoreError;

/// How long a watch may take to show what was written, before the store is asked.
const LAG: Duration = Duration::from_millis(250);

impl Operations {
    /// Waits for the end of an operation, whichever replica runs it.
    pub(crate) async fn wait(&self, ticket: &Ticket) -> Result<Arc<FinishedOperation>, Failure> {
        let mut closed = self.closed.subscribe();
        let mut is_awaited = true;
        loop {
            let mut record = self.store.watch(&ticket.key.name).await;
            loop {
                let seen = record.borrow_and_update().clone();
                match state_of(seen.as_deref(), &ticket.id) {
                    State::Ended(end) => return Ok(end),
                    State::UnderWay => {}
                    // The watch lags a little behind what was just written.
                    State::Unknown if is_awaited => {
                        is_awaited = false;
                        // Whatever comes of it, the record is looked at again.
                        let _ = tokio::time::timeout(LAG, record.changed()).await;
                        continue;
                    }
                    // It may lag longer; the store itself decides.
                    State::Unknown => match self.read(&ticket.key.name).await {
                        Ok(read) => match state_of(read.as_deref(), &ticket.id) {
                            State::Ended(end) => return Ok(end),
                            State::UnderWay => break,
                            State::Unknown => return Err(off_record(&ticket.id)),
                        },
                        // It is there and cannot be read: that does not pass by itself.
                        Err(error @ (StoreError::Unreadable(_) | StoreError::Unexpected(_))) => return Err(store_failure(&error)),
                        Err(error) => {
                            tracing::warn!(operation.id = %ticket.id, %error, "a caller waits until the operation can be read");
                            break;
                        }
                    },
                }
                tokio::select! {
                    biased;
                    change = record.changed() => if change.is_err() { break },
                    _ = closed.wait_for(|closed| *closed) => return Err(shut_down_under(&ticket.id)),
                    // A holder renews its lock six times in S, and a lost one is taken over after S + 1 s: nobody can write.
                    () = tokio::time::sleep(self.stale_after(seen.as_deref()) * 4) => return Err(stalled(&ticket.id)),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
                _ = closed.wait_for(|closed| *closed) => return Err(shut_down_under(&ticket.id)),
            }
        }
    }

    /// After how long without a sign of life the holder counts as gone, by its setting or by ours.
    fn stale_after(&self, record: Option<&OperationRecord>) -> Duration {
        let holders = record.and_then(|record| record.running.as_ref()).map(|running| running.stale_after);
        self.limits.lock_stale_after.max(holders.unwrap_or_default())
    }

    /// An operation's view: as it is now when it runs here, else the stored one.
    pub(crate) async fn view(&self, id: &OperationId) -> Result<Option<Arc<OperationView>>, StoreError> {
        Ok(self.locate(id).await?.map(|(_, view)| self.as_now(view)))
    }

    /// Every operation on record, by age; those that run here as they are now.
    pub(crate) async fn views(&self) -> Result<Vec<Arc<OperationView>>, StoreError> {
        let stored = self.store.list().await?;
        let views = stored.iter().flat_map(|stored| OperationView::all_of(&stored.record));
        let mut views: Vec<_> = views.map(|view| self.as_now(view)).collect();
        views.sort_by(|a, b| (a.info.submitted_at, &a.info.id).cmp(&(b.info.submitted_at, &b.info.id)));
        Ok(views)
    }

    /// A stored view, or the newer one of its run here. An end that is on record stands: the run learns of it a moment later, or much later when the
    /// answer to its last write is lost, and callers may have been answered by then.
    fn as_now(&self, stored: OperationView) -> Arc<OperationView> {
        let live = if stored.finished_at.is_none() { self.live(&stored.info.id) } else { None };
        live.map_or_else(|| Arc::new(stored), |run| run.view().borrow().clone())
    }

    /// Follows an operation to its end, through its turns on this and on other replicas.
    pub(crate) async fn follow(&self, id: &OperationId) -> Result<Option<watch::Receiver<Arc<OperationView>>>, StoreError> {
        let Some((key, view)) = self.locate(id).await? else { return Ok(None) };
        let (sender, receiver) = watch::channel(Arc::new(view));
        let (Some(engine), id) = (self.this.upgrade(), id.clone()) else { return Ok(None) };
        tokio::spawn(async move { engine.feed(&key.name, &id, &sender).await });
        Ok(Some(receiver))
    }

    /// The unfinished operations of a release, as last seen.
    pub(crate) async fn unfinished(&self, release: &ReleaseName) -> Option<Arc<OperationRecord>> {
        let record = self.store.watch(release).await.borrow().clone();
        record.filter(|record| record.unfinished().next().is_some())
    }

    /// The record as it is in the store now.
    pub(crate) async fn read(&self, release: &ReleaseName) -> Result<Option<Arc<OperationRecord>>, StoreError> {
        Ok(self.store.read(release).await?.map(|stored| stored.record))
    }

    /// The live view of what runs or waits for a release now, the running operation first.
    pub(crate) async fn current(&self, release: &ReleaseKey) -> Option<Arc<OperationView>> {
        let record = self.unfinished(&release.name).await?;
        let id = record.unfinished().find(|(info, _)| info.key == *release).map(|(info, _)| info.id.clone())?;
        match self.live(&id) {
            Some(run) => Some(run.view().borrow().clone()),
            None => OperationView::all_of(&record).into_iter().find(|view| view.info.id == id).map(Arc::new),
        }
    }

    /// Sends each change of an operation's view until its end.
    async fn feed(&self, release: &ReleaseName, id: &OperationId, sender: &watch::Sender<Arc<OperationView>>) {
        let mut closed = self.closed.subscribe();
        let mut record = self.store.watch(release).await;
        loop {
            let stored = record.borrow_and_update().as_deref().map(OperationView::all_of).unwrap_or_default();
            let stored = stored.into_iter().find(|view| &view.info.id == id);
            let has_ended = stored.as_ref().is_some_and(|view| view.finished_at.is_some());
            let view = self.live(id).filter(|_| !has_ended).map(|run| run.view());
            match (&view, stored) {
                (Some(live), _) => sender.send_replace(live.borrow().clone()),
                (None, Some(view)) => sender.send_replace(Arc::new(view)),
                (None, None) => return,
            };
            if sender.borrow().finished_at.is_some() {
                return;
            }
            tokio::select! {
                () = changed(view) => {}
                change = record.changed() => if change.is_err() { return },
                () = sender.closed() => return,
                _ = closed.wait_for(|closed| *closed) => return,
            }
        }
    }

    async fn locate(&self, id: &OperationId) -> Result<Option<(ReleaseKey, OperationView)>, StoreError> {
        let stored = self.store.list().await?;
        let Some(stored) = stored.iter().find(|stored| stored.record.holds(id)) else { return Ok(None) };
        let view = OperationView::all_of(&stored.record).into_iter().find(|view| &view.info.id == id);
        Ok(view.map(|view| (stored.record.key.clone(), view)))
    }
}

/// Resolves at the next change of a live view; never without one.
async fn changed(view: Option<watch::Receiver<Arc<OperationView>>>) {
    match view {
        // The receiver is fresh, so what it was made with counts as seen.
        Some(mut view) => drop(view.changed().await),
        None => std::future::pending().await,
    }
}

/// What a record says of an operation.
enum State {
    Ended(Arc<FinishedOperation>),
    UnderWay,
    Unknown,
}

fn state_of(record: Option<&OperationRecord>, id: &OperationId) -> State {
    let Some(record) = record else { return State::Unknown };
    match record.finished(id) {
        Some(finished) => State::Ended(Arc::clone(finished)),
        None if record.holds(id) => State::UnderWay,
        None => State::Unknown,
    }
}

fn stalled(id: &OperationId) -> Failure {
    Failure::new(
        FailureCode::ClusterUnavailable,
        format!("operation `{id}` makes no progress, because its record cannot be written; it goes on when the cluster takes writes again"),
    )
}

/// Withdrawn before it began, for its name was taken at the same moment; or ended so long ago that it was dropped meanwhile.
fn off_record(id: &OperationId) -> Failure {
    let message =
        format!("operation `{id}` is no longer on record; look at the deployment, and send the request again if it was not carried out");
    Failure::new(FailureCode::Interrupted, message)
}

fn shut_down_under(id: &OperationId) -> Failure {
    Failure::new(
        FailureCode::ShuttingDown,
        format!(
            "the service stopped before operation `{id}` ended; another replica or the next start goes on with it, where operations outlive the process"
        ),
    )
}

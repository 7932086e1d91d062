//! A run by itself, for tests of workflows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::placement::{Scene, promote};
use super::records::Known;
use super::run::Run;
use crate::model::{HolderId, OperationRecord, QueuedOperation, RunningOperation};
use crate::ports::{Clock, Fence, OperationStore, Version};

/// The setting of the services in tests.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(30);

/// A run of this operation as if the engine had just started it; `prepare` may change what an earlier holder left.
pub(crate) fn run_of(
    store: Arc<dyn OperationStore>,
    clock: Arc<dyn Clock>,
    operation: QueuedOperation,
    prepare: impl FnOnce(&mut RunningOperation),
) -> Run {
    let holder = HolderId("holder-1".to_owned());
    let mut record = OperationRecord { waiting: vec![operation.clone()], ..OperationRecord::empty(operation.info.key) };
    promote(&mut record, &Scene { now: clock.now(), holder: &holder, stale: false, stale_after: STALE_AFTER });
    let mut running = record.running.take().unwrap();
    prepare(&mut running);
    record.running = Some(running.clone());
    let known = Known { version: Some(Version("first".to_owned())), record: Arc::new(record), lock_age: Duration::ZERO };
    let fence = Fence::new(STALE_AFTER, Instant::now());
    Run::new(store, clock, known, running, fence)
}

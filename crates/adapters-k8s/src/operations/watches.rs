//! The watches of single records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dbt_controller_domain::ReleaseName;
use dbt_controller_domain::model::OperationRecord;
use tokio::sync::watch;

type Record = Option<Arc<OperationRecord>>;

/// One sender per record that somebody watches.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    senders: HashMap<ReleaseName, watch::Sender<Record>>,
    /// How many senders there may be before those are dropped that nobody listens to.
    limit: usize,
}

impl Watches {
    /// A watch of a record. `present` is asked for the record while no change can come in between.
    pub(super) fn watch(&self, release: &ReleaseName, present: impl FnOnce() -> Record) -> watch::Receiver<Record> {
        let mut table = self.table();
        if table.senders.len() > table.limit {
            table.senders.retain(|_, sender| sender.receiver_count() > 0);
            // Doubling makes this a constant effort per watch.
            table.limit = (table.senders.len() * 2).max(64);
        }
        table.senders.entry(release.clone()).or_insert_with(|| watch::Sender::new(present())).subscribe()
    }

    /// Shows a record to those who watch it.
    pub(super) fn show(&self, release: &ReleaseName, record: Record) {
        let mut table = self.table();
        match table.senders.get(release) {
            Some(sender) if sender.receiver_count() > 0 => {
                sender.send_replace(record);
            }
            Some(_) => {
                table.senders.remove(release);
            }
            None => {}
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // Each change replaces one entry; a panic elsewhere cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

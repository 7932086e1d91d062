//! Looks into records that nobody needed to look into before.
//!
//! Superseded revisions are not decoded. When somebody deletes the records above one of them by hand, it becomes the newest, and the
//! list has to tell what is in it.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_kube_access::{READ_LIMIT, call};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::revision::Entry;
use super::table::Table;
use crate::record::RecordKey;

/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// The task; it ends with this.
pub(super) struct Reader(AbortHandle);

impl Reader {
    pub(super) fn start(client: Client, mut wanted: UnboundedReceiver<RecordKey>, table: Arc<Table>) -> Self {
        let task = tokio::spawn(async move {
            while let Some(key) = wanted.recv().await {
                read(&client, &key, &table).await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads one record until it is read, or is no longer wanted.
async fn read(client: &Client, key: &RecordKey, table: &Table) {
    let api = Api::<Secret>::namespaced(client.clone(), key.release.namespace.as_str());
    while table.wants(key) {
        match call(READ_LIMIT, api.get_opt(&key.secret_name())).await {
            Ok(Some(secret)) => return table.fill(key, Entry::read(key.clone(), &secret)),
            // The watch will tell.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(release.name = %key.release.name, %error, "a release record is read again later");
                sleep(PAUSE).await;
            }
        }
    }
}

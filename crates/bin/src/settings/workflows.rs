//! How the workflows behave.

use std::time::Duration;

use dbt_controller_domain::model::{Namespace, Patience, Settings};

use super::reader::{Noted, Reader};
use super::table::{
    ALLOWED_NAMESPACES, CRASH_LOOP_RESTARTS, DAGS_INTERVAL, DEPLOY_TIMEOUT, KUBERNETES_NAMESPACE, LOCK_STALE_AFTER,
    MAX_CONCURRENT_DEPLOYMENTS, MAX_QUEUED_OPERATIONS, NO_POD_WINDOW, OPERATION_RETENTION, PULL_ERROR_WINDOW, SLEEP_WITH_DAGS,
    UNDO_TIMEOUT,
};
use super::values;

/// A sixth of it is the time between two signs of life, and the API server's clock, by which others judge, counts whole seconds.
const SHORTEST_LOCK: Duration = Duration::from_secs(6);
/// A wait of no time at all would end before the first look.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Each look reads all DAGs of Airflow.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn read(reader: &mut Reader) -> Result<Settings, Noted> {
    let namespaces = read_namespaces(reader);
    let deploy_timeout = reader.value(DEPLOY_TIMEOUT, values::duration_from(SHORTEST_TIMEOUT));
    let undo_timeout = reader.value(UNDO_TIMEOUT, values::duration_from(SHORTEST_TIMEOUT));
    let max_concurrent = reader.value(MAX_CONCURRENT_DEPLOYMENTS, values::number(1, 100_000));
    let max_queued = reader.value(MAX_QUEUED_OPERATIONS, values::number(0, 1_000_000));
    let operation_retention = reader.value(OPERATION_RETENTION, values::duration_from(Settings::SHORTEST_RETENTION));
    let lock_stale_after = reader.value(LOCK_STALE_AFTER, values::duration_from(SHORTEST_LOCK));
    let patience = read_patience(reader);
    let sleep_with_dags = reader.value(SLEEP_WITH_DAGS, values::flag);
    let dags_interval = reader.value(DAGS_INTERVAL, values::duration_from(SHORTEST_INTERVAL));
    Ok(Settings {
        namespaces: namespaces?,
        deploy_timeout: deploy_timeout?,
        undo_timeout: undo_timeout?,
        max_concurrent: max_concurrent?,
        max_queued: max_queued?,
        operation_retention: operation_retention?,
        lock_stale_after: lock_stale_after?,
        patience: patience?,
        sleep_with_dags: sleep_with_dags?,
        dags_interval: dags_interval?,
    })
}

/// The service's own namespace first, each once.
fn read_namespaces(reader: &mut Reader) -> Result<Vec<Namespace>, Noted> {
    let home = reader.value(KUBERNETES_NAMESPACE, |text| text.parse::<Namespace>());
    let further = reader.optional(ALLOWED_NAMESPACES, values::namespaces);
    let mut namespaces = vec![home?];
    for namespace in further?.unwrap_or_default() {
        if !namespaces.contains(&namespace) {
            namespaces.push(namespace);
        }
    }
    Ok(namespaces)
}

fn read_patience(reader: &mut Reader) -> Result<Patience, Noted> {
    let pull_error_window = reader.value(PULL_ERROR_WINDOW, values::duration);
    let crash_loop_restarts = reader.value(CRASH_LOOP_RESTARTS, values::number(1, 1_000));
    let no_pod_window = reader.value(NO_POD_WINDOW, values::duration);
    Ok(Patience { pull_error_window: pull_error_window?, crash_loop_restarts: crash_loop_restarts?, no_pod_window: no_pod_window? })
}

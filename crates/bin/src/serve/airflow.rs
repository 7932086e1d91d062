//! The adapter of Airflow.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_airflow::{AirflowConnections, AirflowSettings};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore};

use crate::system::SystemClock;

/// Between two looks at an Airflow that cannot be worked with.
const PAUSE: Duration = Duration::from_secs(30);

/// The connections of the Airflow that the settings name. They start whether or not it answers.
///
/// # Errors
/// If no HTTP client can be made.
pub(super) fn connected(settings: AirflowSettings) -> anyhow::Result<Arc<dyn ConnectionStore>> {
    let connections: Arc<dyn ConnectionStore> = Arc::new(AirflowConnections::new(settings, Arc::new(SystemClock))?);
    tokio::spawn(tell(Arc::clone(&connections)));
    Ok(connections)
}

/// Says which Airflow it is and, until it can be worked with, what stands in the way.
async fn tell(connections: Arc<dyn ConnectionStore>) {
    let mut told = String::new();
    loop {
        let trouble = match connections.check().await {
            Ok(health) if health.role_sufficient => {
                return tracing::info!(airflow.version = health.version, "Airflow answers, and our account may manage its connections");
            }
            Ok(health) => format!("our account may not manage the connections of Airflow {}: give it the role Op or Admin", health.version),
            Err(error @ (ConnectionError::Unavailable(_) | ConnectionError::Unreachable(_) | ConnectionError::Fenced(_))) => {
                format!("{error}; deployments are refused until it does")
            }
            Err(error) => error.to_string(),
        };
        if trouble != told {
            tracing::warn!("{trouble}");
            told = trouble;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

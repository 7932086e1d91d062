//! The port to Airflow.

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    AllDagsReading, Connection, ConnectionStoreHealth, DagsReading, DeleteOutcome, PutOutcome, StoredConnection,
};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore, Fence};

use crate::faults::Call;
use crate::world::{AirflowLink, Inner, Scene};

/// The version that this Airflow reports.
const VERSION: &str = "3.3.2";

/// The Airflow of a world.
#[derive(Debug)]
pub struct MemoryConnections(pub(crate) Arc<Inner>);

#[async_trait]
impl ConnectionStore for MemoryConnections {
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError> {
        let get = |scene: &mut Scene<'_>| Ok(scene.state.airflow.get(id).map(|entry| entry.seen.clone()));
        self.0.call(Call::ConnectionsGet, None, get).await
    }

    async fn put<'a>(
        &self,
        connection: &Connection,
        _known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError> {
        // A real adapter must look again, and can only hope that nothing changes between its look and its write; here both are one step,
        // so what the caller saw before does not matter.
        self.0.call(Call::ConnectionsPut, Some(fence), |scene| scene.state.airflow.put(connection)).await
    }

    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError> {
        self.0.call(Call::ConnectionsDelete, Some(fence), |scene| Ok(scene.state.airflow.delete(id))).await
    }

    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError> {
        self.0.call(Call::ConnectionsListOurs, None, |scene| Ok(scene.state.airflow.ours().cloned().collect())).await
    }

    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError> {
        let health = |scene: &mut Scene<'_>| {
            let role_sufficient = scene.state.airflow_link != AirflowLink::RoleTooLow;
            Ok(ConnectionStoreHealth { version: VERSION.to_owned(), role_sufficient })
        };
        self.0.call(Call::ConnectionsCheck, None, health).await
    }

    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError> {
        let dags = |scene: &mut Scene<'_>| Ok(DagsReading { dags: scene.state.airflow.dags(release), read_at: scene.timestamp() });
        self.0.call(Call::ConnectionsDags, None, dags).await
    }

    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError> {
        let dags = |scene: &mut Scene<'_>| Ok(AllDagsReading { dags: scene.state.airflow.all_dags(), read_at: scene.timestamp() });
        self.0.call(Call::ConnectionsAllDags, None, dags).await
    }
}

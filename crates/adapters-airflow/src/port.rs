//! The port.

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    AllDagsReading, Connection, ConnectionStoreHealth, DagsReading, DeleteOutcome, Namespace, PutOutcome, StoredConnection,
};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::{Clock, ConnectionError, ConnectionStore, Fence};

use crate::fault::Fault;
use crate::leave::Leave;
use crate::session::Session;
use crate::settings::{AirflowSettings, SetupError};
use crate::sharing::Sharing;
use crate::transport::Transport;
use crate::{check, client, connections, dags, put};

/// The connections of an Airflow 2 or 3.
pub struct AirflowConnections {
    session: Session,
    home: Namespace,
    clock: Arc<dyn Clock>,
    ours: Sharing<Vec<StoredConnection>>,
    dags: Sharing<AllDagsReading>,
}

impl AirflowConnections {
    /// Makes no call: which Airflow it is, and whether it can be worked with, is seen at the first one (or by `check`).
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(settings: AirflowSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let base = settings.base()?;
        let AirflowSettings { url: _, user, password, ca_certificates, namespace } = settings;
        let client = client::client(base.is_encrypted(), ca_certificates.as_deref())?;
        let session = Session::new(Transport::new(client, base), user, password);
        Ok(Self { session, home: namespace, clock, ours: Sharing::new(), dags: Sharing::new() })
    }
}

#[async_trait]
impl ConnectionStore for AirflowConnections {
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError> {
        Ok(connections::get(&self.session, id, &self.home).await?)
    }

    async fn put<'a>(
        &self,
        connection: &Connection,
        known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError> {
        put::put(&self.session, connection, known, &self.home, &Leave::to_write(fence)).await
    }

    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError> {
        Ok(connections::delete(&self.session, id, &Leave::to_write(fence)).await?)
    }

    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError> {
        let ours = self.ours.read(async || connections::list_ours(&self.session, &self.home).await).await?;
        Ok(Vec::clone(&ours))
    }

    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError> {
        Ok(check::check(&self.session).await?)
    }

    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError> {
        let all = self.read_dags().await?;
        Ok(DagsReading { dags: all.dags.get(release).cloned().unwrap_or_default(), read_at: all.read_at })
    }

    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError> {
        Ok(AllDagsReading::clone(&*self.read_dags().await?))
    }
}

impl AirflowConnections {
    async fn read_dags(&self) -> Result<Arc<AllDagsReading>, Fault> {
        let read = async || {
            // What is read is at least as young as this.
            let read_at = self.clock.now();
            Ok(AllDagsReading { dags: dags::all(&self.session).await?, read_at })
        };
        self.dags.read(read).await
    }
}

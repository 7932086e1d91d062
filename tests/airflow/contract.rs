//! The contract suite, none of its checks skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore, Fence};
use dbt_controller_port_contracts::{ConnectionHarness, FarSide, Harness, Hook, Patience, connection_store, fixtures};
use dbt_controller_tests::{Link, Mode};
use secrecy::SecretString;
use serde_json::json;

use crate::adapter::{adapter, prefix, settings};
use dbt_controller_tests::airflow::{Server, admin, tables};

/// The adapter with the right password and with a wrong one.
struct TwoLogins {
    right: Arc<dyn ConnectionStore>,
    wrong: Arc<dyn ConnectionStore>,
    refuse: AtomicBool,
}

impl TwoLogins {
    fn store(&self) -> &dyn ConnectionStore {
        if self.refuse.load(Ordering::SeqCst) { &*self.wrong } else { &*self.right }
    }
}

#[async_trait]
impl ConnectionStore for TwoLogins {
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError> {
        self.store().get(id).await
    }

    async fn put<'a>(
        &self,
        connection: &Connection,
        known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError> {
        self.store().put(connection, known, fence).await
    }

    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError> {
        self.store().delete(id, fence).await
    }

    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError> {
        self.store().list_ours().await
    }

    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError> {
        self.store().check().await
    }

    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError> {
        self.store().dags(release).await
    }

    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError> {
        self.store().all_dags().await
    }
}

struct Real {
    server: Server,
    link: Link,
    store: Arc<TwoLogins>,
}

#[async_trait]
impl Harness for Real {
    fn namespace(&self) -> Namespace {
        fixtures::namespace()
    }

    fn prefix(&self) -> String {
        prefix("contract")
    }

    fn patience(&self) -> Patience {
        Patience { check: Duration::from_secs(300), ..Patience::default() }
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        self.link.set(match far_side {
            FarSide::Answers => Mode::Answers,
            FarSide::Down => Mode::Down,
            FarSide::Hangs => Mode::Hangs,
        });
        Hook::Done
    }
}

#[async_trait]
impl ConnectionHarness for Real {
    fn connections(&self) -> Arc<dyn ConnectionStore> {
        Arc::clone(&self.store) as _
    }

    async fn plant_foreign(&self, id: &ConnectionId) -> Hook {
        let fields = json!({
            "conn_id": id.as_str(), "conn_type": "postgres", "host": "warehouse.example.com", "schema": "public", "login": "somebody",
            "password": "somebodys", "port": 5432, "extra": "{\"a\": 1}", "description": "the warehouse of team blue",
        });
        tables::set_connection(&self.server, &fields).await;
        Hook::Done
    }

    async fn password(&self, id: &ConnectionId) -> Result<Option<SecretString>, Hook> {
        Ok(tables::password(&self.server, id.as_str()).await.map(SecretString::from))
    }

    async fn set_dag(&self, release: &ReleaseName, id: &str, paused: bool) -> Hook {
        tables::set_dag(&self.server, id, &format!("Release: {release}"), paused).await;
        Hook::Done
    }

    async fn refuse_login(&self, refuse: bool) -> Hook {
        self.store.refuse.store(refuse, Ordering::SeqCst);
        Hook::Done
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    let server = Server::shared();
    let link = Link::to(&server.address());
    let url = format!("http://{}", link.address());
    let wrong = (admin().0, "wrong-password".to_owned());
    let store = TwoLogins {
        right: Arc::new(adapter(settings(&url, admin()))),
        wrong: Arc::new(adapter(settings(&url, wrong))),
        refuse: AtomicBool::new(false),
    };
    connection_store(&Real { server, link, store: Arc::new(store) }).await.assert_kept_and_complete();
}

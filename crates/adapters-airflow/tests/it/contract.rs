//! The contract suite against a played Airflow of both generations.

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::model::Namespace;
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::ConnectionStore;
use dbt_controller_port_contracts::{ConnectionHarness, FarSide, Harness, Hook, connection_store};
use secrecy::SecretString;
use serde_json::json;

use crate::airflow::Airflow;
use crate::harness::{adapter_of, namespace};
use crate::stub::Play;

struct Played {
    airflow: Airflow,
    store: Arc<dyn ConnectionStore>,
}

#[async_trait]
impl Harness for Played {
    fn namespace(&self) -> Namespace {
        namespace()
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        self.airflow.state().always = match far_side {
            FarSide::Answers => None,
            FarSide::Down => Some(Play::Close),
            FarSide::Hangs => Some(Play::Hang),
        };
        Hook::Done
    }
}

#[async_trait]
impl ConnectionHarness for Played {
    fn connections(&self) -> Arc<dyn ConnectionStore> {
        Arc::clone(&self.store)
    }

    async fn plant_foreign(&self, id: &ConnectionId) -> Hook {
        let foreign = json!({
            "connection_id": id.as_str(), "conn_type": "postgres", "host": "warehouse.example.com", "login": "somebody",
            "password": "somebodys", "port": 5432, "schema": "public", "extra": "{\"a\": 1}", "description": "the warehouse",
        });
        self.airflow.state().connections.insert(id.to_string(), foreign.as_object().unwrap().clone());
        Hook::Done
    }

    async fn password(&self, id: &ConnectionId) -> Result<Option<SecretString>, Hook> {
        let state = self.airflow.state();
        let stored = state.connections.get(id.as_str());
        Ok(stored.and_then(|stored| Some(SecretString::from(stored["password"].as_str()?))))
    }

    async fn set_dag(&self, release: &ReleaseName, id: &str, paused: bool) -> Hook {
        self.airflow.state().dags.insert(id.to_owned(), (format!("Release: {release}"), paused));
        Hook::Done
    }

    async fn refuse_login(&self, refuse: bool) -> Hook {
        self.airflow.state().refuse_login = refuse;
        Hook::Done
    }
}

async fn keeps(generation: u8) {
    let airflow = Airflow::start(generation).await;
    airflow.state().dags.insert("odd".to_owned(), ("Release: No_Release".to_owned(), false));
    let store = Arc::new(adapter_of(&airflow));
    connection_store(&Played { airflow, store }).await.assert_kept_and_complete();
}

#[tokio::test]
async fn the_contract_is_kept_with_airflow_2() {
    keeps(2).await;
}

#[tokio::test]
async fn the_contract_is_kept_with_airflow_3() {
    keeps(3).await;
}

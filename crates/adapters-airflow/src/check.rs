//! Whether Airflow can be worked with.

use dbt_controller_domain::model::ConnectionStoreHealth;

use crate::ask::{Ask, Slice};
use crate::detection::Api;
use crate::fault::Fault;
use crate::leave::Leave;
use crate::session::Session;

const ONE: Slice = Slice { offset: 0, limit: 1 };

/// Asks for the version, and whether connections may be read and written. Changes nothing.
pub(crate) async fn check(session: &Session) -> Result<ConnectionStoreHealth, Fault> {
    let leave = Leave::to_read();
    let found = session.find(&leave).await?;
    let role_sufficient = may_read(session, found.api, &leave).await? && may_write(session, &leave).await?;
    Ok(ConnectionStoreHealth { version: found.version, role_sufficient })
}

async fn may_read(session: &Session, api: Api, leave: &Leave<'_>) -> Result<bool, Fault> {
    match session.insist(&Ask::Connections(ONE), leave).await {
        Ok(_) => Ok(true),
        // Airflow 2 says the same of a wrong login. Every role may list DAGs, so who may not is not logged in.
        Err(Fault::Role(_)) if api == Api::V1 => session.insist(&Ask::Dags(ONE), leave).await.map(|_| false),
        Err(Fault::Role(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

async fn may_write(session: &Session, leave: &Leave<'_>) -> Result<bool, Fault> {
    match session.insist(&Ask::MayWrite, leave).await {
        // Rights are looked at before the content.
        Ok(_) | Err(Fault::Absent | Fault::Rejected(_)) => Ok(true),
        Err(Fault::Role(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

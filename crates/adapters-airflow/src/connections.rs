//! Reading and deleting connections.

use dbt_controller_domain::model::{DeleteOutcome, Namespace, StoredConnection};
use dbt_controller_domain::naming::ConnectionId;
use serde::Deserialize;

use crate::ask::Ask;
use crate::body::Read;
use crate::fault::Fault;
use crate::leave::Leave;
use crate::pages::{Page, read_all};
use crate::reply::Reply;
use crate::session::Session;

/// A connection, or none.
pub(crate) async fn get(session: &Session, id: &ConnectionId, home: &Namespace) -> Result<Option<StoredConnection>, Fault> {
    found(session.insist(&Ask::Connection(id), &Leave::to_read()).await, id, home)
}

/// Looks once at a connection that is about to be written.
pub(crate) async fn look(
    session: &Session,
    id: &ConnectionId,
    home: &Namespace,
    leave: &Leave<'_>,
) -> Result<Option<StoredConnection>, Fault> {
    found(session.ask(&Ask::Connection(id), leave).await, id, home)
}

fn found(answer: Result<Reply, Fault>, id: &ConnectionId, home: &Namespace) -> Result<Option<StoredConnection>, Fault> {
    match answer {
        Ok(reply) => Ok(Some(Read::from_reply(&reply, id)?.into_stored(id, home))),
        Err(Fault::Absent) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Deletes a connection; tried once. Before another try somebody may have made their own of this id: whose it is by then is for the caller to
/// find out, who knows whose it was.
pub(crate) async fn delete(session: &Session, id: &ConnectionId, leave: &Leave<'_>) -> Result<DeleteOutcome, Fault> {
    match session.ask(&Ask::Delete(id), leave).await {
        Ok(_) => Ok(DeleteOutcome::Deleted),
        Err(Fault::Absent) => Ok(DeleteOutcome::Absent),
        Err(fault) => Err(fault),
    }
}

/// Every connection that is ours, by id. On Airflow 2 a list does not show the extras, so it cannot tell whether one is filled.
pub(crate) async fn list_ours(session: &Session, home: &Namespace) -> Result<Vec<StoredConnection>, Fault> {
    let all = read_all(session, Ask::Connections, page).await?;
    let stored = all.into_iter().filter_map(|(id, read)| {
        // What is no id to us can be made in Airflow's web page, and is nobody's of ours.
        let id = id.parse::<ConnectionId>().ok()?;
        Some(read.into_stored(&id, home))
    });
    Ok(stored.filter(|connection| connection.owner.is_some()).collect())
}

#[derive(Deserialize)]
struct List {
    connections: Vec<Read>,
    total_entries: usize,
}

fn page(reply: &Reply) -> Result<Page<Read>, Fault> {
    let List { connections, total_entries } = reply.json()?;
    let entries = connections.into_iter().map(|read| (read.connection_id.clone(), read)).collect();
    Ok(Page { entries, total: total_entries })
}

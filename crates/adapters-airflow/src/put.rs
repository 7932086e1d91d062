//! Writing a connection.

use dbt_controller_domain::model::{Connection, Namespace, PutOutcome, StoredConnection};
use dbt_controller_domain::ports::ConnectionError;

use crate::ask::Ask;
use crate::body::Read;
use crate::connections::look;
use crate::content;
use crate::fault::Fault;
use crate::leave::Leave;
use crate::retry::Pauses;
use crate::session::Session;

/// How often a connection may change under our hands before that is called a fault.
const MOST_STEPS: usize = 12;
/// How much of somebody's description a message shows.
const SHOWN_DESCRIPTION: usize = 80;

/// What we know of the connection in Airflow.
#[derive(Debug, Clone, Copy)]
enum View {
    /// Nothing.
    Unknown,
    /// There is none.
    None,
    /// There is one, and it is of the same owner.
    Ours,
}

/// Which writes may be done though no answer said so.
#[derive(Debug, Default)]
struct Unknown {
    create: bool,
    change: bool,
}

/// Writes a connection whole, if it is not there or is its owner's.
///
/// Airflow writes on no condition, so each change follows a look at whose the connection is. A create needs none: it fails when there
/// is one. After a write whose answer was lost, and after every answer that shows another state than was seen, it is looked at again.
///
/// It is `Unreachable` that tells the caller that nothing was written, whatever was in the way.
pub(crate) async fn put(
    session: &Session,
    connection: &Connection,
    known: Option<&StoredConnection>,
    home: &Namespace,
    leave: &Leave<'_>,
) -> Result<PutOutcome, ConnectionError> {
    let mut unknown = Unknown::default();
    insist(session, connection, known, home, leave, &mut unknown).await.map_err(|fault| match fault.into() {
        ConnectionError::Unavailable(why) if !unknown.create && !unknown.change => ConnectionError::Unreachable(why),
        error => error,
    })
}

async fn insist(
    session: &Session,
    connection: &Connection,
    known: Option<&StoredConnection>,
    home: &Namespace,
    leave: &Leave<'_>,
    unknown: &mut Unknown,
) -> Result<PutOutcome, Fault> {
    content::check(connection)?;
    let mut pauses = Pauses::new();
    let mut view = if known.is_some() { View::Unknown } else { View::None };
    for _ in 0..MOST_STEPS {
        let step = match view {
            View::Unknown => look(session, &connection.id, home, leave).await.and_then(|found| judge(found, connection)),
            View::None => match write(session, &Ask::Create(connection), connection, leave).await {
                Ok(()) => return Ok(PutOutcome::Created),
                Err(Fault::Exists) => Ok(View::Unknown),
                Err(fault) => {
                    unknown.create |= fault.may_be_done();
                    Err(fault)
                }
            },
            // Also what a lost create left: nobody knows whether it was that one, with this password.
            View::Ours => match write(session, &Ask::Change(connection), connection, leave).await {
                Ok(()) if unknown.create => return Ok(PutOutcome::Created),
                Ok(()) => return Ok(PutOutcome::Updated),
                Err(Fault::Absent) => Ok(View::None),
                // No answer to a change that Airflow is known to give: something was written at the same moment.
                Err(Fault::Exists) => Ok(View::Unknown),
                Err(fault) => {
                    unknown.change |= fault.may_be_done();
                    Err(fault)
                }
            },
        };
        view = match step {
            Ok(view) => view,
            Err(fault) => {
                pauses.after(fault, leave).await?;
                View::Unknown
            }
        };
    }
    let why = "the connection is changed by others faster than it can be written".to_owned();
    Err(Fault::Later { why, after: None, arrived: false })
}

async fn write(session: &Session, ask: &Ask<'_>, connection: &Connection, leave: &Leave<'_>) -> Result<(), Fault> {
    let reply = session.ask(ask, leave).await?;
    Read::from_reply(&reply, &connection.id).map(drop)
}

fn judge(found: Option<StoredConnection>, connection: &Connection) -> Result<View, Fault> {
    match found {
        None => Ok(View::None),
        Some(found) if found.owner.as_ref() == Some(&connection.owner) => Ok(View::Ours),
        Some(found) => Err(Fault::Taken(match found.description {
            Some(text) if !text.is_empty() => text.chars().take(SHOWN_DESCRIPTION).collect(),
            Some(_) | None => "it has no description".to_owned(),
        })),
    }
}

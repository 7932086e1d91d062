//! What an operation notes of itself, for its undo and for whoever takes it over.

use dbt_controller_naming::ConnectionId;

use super::{DagState, Debt, Failure, RevisionNumber, ServerName, StoredConnection};

/// What a deploy or a delete did so far: all that an undo or the rest of it, by whichever replica, needs to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// The connection id in use, and what was there before. None before the step `name`, or without Airflow.
    pub connection: Option<ConnectionIntent>,
    /// Whether the connection may have been written.
    pub connecting: bool,
    /// The revision that this operation records.
    pub revision: Option<RevisionNumber>,
    /// The revision that was in force before.
    pub previous: Option<RevisionNumber>,
    /// Whether a revision and objects may have been written. What stands above and below it is known from then on.
    pub writing: bool,
    /// What has to be done to the StatefulSet before it can be applied.
    pub rebuild: Rebuild,
    /// What the server's objects are called, known from then on too.
    pub server: Option<ServerName>,
    /// Whether the StatefulSet of another maker may have been deleted with its pods: its fixed fields are not ours, on the way back too.
    pub adopting: bool,
    /// Whether a server that slept may have been woken without a new revision.
    pub waking: bool,
    /// Claims that existed before; those of an earlier first deployment that failed and is not removed yet do not count. The undo of a first deploy deletes only others; a delete that is taken over tells them, gone or not.
    pub claims_before: Vec<String>,
    /// Replicas before; an undo puts a server back to sleep that slept.
    pub replicas_before: Option<u32>,
    /// Whether it was decided by the DAGs that the server may sleep.
    pub suspending: bool,
    /// What was noted of the release's DAGs before, since a StatefulSet that is made anew has lost it; or what they were doing when it was decided
    /// that the server may sleep.
    pub dag_state_before: Option<DagState>,
    /// The failure that is being undone, once the undo has begun.
    pub undoing: Option<Box<Failure>>,
    /// What a delete has to leave, the replaced release that a deploy is removing, or the claim that may still be made for a first deployment that is
    /// taken back. It is stored before that goes which says what there is to owe: the release's record, or the StatefulSet.
    pub owed: Vec<Debt>,
}

impl Ledger {
    /// What may be there when the operation ends without having taken anything back, and nobody else is sure to look for.
    pub fn debts(&self) -> Vec<Debt> {
        let connection = self.connection.as_ref().filter(|_| self.connecting).map(|intent| Debt::Connection(intent.id.clone()));
        self.owed.iter().cloned().chain(connection).chain(self.remains()).collect()
    }

    /// What may be there of a first deployment; none of a change.
    pub fn remains(&self) -> Option<Debt> {
        let server = self.server.clone().filter(|_| self.writing && self.previous.is_none())?;
        Some(Debt::Remains { server, claims_before: self.claims_before.clone() })
    }
}

/// What has to be done to a StatefulSet before it can be applied: some of its fields cannot be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuild {
    /// The claims have to grow to the size that is asked for, or the StatefulSet may have been made for another one. The size in a claim
    /// template is one of those fields, so the StatefulSet is made anew around its running pods.
    pub grow: bool,
    /// Its selector is another maker's. A StatefulSet of ours would never get the pods of such a one, so they go too; the claims stay.
    pub adopt: bool,
}

impl Rebuild {
    /// The StatefulSet can be applied as it is.
    pub const NONE: Self = Self { grow: false, adopt: false };
}

/// The connection a deploy is going to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionIntent {
    /// Its id.
    pub id: ConnectionId,
    /// Our own connection as it was before.
    pub before: Option<StoredConnection>,
}

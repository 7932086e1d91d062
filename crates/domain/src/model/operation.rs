//! Operations: lock, ledger and outcome of each mutation. One record per release holds all of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dbt_controller_naming::{ConnectionId, Identity, ReleaseName};
use jiff::Timestamp;

use super::{DeployRequest, Failure, FieldHasher, Ledger, Redactor, ReleaseKey, RequestHash, ServerName, Success, TextError};
use crate::words;

/// The id of an operation: 1 to 64 of `[A-Za-z0-9-]` (a UUID of version 7, so ids sort by time).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(String);

impl OperationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperationId {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError::new("must be an operation id: 1 to 64 letters, digits and `-`"))
        }
    }
}

/// One claim of a line by one process: whoever claims again, the same process included, is another holder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HolderId(pub String);

words! {
    /// What an operation does.
    pub enum OperationKind {
        /// Make or change a server.
        Deploy = "deploy",
        /// Remove it without a trace.
        Delete = "delete",
        /// Scale it to 0.
        Suspend = "suspend",
        /// Scale it to 1 and wait.
        Resume = "resume",
        /// Pay what earlier operations had to leave.
        Settle = "settle",
        /// Put it to sleep or wake it because its DAGs were paused or unpaused.
        FollowDags = "follow_dags",
    }
}

impl OperationKind {
    /// Whether the service does it by itself. The audit tells of such work when it has ended, and only if it changed something.
    pub fn is_background(self) -> bool {
        matches!(self, Self::Settle | Self::FollowDags)
    }

    /// Whether it waits for a place among those that run side by side, since it may wait for a server's start.
    pub fn needs_slot(self) -> bool {
        matches!(self, Self::Deploy | Self::Resume)
    }
}

/// What an operation has to do, with everything that a takeover needs.
#[derive(Debug, Clone)]
pub enum Task {
    /// Make or change a server.
    Deploy(Box<DeployRequest>),
    /// Remove it without a trace.
    Delete,
    /// Scale it to 0.
    Suspend {
        /// Also while an unpaused DAG uses it.
        force: bool,
    },
    /// Scale it to 1 and wait.
    Resume,
    /// Pay the open debts of the release.
    Settle,
    /// Put it to sleep or wake it, if its DAGs were paused or unpaused since somebody looked.
    FollowDags,
}

impl Task {
    /// What kind of operation this is.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Deploy(_) => OperationKind::Deploy,
            Self::Delete => OperationKind::Delete,
            Self::Suspend { .. } => OperationKind::Suspend,
            Self::Resume => OperationKind::Resume,
            Self::Settle => OperationKind::Settle,
            Self::FollowDags => OperationKind::FollowDags,
        }
    }

    /// Replaces the secrets that the task brings with it.
    pub fn redactor(&self) -> Redactor {
        match self {
            Self::Deploy(request) => request.redactor(None),
            Self::Delete | Self::Suspend { .. } | Self::Resume | Self::Settle | Self::FollowDags => Redactor::default(),
        }
    }

    /// Equal tasks have equal hashes; a caller whose task is already under way joins it.
    pub fn hash(&self) -> RequestHash {
        match self {
            Self::Deploy(request) => request.hash(),
            Self::Suspend { force } => {
                let mut hasher = FieldHasher::new("suspend");
                hasher.field(&force.to_string());
                hasher.finish()
            }
            Self::Delete | Self::Resume | Self::Settle | Self::FollowDags => FieldHasher::new(self.kind().as_str()).finish(),
        }
    }
}

/// Who asked, for logs and the audit line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The id of the HTTP request.
    pub request_id: String,
    /// The name of the token, never the token.
    pub actor: String,
}

impl Caller {
    /// The service itself, in its background work.
    pub(crate) fn background() -> Self {
        Self { request_id: "background".to_owned(), actor: "controller".to_owned() }
    }
}

/// What is known of an operation from its submission to its end. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// The release it is about.
    pub key: ReleaseKey,
    /// Whose server it is, where that is known.
    pub identity: Option<Identity>,
    /// Hash of its task.
    pub task_hash: RequestHash,
    /// Who asked.
    pub caller: Caller,
    /// When.
    pub submitted_at: Timestamp,
}

words! {
    /// Where an operation is. The deploy saga goes down the list; the other kinds use their own part of it.
    pub enum Phase {
        /// Waits for its turn or for a free slot.
        Queued = "queued",
        /// Reads the connection and fixes its id.
        Name = "name",
        /// Writes the release record.
        Record = "record",
        /// Writes the objects.
        Apply = "apply",
        /// Waits for the server.
        Ready = "ready",
        /// Registers the connection.
        Connect = "connect",
        /// Marks the revision as deployed.
        Commit = "commit",
        /// Takes back what was done.
        Undo = "undo",
        /// Removes the connection.
        Disconnect = "disconnect",
        /// Removes the objects and the record.
        Uninstall = "uninstall",
        /// Waits until the pods are gone.
        Drain = "drain",
        /// Deletes the claims.
        Claims = "claims",
        /// Changes the number of replicas.
        Scale = "scale",
        /// Ended.
        Done = "done",
    }
}

/// A line of an operation's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationEvent {
    /// Counts from 1 within the operation; the id of the server-sent event.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The phase it belongs to.
    pub phase: Phase,
    /// Whether it begins the phase (otherwise it is progress within it).
    pub begins_phase: bool,
    /// A sentence without secrets.
    pub message: String,
}

/// Something an operation had to leave and that is paid later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Debt {
    /// A connection that is still registered.
    Connection(ConnectionId),
    /// Connections whose description names the release; their ids were not known.
    OwnConnections,
    /// A connection that may hold another login than the server.
    Login(ConnectionId),
    /// A claim that still exists.
    Claim {
        /// The server whose claim it is.
        server: ServerName,
        /// Its name.
        name: String,
    },
    /// A release of the replaced service that this deployment took the place of.
    Replaced(ReleaseName),
    /// What is left of a first deployment that failed and could not be removed whole: the release, its objects, its claims.
    Remains {
        /// Its server.
        server: ServerName,
        /// Claims that existed before it. They stay.
        claims_before: Vec<String>,
    },
}

impl fmt::Display for Debt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => write!(formatter, "connection `{id}`"),
            Self::OwnConnections => formatter.write_str("the release's connections"),
            Self::Login(id) => write!(formatter, "the login of connection `{id}`"),
            Self::Claim { server: _, name } => write!(formatter, "claim `{name}`"),
            Self::Replaced(name) => write!(formatter, "release `{name}` of the replaced service"),
            Self::Remains { server, claims_before: _ } => write!(formatter, "the failed first deployment of server `{server}`"),
        }
    }
}

/// The operation that holds the release's lock.
#[derive(Debug, Clone)]
pub struct RunningOperation {
    /// What it is.
    pub info: OperationInfo,
    /// What it does, with its secrets.
    pub task: Task,
    /// Who runs it.
    pub holder: HolderId,
    /// After how long without a sign of life the holder counts as gone, by its own setting; zero where that is not on record.
    pub stale_after: Duration,
    /// Goes up with each write of the holder. The store measures the lock's age from the last change of it.
    pub renewal: u64,
    /// The holder gave the lock up; it is stale at once.
    pub released: bool,
    /// The delete that wants it to stop.
    pub cancelled_by: Option<OperationId>,
    /// When it began to run.
    pub started_at: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// What it did.
    pub ledger: Ledger,
    /// Its story, oldest first.
    pub events: Vec<OperationEvent>,
}

/// An operation that waits for its turn.
#[derive(Debug, Clone)]
pub struct QueuedOperation {
    /// What it is.
    pub info: OperationInfo,
    /// What it will do.
    pub task: Task,
}

/// An operation that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedOperation {
    /// What it was.
    pub info: OperationInfo,
    /// When it began to run; none if it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Result<Success, Failure>,
    /// What it had to leave. It is kept while any is open.
    pub debts: Vec<Debt>,
    /// Its story.
    pub events: Vec<OperationEvent>,
}

/// The record of one release in the operation store.
#[derive(Debug, Clone)]
pub struct OperationRecord {
    /// The release of the operation that runs, or ran last. Its name is the record's key; names are unique over all managed namespaces, except
    /// for leftovers and for releases that we did not make.
    pub key: ReleaseKey,
    /// The operation that holds the lock.
    pub running: Option<RunningOperation>,
    /// Those that wait, in order, at most [`OperationRecord::MAX_WAITING`].
    pub waiting: Vec<QueuedOperation>,
    /// The last that ended, oldest first, at most [`OperationRecord::MAX_FINISHED`] beside those with debts.
    pub finished: Vec<Arc<FinishedOperation>>,
}

impl OperationRecord {
    /// How many operations may wait for one release.
    pub const MAX_WAITING: usize = 10;
    /// How many ended operations are kept. A delete ends all that wait at once, then come the running one and itself: whoever waits for one
    /// of them must find its end.
    pub const MAX_FINISHED: usize = Self::MAX_WAITING + 2;

    /// A record without operations.
    pub fn empty(key: ReleaseKey) -> Self {
        Self { key, running: None, waiting: Vec::new(), finished: Vec::new() }
    }

    /// Whether nothing is on record.
    pub fn is_empty(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty() && self.finished.is_empty()
    }

    /// Every operation that has not ended, the running one first.
    pub fn unfinished(&self) -> impl Iterator<Item = (&OperationInfo, &Task)> {
        let running = self.running.iter().map(|running| (&running.info, &running.task));
        running.chain(self.waiting.iter().map(|queued| (&queued.info, &queued.task)))
    }

    /// Whether an operation is on this record.
    pub fn holds(&self, id: &OperationId) -> bool {
        self.finished(id).is_some() || self.unfinished().any(|(info, _)| info.id == *id)
    }

    /// The ended operation of this id.
    pub fn finished(&self, id: &OperationId) -> Option<&Arc<FinishedOperation>> {
        self.finished.iter().find(|finished| &finished.info.id == id)
    }

    /// Every open debt, with the operation that left it: the name may have moved to another namespace since.
    pub fn debts(&self) -> impl Iterator<Item = (&Arc<FinishedOperation>, &Debt)> {
        self.finished.iter().flat_map(|finished| finished.debts.iter().map(move |debt| (finished, debt)))
    }
}

//! One call: as an API takes it, and what its answer means.

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Request};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::ask::Ask;
use crate::detection::Api;
use crate::fault::Fault;
use crate::hold::Hold;
use crate::leave::Leave;
use crate::login::Login;
use crate::reply::Reply;
use crate::settings::Base;
use crate::transport::Transport;
use crate::verdict::verdict;

/// How many calls are under way at a time. The API server of Airflow 3 has 15 connections to its database (`sql_alchemy_pool_size` and
/// SQLAlchemy's overflow) and blocks whole for the 30 s of the pool's time-out when more callers than that come at once: seen with 24, not with
/// 14. Two replicas stay below it, but for calls that got no answer in their time, of which nobody knows how long Airflow goes on with them.
const AT_ONCE: usize = 5;
/// How many of them may be made under no fence, lest an operation in the middle of its work waits behind lists of DAGs.
const READS_AT_ONCE: usize = 3;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Makes calls, a few at a time, as long as Airflow does not ask for a pause.
pub(crate) struct Caller {
    transport: Transport,
    hold: Hold,
    turns: Semaphore,
    turns_to_read: Semaphore,
}

impl Caller {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, hold: Hold::new(), turns: Semaphore::new(AT_ONCE), turns_to_read: Semaphore::new(READS_AT_ONCE) }
    }

    /// Where Airflow is, for messages.
    pub(crate) fn base(&self) -> &Base {
        self.transport.base()
    }

    /// Makes one call, if the fence stands.
    pub(crate) async fn call(&self, api: Api, ask: &Ask<'_>, login: Login<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        self.ask(leave)?;
        let _turns = self.turns(leave).await?;
        // Once more after the wait.
        let begun = self.ask(leave)?;
        let request = self.request(api, ask, login)?;
        let answer = self.transport.exchange(request, leave).await.and_then(|reply| verdict(api, ask, login, reply));
        self.hold.note(begun, &answer);
        answer
    }

    fn ask(&self, leave: &Leave<'_>) -> Result<Instant, Fault> {
        leave.ask()?;
        self.hold.ask()
    }

    /// Waits for a turn, no longer than a call may be made.
    async fn turns(&self, leave: &Leave<'_>) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), Fault> {
        let turns = async {
            let to_read = if leave.is_fenced() { None } else { Some(self.turns_to_read.acquire().await?) };
            Ok::<_, AcquireError>((to_read, self.turns.acquire().await?))
        };
        match timeout_at(leave.deadline(), turns).await {
            Ok(Ok(turns)) => Ok(turns),
            // They are never closed, so the time is over.
            Ok(Err(_)) | Err(_) => {
                let why = format!("other calls to {} took all the time that was left", self.base());
                Err(Fault::NoAnswer { why, arrived: false })
            }
        }
    }

    fn request(&self, api: Api, ask: &Ask<'_>, login: Login<'_>) -> Result<Request, Fault> {
        let mut url = self.transport.url(&ask.segments(api));
        let query = ask.query(api);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = Request::new(ask.method(), url);
        request.headers_mut().insert(ACCEPT, JSON);
        if let Some(login) = login.header()? {
            request.headers_mut().insert(AUTHORIZATION, login);
        }
        if let Some(body) = ask.body() {
            request.headers_mut().insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(Body::from(body));
        }
        Ok(request)
    }
}

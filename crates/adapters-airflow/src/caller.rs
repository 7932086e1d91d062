//! One call: as an API takes it, and what its answer means.

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Request};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

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
/// 14. Two replicas stay below it.
const AT_ONCE: usize = 5;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Makes calls, a few at a time, as long as Airflow does not ask for a pause.
pub(crate) struct Caller {
    transport: Transport,
    hold: Hold,
    turns: Semaphore,
}

impl Caller {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, hold: Hold::new(), turns: Semaphore::new(AT_ONCE) }
    }

    /// Where Airflow is, for messages.
    pub(crate) fn base(&self) -> &Base {
        self.transport.base()
    }

    /// Makes one call, if the fence stands.
    pub(crate) async fn call(&self, api: Api, ask: &Ask<'_>, login: Login<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        let _turn = self.turn(leave).await?;
        // After the wait, which may have taken the time that there was.
        leave.ask()?;
        self.hold.ask()?;
        let request = self.request(api, ask, login)?;
        let answer = self.transport.exchange(request, leave).await.and_then(|reply| verdict(api, ask, login, reply));
        self.hold.note(&answer);
        answer
    }

    /// Waits for a turn, no longer than a call may be made.
    async fn turn(&self, leave: &Leave<'_>) -> Result<SemaphorePermit<'_>, Fault> {
        match timeout_at(leave.deadline(), self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed, so the time is over.
            Ok(Err(_)) | Err(_) => {
                let why = format!("{AT_ONCE} other calls to {} took all the time that was left", self.base());
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

//! One call: as an API takes it, and what its answer means.

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Request};

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

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Makes calls, as long as Airflow does not ask for a pause.
pub(crate) struct Caller {
    transport: Transport,
    hold: Hold,
}

impl Caller {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, hold: Hold::new() }
    }

    /// Where Airflow is, for messages.
    pub(crate) fn base(&self) -> &Base {
        self.transport.base()
    }

    /// Makes one call, if the fence stands.
    pub(crate) async fn call(&self, api: Api, ask: &Ask<'_>, login: Login<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        leave.ask()?;
        self.hold.ask()?;
        let request = self.request(api, ask, login)?;
        let answer = self.transport.exchange(request, leave).await.and_then(|reply| verdict(api, ask, login, reply));
        self.hold.note(&answer);
        answer
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

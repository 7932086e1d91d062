//! Asking Airflow, logged in, by the API that it speaks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::ask::{Ask, without};
use crate::detection::{Api, Detection, Found};
use crate::fault::Fault;
use crate::leave::Leave;
use crate::reply::Reply;
use crate::retry::Pauses;
use crate::token::{Token, Tokens};
use crate::transport::Transport;
use crate::verdict::verdict;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Our session with Airflow.
pub(crate) struct Session {
    transport: Transport,
    user: String,
    password: SecretString,
    detection: Detection,
    tokens: Tokens,
}

impl Session {
    pub(crate) fn new(transport: Transport, user: String, password: SecretString) -> Self {
        Self { transport, user, password, detection: Detection::new(), tokens: Tokens::new() }
    }

    /// Asks until an answer comes, there is no time left, or it is no use. For what may be sent twice.
    pub(crate) async fn insist(&self, ask: &Ask<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        let mut pauses = Pauses::new();
        loop {
            match self.ask(ask, leave).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => pauses.after(fault, leave).await?,
            }
        }
    }

    /// Asks. What is sent arrives once at most, but for a refused login or a path that is not there, by which nothing was done.
    pub(crate) async fn ask(&self, ask: &Ask<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        let api = self.detection.api(&self.transport, leave).await?;
        match self.ask_by(api, ask, leave).await {
            Err(Fault::WrongPlace(why)) => {
                // Airflow may have been upgraded since.
                let now = self.detection.after(api, &self.transport, leave).await?;
                if now == api { Err(Fault::WrongPlace(why)) } else { self.ask_by(now, ask, leave).await }
            }
            answer => answer,
        }
    }

    /// What Airflow says of itself now.
    pub(crate) async fn find(&self, leave: &Leave<'_>) -> Result<Found, Fault> {
        let mut pauses = Pauses::new();
        loop {
            match self.detection.anew(&self.transport, leave).await {
                Ok(found) => return Ok(found),
                Err(fault) => pauses.after(fault, leave).await?,
            }
        }
    }

    async fn ask_by(&self, api: Api, ask: &Ask<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        match api {
            Api::V1 => self.send(api, ask, self.basic()?, leave).await,
            Api::V2 => {
                let token = self.token(None, leave).await?;
                match self.send(api, ask, bearer(&token)?, leave).await {
                    // The token ended early, or Airflow has another secret than before; a role that is too low is told once more.
                    Err(Fault::Credentials(_) | Fault::Role(_)) => {
                        let token = self.token(Some(&token), leave).await?;
                        self.send(api, ask, bearer(&token)?, leave).await
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn send(&self, api: Api, ask: &Ask<'_>, login: HeaderValue, leave: &Leave<'_>) -> Result<Reply, Fault> {
        let mut url = self.transport.url(&ask.segments(api));
        let query = ask.query(api);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = Request::new(ask.method(), url);
        request.headers_mut().insert(AUTHORIZATION, login);
        let reply = self.transport.exchange(with_json(request, ask.body()), leave).await?;
        verdict(api, ask, reply)
    }

    async fn token(&self, refused: Option<&Token>, leave: &Leave<'_>) -> Result<Token, Fault> {
        self.tokens.get(refused, leave, || self.log_in(leave)).await
    }

    /// Fetches a token.
    async fn log_in(&self, leave: &Leave<'_>) -> Result<SecretString, Fault> {
        let body = serde_json::to_vec(&Login { username: &self.user, password: self.password.expose_secret() });
        let request = Request::new(Method::POST, self.transport.url(&["auth", "token"]));
        let request = with_json(request, Some(body.expect("two texts are JSON")));
        let reply = self.transport.exchange(request, leave).await?;
        match verdict(Api::V2, &Ask::Version, reply) {
            Ok(reply) => Ok(reply.json::<Access>()?.access_token),
            Err(Fault::Credentials(why) | Fault::Role(why) | Fault::Rejected(why)) => {
                Err(Fault::Credentials(format!("no token is given to user `{}`: {}", self.user, self.without_password(&why))))
            }
            Err(fault) => Err(fault),
        }
    }

    fn without_password(&self, text: &str) -> String {
        without(text, self.password.expose_secret())
    }

    fn basic(&self) -> Result<HeaderValue, Fault> {
        if self.user.contains(':') {
            return Err(Fault::Credentials("AIRFLOW_USER has a colon, which basic authentication cannot carry".to_owned()));
        }
        secret_header(&format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password.expose_secret()))))
    }
}

#[derive(Serialize)]
struct Login<'a> {
    username: &'a str,
    password: &'a str,
}

#[derive(Deserialize)]
struct Access {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn with_json(mut request: Request, body: Option<Vec<u8>>) -> Request {
    request.headers_mut().insert(ACCEPT, JSON);
    if let Some(body) = body {
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        *request.body_mut() = Some(Body::from(body));
    }
    request
}

fn bearer(token: &Token) -> Result<HeaderValue, Fault> {
    secret_header(&format!("Bearer {}", token.value().expose_secret()))
}

/// A header that no log shows.
fn secret_header(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::WrongPlace("the token that was given has characters that no token of Airflow has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

//! Asking Airflow, logged in, by the API that it speaks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::ask::Ask;
use crate::caller::Caller;
use crate::detection::{Api, Detection, Found};
use crate::fault::Fault;
use crate::leave::Leave;
use crate::login::Login;
use crate::reply::Reply;
use crate::retry::Pauses;
use crate::token::{Token, Tokens};
use crate::transport::Transport;

/// Our session with Airflow.
pub(crate) struct Session {
    caller: Caller,
    user: String,
    password: SecretString,
    detection: Detection,
    tokens: Tokens,
}

impl Session {
    pub(crate) fn new(transport: Transport, user: String, password: SecretString) -> Self {
        Self { caller: Caller::new(transport), user, password, detection: Detection::new(), tokens: Tokens::new() }
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
        let api = self.detection.api(&self.caller, leave).await.map_err(Fault::before_the_call)?;
        match self.ask_by(api, ask, leave).await {
            Err(Fault::WrongPlace { why, arrived: false }) => {
                // Airflow may have been upgraded since.
                let now = self.detection.after(api, &self.caller, leave).await.map_err(Fault::before_the_call)?;
                if now == api { Err(Fault::WrongPlace { why, arrived: false }) } else { self.ask_by(now, ask, leave).await }
            }
            answer => answer,
        }
    }

    /// What Airflow says of itself now.
    pub(crate) async fn find(&self, leave: &Leave<'_>) -> Result<Found, Fault> {
        let mut pauses = Pauses::new();
        loop {
            match self.detection.anew(&self.caller, leave).await {
                Ok(found) => return Ok(found),
                Err(fault) => pauses.after(fault, leave).await?,
            }
        }
    }

    async fn ask_by(&self, api: Api, ask: &Ask<'_>, leave: &Leave<'_>) -> Result<Reply, Fault> {
        match api {
            Api::V1 => self.caller.call(api, ask, Login::Basic(&self.basic()?), leave).await,
            Api::V2 => {
                let token = self.token(None, leave).await?;
                match self.caller.call(api, ask, Login::Bearer(token.value()), leave).await {
                    // The token ended early, or Airflow has another secret than before; a role that is too low is told once more.
                    Err(Fault::Credentials(_) | Fault::Role(_)) => {
                        let token = self.token(Some(&token), leave).await?;
                        self.caller.call(api, ask, Login::Bearer(token.value()), leave).await
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn token(&self, refused: Option<&Token>, leave: &Leave<'_>) -> Result<Token, Fault> {
        let token = self.tokens.get(refused, leave, |leave| async move { self.log_in(&leave).await }).await;
        token.map_err(Fault::before_the_call)
    }

    /// Fetches a token.
    async fn log_in(&self, leave: &Leave<'_>) -> Result<SecretString, Fault> {
        let ask = Ask::LogIn { user: &self.user, password: &self.password };
        match self.caller.call(Api::V2, &ask, Login::None, leave).await {
            Ok(reply) => Ok(reply.json::<Access>()?.access_token),
            Err(Fault::Credentials(why) | Fault::Role(why) | Fault::Rejected(why)) => {
                Err(Fault::Credentials(format!("no token is given to user `{}`: {why}", self.user)))
            }
            Err(fault) => Err(fault),
        }
    }

    /// User and password as basic authentication encodes them.
    fn basic(&self) -> Result<SecretString, Fault> {
        if self.user.contains(':') {
            return Err(Fault::Credentials("AIRFLOW_USER has a colon, which basic authentication cannot carry".to_owned()));
        }
        Ok(STANDARD.encode(format!("{}:{}", self.user, self.password.expose_secret())).into())
    }
}

#[derive(Deserialize)]
struct Access {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

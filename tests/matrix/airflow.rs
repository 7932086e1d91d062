//! Airflow, asked for one connection.

use std::fmt;
use std::sync::Arc;

use dbt_controller_tests::Upstream;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};

/// How many requests of all services together come to it at a time, and how many of ours. More than the connections that it has to its
/// database stall it.
const AT_ONCE: [usize; 2] = [8, 4];

/// The Airflow that the environment names.
#[derive(Clone)]
pub(crate) struct Airflow {
    url: String,
    /// The way of the services to it.
    pub(crate) upstream: Upstream,
    pub(crate) user: String,
    pub(crate) password: String,
    /// For what is asked here.
    turns: Arc<Semaphore>,
    client: Client,
    login: Arc<OnceCell<Login>>,
}

/// What it tells of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) description: String,
    pub(crate) host: String,
    pub(crate) user: String,
}

/// How it lets us in, and where its API is.
enum Login {
    /// Airflow 2: with each request.
    Basic,
    /// Airflow 3: by a token.
    Token(String),
}

impl Airflow {
    /// The one of `cargo xtask airflow`, if there is one.
    #[expect(clippy::disallowed_methods, reason = "the matrices have no settings but these")]
    pub(crate) fn find() -> Option<Self> {
        let (url, admin) = (std::env::var("AIRFLOW_TIER_URL").ok()?, std::env::var("AIRFLOW_TIER_ADMIN").ok()?);
        let (user, password) = admin.split_once(':')?;
        // A second installation does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        let upstream = Upstream::plain(&url).at_most(AT_ONCE[0]);
        let turns = Arc::new(Semaphore::new(AT_ONCE[1]));
        Some(Self { url, upstream, user: user.to_owned(), password: password.to_owned(), turns, client, login: Arc::default() })
    }

    /// A connection, if it is there.
    pub(crate) async fn connection(&self, id: &str) -> Result<Option<Connection>, String> {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let answer = self.request(Method::GET, &format!("connections/{id}")).await?.send().await.map_err(said)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let connection: Value = answer.error_for_status().map_err(said)?.json().await.map_err(said)?;
        let text = |field: &str| connection[field].as_str().unwrap_or_default().to_owned();
        Ok(Some(Connection { description: text("description"), host: text("host"), user: text("login") }))
    }

    /// Makes a connection.
    pub(crate) async fn create(&self, id: &str, connection: &Connection, password: &str) -> Result<(), String> {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let Connection { description, host, user } = connection;
        let body = json!({
            "connection_id": id, "conn_type": "http", "description": description, "host": host, "login": user, "password": password,
        });
        let answer = self.request(Method::POST, "connections").await?.json(&body).send().await.map_err(said)?;
        answer.error_for_status().map(drop).map_err(said)
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, String> {
        let to = |version: &str| self.client.request(method, format!("{}/api/{version}/{path}", self.url));
        Ok(match self.login.get_or_try_init(|| self.log_in()).await? {
            Login::Basic => to("v1").basic_auth(&self.user, Some(&self.password)),
            Login::Token(token) => to("v2").bearer_auth(token),
        })
    }

    async fn log_in(&self) -> Result<Login, String> {
        let is_old = self.client.get(format!("{}/api/v2/version", self.url)).send().await.map_err(said)?.status() == StatusCode::NOT_FOUND;
        if is_old {
            return Ok(Login::Basic);
        }
        let body = json!({"username": self.user, "password": self.password});
        let answer = self.client.post(format!("{}/auth/token", self.url)).json(&body).send().await.map_err(said)?;
        let answer: Value = answer.error_for_status().map_err(said)?.json().await.map_err(said)?;
        Ok(Login::Token(answer["access_token"].as_str().ok_or("a login without a token")?.to_owned()))
    }
}

fn said(error: reqwest::Error) -> String {
    error.to_string()
}

/// Without the password.
impl fmt::Debug for Airflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Airflow").field(&self.url).finish()
    }
}

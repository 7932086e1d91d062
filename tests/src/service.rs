//! The program under test, as its users start it.

use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::control_plane::path_from_environment;
use crate::wait::until;

/// The token that callers send.
pub const TOKEN: &str = "the-secret-key-of-the-service";

/// How long a call may take: a deployment waits for its server.
const CALL: Duration = Duration::from_secs(300);

/// What it says when somebody else was faster to take the port that was free.
const PORT_TAKEN: &str = "Address already in use";

/// A running service. Its process ends when this is dropped; when the test has failed, its logs are shown.
#[derive(Debug)]
pub struct Service {
    process: Child,
    client: Client,
    url: String,
    logs: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// An answer of the service, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub text: String,
}

// === impl Service ===

impl Service {
    /// Starts `serve` with these settings and no others but address and token, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not get ready.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(&[], settings).await
    }

    /// The same with further arguments of the command line.
    ///
    /// # Panics
    ///
    /// When it does not get ready.
    pub async fn start_with(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut service = Self::launch(arguments, settings);
        until("the service is ready", async || {
            if let Some(status) = service.process.try_wait().unwrap() {
                service.read_to_the_end();
                if service.logs().contains(PORT_TAKEN) {
                    service = Self::launch(arguments, settings);
                    return None;
                }
                panic!("the service ended with {status}: {}", service.logs());
            }
            let answer = service.client.get(format!("{}/health/readiness", service.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        service
    }

    /// Starts it, but waits for nothing.
    ///
    /// # Panics
    ///
    /// When there is no program.
    #[must_use]
    pub fn launch(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(path_from_environment("TIER_SERVICE"));
        command.arg("serve").args(arguments).env_clear();
        command.envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string()), ("SECRET_KEY", TOKEN)]).envs(settings.iter().copied());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let logs = Arc::new(Mutex::new(String::new()));
        let readers =
            vec![collect(process.stdout.take().unwrap(), Arc::clone(&logs)), collect(process.stderr.take().unwrap(), Arc::clone(&logs))];
        // Built together with an adapter that uses TLS, the HTTP client has it too, and cannot be made without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Its own client, so that a connection of another test's service is never taken for this one's.
        let client = Client::builder().no_proxy().timeout(CALL).build().unwrap();
        Self { process, client, url: format!("http://127.0.0.1:{port}"), logs, readers }
    }

    /// After its end: what it wrote last may still be on its way.
    fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it wrote so far.
    ///
    /// # Panics
    ///
    /// When the reader of its logs has panicked.
    #[must_use]
    pub fn logs(&self) -> String {
        self.logs.lock().unwrap().clone()
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(TOKEN)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// POST with a body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// The most memory that it has had, in bytes.
    ///
    /// # Panics
    ///
    /// When there is no process any more.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has, in bytes.
    ///
    /// # Panics
    ///
    /// When there is no process any more.
    #[must_use]
    pub fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The part of it that is not of a file, as the program is: heap and stacks, in bytes.
    ///
    /// # Panics
    ///
    /// When there is no process any more.
    #[must_use]
    pub fn own_memory(&self) -> u64 {
        self.memory("RssAnon:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal: `KILL` is a crash, `STOP` and `CONT` a machine that hangs, `TERM` the usual end.
    ///
    /// # Panics
    ///
    /// When there is no process any more.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Waits for its end, and returns its exit code; none if a signal ended it.
    ///
    /// # Panics
    ///
    /// When it goes on for longer than [`DEADLINE`](crate::DEADLINE).
    pub async fn ended(&mut self) -> Option<i32> {
        until("the service ends", async || self.process.try_wait().unwrap()).await.code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.read_to_the_end();
        if std::thread::panicking() {
            eprintln!("logs of the service:\n{}", self.logs.lock().map(|logs| logs.clone()).unwrap_or_default());
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Sends a request and reads the answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.unwrap()
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn try_to(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, text: response.text().await? })
    }

    /// The same answer, if it has this status.
    ///
    /// # Panics
    ///
    /// When it has another one.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in the {} answer {:?}", self.status, self.text))
    }

    /// What `details` of the body say here; empty when nothing.
    #[must_use]
    pub fn detail(&self, field: &str) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["details"][field].as_str().unwrap_or_default().to_owned()
    }
}

/// Reads a stream to its end into a text that others look at meanwhile.
fn collect(stream: impl Read + Send + 'static, text: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = text.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    })
}

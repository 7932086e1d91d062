//! A running embedded service on a free port.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::{Answer, Body, CANARY, DEADLINE, eventually, program};

/// The token that tests choose.
pub(crate) const TOKEN: &str = "CANARY-secret-key-of-the-service";

/// Settings for quick tests; those of a test win.
const SETTINGS: &[(&str, &str)] =
    &[("PORT", "0"), ("SECRET_KEY", TOKEN), ("EMBEDDED_READY_AFTER", "50ms"), ("REQUESTS_PER_SECOND", "10000"), ("LOG_LEVEL", "debug")];

/// A running service. When it is dropped, its process ends, and no secret may have got into its logs and answers.
pub(crate) struct Server {
    process: Child,
    client: Client,
    url: String,
    greeting: Vec<String>,
    logs: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
    answers: Mutex<Vec<String>>,
}

impl Server {
    /// A service with the settings of the tests.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A service with further settings. An empty text takes one of the tests' own away.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let base = SETTINGS.iter().filter(|(name, _)| settings.iter().all(|(other, _)| other != name));
        let all: Vec<_> = base.chain(settings.iter().filter(|(_, text)| !text.is_empty())).copied().collect();
        let mut process = program(&["serve", "--embedded"], &all).spawn().unwrap();
        let logs = Arc::new(Mutex::new(String::new()));
        let log_reader = collect(process.stderr.take().unwrap(), Arc::clone(&logs));
        let greeting = read_greeting(process.stdout.take().unwrap());
        // Built together with an adapter that uses TLS, the HTTP client has it too, and cannot be made without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Its own client, so that a connection of another test's service is never taken for this one's.
        let client = Client::builder().no_proxy().timeout(2 * DEADLINE).build().unwrap();
        let mut server =
            Self { process, client, url: String::new(), greeting, logs, log_reader: Some(log_reader), answers: Mutex::default() };
        server.url = server.greeted("Address");
        server
    }

    /// What it wrote to standard output when it was ready.
    pub(crate) fn greeting(&self) -> String {
        self.greeting.join("\n")
    }

    /// A value of the greeting.
    #[track_caller]
    pub(crate) fn greeted(&self, name: &str) -> String {
        let value = self.greeting.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {:?}; logs: {}", self.greeting, self.logs())).trim().to_owned()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What it wrote to standard error so far.
    pub(crate) fn logs(&self) -> String {
        self.logs.lock().unwrap().clone()
    }

    /// The log lines as JSON.
    #[track_caller]
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let logs = self.logs();
        let complete = logs.rfind('\n').map_or("", |end| &logs[..end]);
        complete.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the log line {line:?}"))).collect()
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(TOKEN)
    }

    /// A request without a token.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request and keeps the answer for the search at the end.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = Answer::read(request.send().await.unwrap_or_else(|error| panic!("{error:?}; logs: {}", self.logs()))).await;
        self.answers.lock().unwrap().push(format!("{:?}\n{}", answer.headers, answer.text));
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn deploy(&self, body: &Body) -> Answer {
        self.send(self.request(Method::POST, "/api/v1/deployments").json(body.json())).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Answer {
        self.send(self.request(Method::DELETE, &format!("/api/v1/deployments/{name}"))).await
    }

    /// The operations it knows.
    pub(crate) async fn operations(&self) -> Vec<Value> {
        self.get("/api/v1/operations").await.expect(200).json().as_array().unwrap().clone()
    }

    /// The names of the deployments it lists.
    pub(crate) async fn names(&self) -> Vec<String> {
        let list = self.get("/api/v1/deployments").await.expect(200).json();
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until an operation is in this phase, and returns it.
    pub(crate) async fn operation_in(&self, phase: &str) -> Value {
        let what = format!("an operation in the phase {phase}");
        eventually(&what, async || self.operations().await.into_iter().find(|operation| operation["phase"] == phase)).await
    }

    /// Waits until its readiness probe refuses.
    pub(crate) async fn not_ready(&self) {
        let probe = || self.send(self.anonymous(Method::GET, "/health/readiness"));
        eventually("readiness 503", async || (probe().await.status == 503).then_some(())).await;
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.process.id())).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end. None if a signal ended it.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                // What it wrote last may still be on its way.
                let _ = self.log_reader.take().map(JoinHandle::join);
                return status.code();
            }
            assert!(begin.elapsed() < DEADLINE, "the service does not end; logs: {}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.log_reader.take().map(JoinHandle::join);
        let logs = self.logs();
        if std::thread::panicking() {
            eprintln!("logs of the service:\n{logs}");
            return;
        }
        for (place, text) in [("greeting", &self.greeting()), ("logs", &logs)] {
            let line = text.lines().find(|line| line.contains(CANARY));
            assert!(line.is_none(), "a secret in the {place}: {}", line.unwrap_or_default());
        }
        for answer in self.answers.lock().unwrap().iter() {
            assert!(!answer.contains(CANARY), "a secret in an answer: {answer}");
        }
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

/// The lines up to the last one of the greeting, or to the end of the program.
fn read_greeting(stream: impl Read + Send + 'static) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut greeting: Vec<String> = Vec::new();
    while !greeting.last().is_some_and(|line| line.starts_with("API:")) {
        match receiver.recv_timeout(DEADLINE) {
            Ok(line) => greeting.push(line),
            Err(_) => break,
        }
    }
    greeting
}

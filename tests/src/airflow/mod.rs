//! The Airflows of a run, and further ones.

pub mod api;
pub mod tables;

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

/// A running Airflow. One that a test started ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Its address, as `AIRFLOW_URL` has it.
    pub url: String,
    home: String,
    id: String,
    own: bool,
}

/// Which Airflow the run is about: `2`, `3` or `3-fab`.
///
/// # Panics
///
/// Outside of such a run.
#[must_use]
pub fn kind() -> String {
    variable("AIRFLOW_TIER_KIND")
}

/// User and password of somebody who may do everything.
///
/// # Panics
///
/// Outside of such a run.
#[must_use]
pub fn admin() -> (String, String) {
    login("AIRFLOW_TIER_ADMIN")
}

/// User and password of somebody who may look at DAGs, and not at connections.
///
/// # Panics
///
/// Outside of such a run.
#[must_use]
pub fn viewer() -> (String, String) {
    login("AIRFLOW_TIER_VIEWER")
}

/// User and password of somebody whose role is the lowest that the service can work with.
///
/// # Panics
///
/// Outside of such a run.
#[must_use]
pub fn op() -> (String, String) {
    login("AIRFLOW_TIER_OP")
}

fn login(name: &str) -> (String, String) {
    let text = variable(name);
    let (user, password) = text.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the tests have no settings but these")]
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is missing: run the tests by `cargo xtask airflow test` or `cargo xtask cluster test`"))
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(variable("AIRFLOW_TIER_CONTROL")).join(name)
}

// === impl Server ===

impl Server {
    /// The one that all tests of the run share.
    ///
    /// # Panics
    ///
    /// Outside of such a run.
    #[must_use]
    pub fn shared() -> Self {
        Self { url: variable("AIRFLOW_TIER_URL"), home: variable("AIRFLOW_TIER_HOME"), id: "main".to_owned(), own: false }
    }

    /// Starts another one. Options and environment variables are `NAME=VALUE`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start(words: &[&str]) -> Self {
        let told = run(Command::new(script("start")).args(words)).await;
        let value = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        Self { url: value("URL"), home: value("HOME"), id: value("ID"), own: true }
    }

    /// Stops it, and returns how it is started again: at the same port, with the same content.
    ///
    /// # Panics
    ///
    /// When it is the shared one.
    pub async fn stop(mut self) -> [String; 2] {
        assert!(self.own, "the shared server is not stopped");
        self.own = false;
        run(&mut self.script("stop")).await;
        [format!("PORT={}", self.port()), format!("HOME={}", self.home)]
    }

    /// Runs Python with this server's packages and settings, and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub async fn python(&self, code: &str, arguments: &[&str]) -> String {
        run(self.script("python").arg("-c").arg(code).args(arguments)).await
    }

    /// One of the run's scripts for this server.
    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(script(name));
        command.arg(&self.id);
        command
    }

    /// Runs `airflow` as this server's administrator, and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub async fn airflow(&self, arguments: &[&str]) -> String {
        run(self.script("airflow").args(arguments)).await
    }

    /// `host:port`.
    ///
    /// # Panics
    ///
    /// When the address is none.
    #[must_use]
    pub fn address(&self) -> String {
        self.url.split("://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    /// The port that it listens on.
    ///
    /// # Panics
    ///
    /// When the address is none.
    #[must_use]
    pub fn port(&self) -> String {
        self.address().rsplit(':').next().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.own {
            let _ = std::process::Command::new(script("stop")).arg(&self.id).status();
        }
    }
}

async fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

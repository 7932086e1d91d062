//! A caller who keeps deploying while something else is done to a service: it must never fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method};
use serde_json::json;

use crate::service::Service;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(50);

/// Deploys, reads and deletes, again and again, on a thread of its own.
pub(crate) struct Probe {
    ends: Arc<AtomicBool>,
    rounds: JoinHandle<anyhow::Result<u64>>,
}

impl Probe {
    /// Begins.
    pub(crate) fn start(service: &Service) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (url, token, seen) = (service.url.clone(), service.token.clone(), Arc::clone(&ends));
        Self { ends, rounds: thread::spawn(move || rounds(&url, &token, &seen)) }
    }

    /// Ends it; returns how many rounds it made.
    ///
    /// # Errors
    /// The first call that failed.
    pub(crate) fn end(self) -> anyhow::Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        let rounds = self.rounds.join().map_err(|_| anyhow::anyhow!("the probe has panicked"))?.context("the probe failed")?;
        if rounds == 0 {
            bail!("the probe has not made a single round");
        }
        Ok(rounds)
    }
}

fn rounds(url: &str, token: &str, ends: &AtomicBool) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let deployments = format!("{url}/api/v1/deployments");
    let deployment = format!("{deployments}/dbt-server-the-probe-main");
    let body = json!({"project_name": "the-probe", "git_branch": "main"});
    let calls = [(Method::POST, deployments, Some(body)), (Method::GET, deployment.clone(), None), (Method::DELETE, deployment, None)];
    let mut made = 0;
    while !ends.load(Ordering::Relaxed) {
        for (method, url, body) in &calls {
            let mut request = client.request(method.clone(), url).bearer_auth(token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = runtime.block_on(async {
                let answer = request.send().await?;
                Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
            });
            let (status, text) = answer.with_context(|| format!("{method} {url}"))?;
            if status != 200 {
                bail!("{method} {url}: {status} {text}");
            }
        }
        made += 1;
        thread::sleep(PAUSE);
    }
    Ok(made)
}

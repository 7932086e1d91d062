//! Sends requests and takes times. Connections are kept alive, and every answer is read to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::service::Service;

/// A client of one service.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    url: String,
    token: String,
}

/// A request that can be sent many times.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// What was measured of one request.
pub(super) struct Figures {
    /// Half of the answers took no longer, one at a time.
    pub(super) p50: Duration,
    /// 99 of 100 answers took no longer, one at a time.
    pub(super) p99: Duration,
    /// Answers per second, with [`CONCURRENCY`] requests under way.
    pub(super) per_second: f64,
}

/// Requests under way when throughput is measured.
pub(super) const CONCURRENCY: usize = 8;
/// How long each measurement takes.
const PERIOD: Duration = Duration::from_secs(4);
/// Calls that are not counted, for connections and caches.
const WARM_UP: usize = 20;

impl Api {
    pub(super) fn new(service: &Service) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().http1_only().build().context("cannot make an HTTP client")?;
        Ok(Self { client, url: service.url.clone(), token: service.token.clone() })
    }

    /// Waits until the service says that it is ready.
    pub(super) async fn until_ready(&self, limit: Duration) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let answer = self.client.get(format!("{}/health/readiness", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if begin.elapsed() > limit {
                bail!("the service was not ready after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a request and reads the answer, which must be good.
    pub(super) async fn send(&self, request: &Request) -> anyhow::Result<usize> {
        let Request { method, path, body } = request;
        let mut call = self.client.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = call.send().await.with_context(|| format!("no answer to {method} {path}"))?;
        let status = answer.status();
        let bytes = answer.bytes().await.with_context(|| format!("half an answer to {method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path} was answered with {status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(bytes.len())
    }

    /// Sends every one of these requests once, so many at a time.
    pub(super) async fn send_all(&self, requests: Vec<Request>, concurrency: usize) -> anyhow::Result<()> {
        let requests = Arc::new(requests);
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..concurrency {
            let (api, requests, next) = (self.clone(), Arc::clone(&requests), Arc::clone(&next));
            senders.spawn(async move {
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    api.send(request).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended.context("a sender panicked")??;
        }
        Ok(())
    }

    /// Measures a call: latencies one at a time, then throughput. Each sender has a request of its own, because equal POSTs that meet
    /// would share the work.
    pub(super) async fn measure(&self, request: impl Fn(usize) -> Request) -> anyhow::Result<Figures> {
        let first = request(0);
        for _ in 0..WARM_UP {
            self.send(&first).await?;
        }
        let mut times = self.repeat(&first).await?;
        times.sort_unstable();
        let per_second = self.throughput(request).await?;
        Ok(Figures { p50: percentile(&times, 50), p99: percentile(&times, 99), per_second })
    }

    async fn throughput(&self, request: impl Fn(usize) -> Request) -> anyhow::Result<f64> {
        let begin = Instant::now();
        let mut senders = JoinSet::new();
        for sender in 0..CONCURRENCY {
            let (api, request) = (self.clone(), request(sender));
            senders.spawn(async move { api.repeat(&request).await });
        }
        let mut count = 0;
        while let Some(ended) = senders.join_next().await {
            count += ended.context("a sender panicked")??.len();
        }
        Ok(count as f64 / begin.elapsed().as_secs_f64())
    }

    /// Sends one request again and again for the period; the times of the answers.
    async fn repeat(&self, request: &Request) -> anyhow::Result<Vec<Duration>> {
        let begin = Instant::now();
        let mut times = Vec::new();
        while begin.elapsed() < PERIOD {
            let sent = Instant::now();
            self.send(request).await?;
            times.push(sent.elapsed());
        }
        Ok(times)
    }
}

/// The smallest time that so many of a hundred do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
    }
}

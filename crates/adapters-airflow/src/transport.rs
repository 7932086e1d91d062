//! One exchange over HTTP.

use dbt_controller_domain::ports::before;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Client, Request, Response, Url};

use crate::fault::{Fault, chain};
use crate::leave::Leave;
use crate::reply::Reply;
use crate::settings::Base;

/// The longest answer that is read. A page of 100 connections with long extras takes some hundred KiB.
const ANSWER_LIMIT: usize = 8 << 20;

/// The way to Airflow.
pub(crate) struct Transport {
    client: Client,
    base: Base,
}

impl Transport {
    pub(crate) fn new(client: Client, base: Base) -> Self {
        Self { client, base }
    }

    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        self.base.join(segments)
    }

    /// Where Airflow is, for messages.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Sends a request and reads its answer whole, before the deadline.
    pub(crate) async fn exchange(&self, request: Request, leave: &Leave<'_>) -> Result<Reply, Fault> {
        if leave.is_over() {
            return Err(Fault::NoAnswer { why: format!("no time is left to ask {}", self.base), arrived: false });
        }
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let begin = tokio::time::Instant::now();
        let answer = before(leave.deadline(), self.send(request)).await;
        let took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answer = answer.unwrap_or_else(|| {
            let why = format!("no answer from {} within the time that was left for it", self.base);
            Err(Fault::NoAnswer { why, arrived: true })
        });
        match &answer {
            Ok(reply) => tracing::debug!(%method, path, status = reply.status.as_u16(), took_ms, "Airflow answered"),
            Err(fault) => tracing::debug!(%method, path, ?fault, took_ms, "Airflow did not answer"),
        }
        answer
    }

    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        let mut response = self.client.execute(request).await.map_err(|error| no_answer(error, &self.base))?;
        if declared_length(&response).is_some_and(|length| length > ANSWER_LIMIT) {
            return Err(self.too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(error, &self.base))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(self.too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply::new(response.status(), response.headers(), body))
    }

    fn too_long(&self) -> Fault {
        let why = format!("{} answers with more than {} MiB, which is not Airflow's API", self.base, ANSWER_LIMIT >> 20);
        Fault::WrongPlace { why, arrived: true }
    }
}

fn declared_length(response: &Response) -> Option<usize> {
    response.headers().get(CONTENT_LENGTH).and_then(|length: &HeaderValue| length.to_str().ok()?.parse().ok())
}

fn no_answer(error: reqwest::Error, base: &Base) -> Fault {
    let arrived = !error.is_connect();
    // The address is said once, and without a path.
    Fault::NoAnswer { why: format!("no answer from {base}: {}", chain(&error.without_url())), arrived }
}

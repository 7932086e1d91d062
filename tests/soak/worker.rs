//! One project's traffic.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dbt_controller_tests::{Answer, Random, Service};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::figures::Figures;

/// For how long a request is sent again: longer than the API server needs to start, and a lock to become stale.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two requests: as if this was an hour's traffic, six times as fast.
const BREATH: Duration = Duration::from_millis(500);

/// Sends requests about one project, and knows what must be there.
pub(crate) struct Worker {
    project: String,
    release: String,
    random: Random,
    replicas: Arc<[Service; 2]>,
    /// The one that it asks at present.
    replica: usize,
    figures: Arc<Mutex<Figures>>,
    /// The deployed tag.
    tag: Option<String>,
    /// Whether it was suspended, and neither resumed nor posted since.
    asleep: bool,
    counter: usize,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    PostEqual,
    PostFailing,
    Delete,
    Get,
    List,
    Suspend,
    Resume,
}

impl Worker {
    pub(crate) fn new(number: usize, seed: u64, replicas: Arc<[Service; 2]>, figures: Arc<Mutex<Figures>>) -> Self {
        let project = format!("project-{number}");
        let random = Random::new(seed.wrapping_mul(1000).wrapping_add(u64::try_from(number).unwrap()));
        let release = format!("dbt-server-{project}-main");
        Self { project, release, random, replicas, replica: number % 2, figures, tag: None, asleep: false, counter: 0 }
    }

    /// Works until this moment, then removes what there is.
    pub(crate) async fn work(mut self, end: Instant) -> Self {
        while Instant::now() < end {
            let kind = self.choose();
            self.ask(kind).await;
            tokio::time::sleep(BREATH).await;
        }
        self.ask(Kind::Delete).await;
        self
    }

    fn choose(&mut self) -> Kind {
        match self.random.below(100) {
            0..30 => Kind::Get,
            30..40 => Kind::List,
            40..60 => Kind::Post,
            60..70 => Kind::PostFailing,
            70..80 if self.tag.is_some() => Kind::PostEqual,
            80..85 if self.tag.is_some() => Kind::Suspend,
            85..90 if self.tag.is_some() => Kind::Resume,
            90..100 => Kind::Delete,
            _ => Kind::Post,
        }
    }

    async fn ask(&mut self, kind: Kind) {
        if kind.changes() {
            self.replica = self.random.below(2);
        }
        self.counter += 1;
        let tag = match kind {
            Kind::PostFailing => format!("invalid-{}", self.counter),
            Kind::PostEqual => self.tag.clone().unwrap_or_default(),
            _ => format!("1.0.{}", self.counter),
        };
        let begin = Instant::now();
        let mut retries = 0;
        let answer = loop {
            let answer = Answer::try_to(self.request(kind, &tag)).await;
            let again = answer.as_ref().is_ok_and(|answer| matches!(answer.status, 503 | 429));
            // Who is to send it again is told when.
            let says_when = answer.as_ref().is_ok_and(|answer| answer.headers.contains_key("retry-after"));
            if !(again && says_when) || begin.elapsed() > PATIENCE {
                break answer;
            }
            retries += 1;
            tokio::time::sleep(PAUSE).await;
        };
        let judged = match &answer {
            Ok(answer) => self.judge(kind, &tag, answer, retries),
            Err(error) => Err(format!("no answer: {error}")),
        };
        let mut figures = self.figures.lock().unwrap();
        match judged {
            Ok(()) => figures.answered(kind.as_str(), retries, begin.elapsed()),
            Err(reason) => {
                let told = answer.map_or_else(|_| String::new(), |answer| format!("{} {}", answer.status, answer.text));
                figures
                    .went_wrong(format!("{} {kind:?} {tag} with {:?} after {retries} retries: {reason}; {told}", self.project, self.tag));
            }
        }
    }

    fn request(&self, kind: Kind, tag: &str) -> RequestBuilder {
        let service = &self.replicas[self.replica];
        let path = format!("/api/v1/deployments/{}", self.release);
        match kind {
            Kind::Post | Kind::PostEqual | Kind::PostFailing => {
                let body = json!({"project_name": self.project, "git_branch": "main", "tag": tag});
                service.request(Method::POST, "/api/v1/deployments").json(&body)
            }
            Kind::Delete => service.request(Method::DELETE, &path),
            Kind::Get => service.request(Method::GET, &path),
            Kind::List => service.request(Method::GET, "/api/v1/deployments"),
            Kind::Suspend => service.request(Method::POST, &format!("{path}/suspend")),
            Kind::Resume => service.request(Method::POST, &format!("{path}/resume")),
        }
    }

    /// Whether it is the right answer, and what is there from now on.
    fn judge(&mut self, kind: Kind, tag: &str, answer: &Answer, retries: usize) -> Result<(), String> {
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let is = |expected: u16| if answer.status == expected { Ok(()) } else { Err(format!("not {expected}")) };
        match kind {
            Kind::Post | Kind::PostEqual => {
                is(200)?;
                (self.tag, self.asleep) = (Some(tag.to_owned()), false);
                let unchanged = body["details"]["unchanged"] == true;
                if unchanged != (kind == Kind::PostEqual) && retries == 0 { Err(format!("unchanged is {unchanged}")) } else { Ok(()) }
            }
            Kind::PostFailing => {
                is(500)?;
                let details = &body["details"];
                let as_told = details["code"] == "image_pull_failed" && details["undo"] == "undone";
                if as_told { Ok(()) } else { Err("not a failure with an undo".to_owned()) }
            }
            Kind::Delete => {
                let was = self.tag.take();
                self.asleep = false;
                // A claim stays until a controller of the cluster has looked at it, who may be late. Until then there is something to delete.
                let claims_left = body["details"]["pvc_deleted"].as_array().is_some_and(|claims| !claims.is_empty());
                match answer.status {
                    // A try before this one may have removed it.
                    404 if was.is_none() || retries > 0 => Ok(()),
                    200 if was.is_some() || claims_left => Ok(()),
                    _ => Err(format!("not {}", if was.is_some() { 200 } else { 404 })),
                }
            }
            Kind::Suspend | Kind::Resume => {
                is(200)?;
                self.asleep = kind == Kind::Suspend;
                Ok(())
            }
            // What is read while the cluster is away says how old it is, and may be.
            Kind::Get | Kind::List if answer.headers.contains_key("age") => Ok(()),
            Kind::Get => match &self.tag {
                None => is(404),
                Some(tag) => {
                    is(200)?;
                    let (image, phase) = (body["image"].as_str().unwrap_or_default(), &body["server"]["phase"]);
                    let is_so = image.ends_with(&format!(":{tag}")) && (phase == "sleeping") == self.asleep;
                    if is_so { Ok(()) } else { Err(format!("its image is {image}, and it is {phase}; asleep is {}", self.asleep)) }
                }
            },
            Kind::List => {
                is(200)?;
                let listed = body.as_array().is_some_and(|list| list.iter().any(|item| item["name"] == self.release.as_str()));
                if listed == self.tag.is_some() { Ok(()) } else { Err(format!("listed is {listed}")) }
            }
        }
    }
}

impl Kind {
    fn changes(self) -> bool {
        !matches!(self, Self::Get | Self::List)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::PostEqual => "POST, equal",
            Self::PostFailing => "POST, failing",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::List => "list",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }
}

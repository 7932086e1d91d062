//! What is asked for, and what there is before and after.

use dbt_controller_tests::{Answer, Service, replaced};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::names::Names;

/// A request in a certain state of the world. What it says is all that there is to a new scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// Its name in the names of its cases.
    pub(crate) name: &'static str,
    /// What there is before.
    pub(crate) before: Expected,
    /// How many revisions made it, if it is a server.
    pub(crate) revisions: usize,
    /// What is asked for.
    pub(crate) request: Request,
    /// The code of the failure that is the answer when nothing comes between; none for a success.
    pub(crate) code: Option<&'static str>,
    /// What there is then.
    pub(crate) after: Expected,
    /// Whether the service is started for it, and what it calls at its start and by the clock goes wrong too.
    pub(crate) starts: bool,
}

/// What there is of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing at all.
    Nothing,
    /// This server, whole, and nothing else.
    Server(Server),
    /// [`REPLACED`] as the replaced service made it, whole, and nothing else.
    Replaced,
}

/// By whose rules the parts of a deployment are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Ours.
    Own,
    /// Those of the replaced service, which what was adopted keeps.
    Replaced,
}

/// What a POST can say, and what there is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    /// The tag of its image.
    pub(crate) tag: &'static str,
    /// The size of its volume.
    pub(crate) size: &'static str,
    /// The user and the password of its login; none for what is made up, and kept from then on.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Whether it is published.
    pub(crate) https: bool,
    /// Whether it is scaled to 0; no POST asks for that.
    pub(crate) asleep: bool,
    /// How it is called; no POST asks for that either.
    pub(crate) naming: Naming,
}

/// A request about the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// POST.
    Post(Server),
    /// DELETE of what is called so.
    Delete(Naming),
    /// POST to `suspend`.
    Suspend,
    /// POST to `resume`.
    Resume,
}

/// The deployment of most scenarios.
pub(crate) const PLAIN: Server = Server { tag: "1.0.0", size: "1Gi", login: None, https: false, asleep: false, naming: Naming::Own };
const CHANGED: Server = Server { tag: "2.0.0", ..PLAIN };
/// Its StatefulSet is made anew.
const LARGER: Server = Server { size: "30Gi", ..CHANGED };
/// The connection has to have it too.
const ANOTHER_LOGIN: Server = Server { login: Some(("somebody-else", "another-password")), ..CHANGED };
/// It has one object more.
const PUBLISHED: Server = Server { https: true, ..CHANGED };
/// The name of its image is none.
const FAILING: Server = Server { tag: "invalid-1", ..PLAIN };

/// What the replaced service made.
pub(crate) const REPLACED: Server =
    Server { tag: replaced::TAG, size: replaced::SIZE, login: Some(OLD_LOGIN), https: false, asleep: false, naming: Naming::Replaced };
pub(crate) const OLD_LOGIN: (&str, &str) = ("old-user", "old-password");
/// Whoever has its login in their DAGs keeps it.
const ADOPTED: Server = Server { tag: PLAIN.tag, ..REPLACED };

const OLD: Expected = Expected::Server(PLAIN);
const ASLEEP: Expected = Expected::Server(Server { asleep: true, ..PLAIN });
/// So many revisions Helm's history has at most.
pub(crate) const HISTORY: usize = 10;

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    post("post-first", Expected::Nothing, PLAIN),
    post("post-changed", OLD, CHANGED),
    post("post-larger", OLD, LARGER),
    post("post-login", OLD, ANOTHER_LOGIN),
    post("post-https", OLD, PUBLISHED),
    post("post-equal", OLD, PLAIN),
    post("post-wakes", ASLEEP, CHANGED),
    post("post-equal-wakes", ASLEEP, PLAIN),
    Scenario { revisions: HISTORY, ..post("post-at-limit", OLD, CHANGED) },
    failing("post-failing-first", Expected::Nothing, FAILING),
    failing("post-failing", OLD, FAILING),
    failing("post-failing-larger", OLD, Server { size: "30Gi", ..FAILING }),
    failing("post-failing-wakes", ASLEEP, FAILING),
    scenario("suspend", OLD, Request::Suspend, ASLEEP),
    scenario("resume", ASLEEP, Request::Resume, OLD),
    scenario("delete", OLD, Request::Delete(Naming::Own), Expected::Nothing),
    scenario("adopt", Expected::Replaced, Request::Post(PLAIN), Expected::Server(ADOPTED)),
    failing("adopt-failing", Expected::Replaced, FAILING),
    scenario("delete-replaced", Expected::Replaced, Request::Delete(Naming::Replaced), Expected::Nothing),
    Scenario { starts: true, ..post("start", OLD, PLAIN) },
];

const fn scenario(name: &'static str, before: Expected, request: Request, after: Expected) -> Scenario {
    Scenario { name, before, revisions: 1, request, code: None, after, starts: false }
}

const fn post(name: &'static str, before: Expected, server: Server) -> Scenario {
    scenario(name, before, Request::Post(server), Expected::Server(server))
}

const fn failing(name: &'static str, before: Expected, server: Server) -> Scenario {
    Scenario { code: Some("image_pull_failed"), ..scenario(name, before, Request::Post(server), before) }
}

impl Scenario {
    /// Whether this is the answer when nothing comes between.
    pub(crate) fn is_answered_by(&self, answer: &Answer) -> bool {
        match self.code {
            None => answer.status == 200,
            Some(code) => answer.status == 500 && answer.detail("code") == code && answer.detail("undo") == "undone",
        }
    }

    /// A POST that works after this one, whatever became of it: a volume never gets smaller. What is there is called so.
    pub(crate) fn next(&self, naming: Naming) -> Server {
        let size = match self.request {
            Request::Post(asked) => asked.size,
            Request::Delete(_) | Request::Suspend | Request::Resume => PLAIN.size,
        };
        Server { tag: "9.0.0", size, naming, ..PLAIN }
    }

    /// What there may be after a failure. Only a POST is undone.
    pub(crate) fn after_failure(&self) -> Vec<Expected> {
        match self.request {
            Request::Post(_) => vec![self.before],
            Request::Delete(_) | Request::Suspend | Request::Resume => vec![self.before, self.after],
        }
    }
}

impl Naming {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Own, Self::Replaced];
}

impl Expected {
    /// How it is called, or what a POST would make.
    pub(crate) fn naming(self) -> Naming {
        match self {
            Self::Nothing => Naming::Own,
            Self::Server(server) => server.naming,
            Self::Replaced => REPLACED.naming,
        }
    }
}

impl Request {
    /// The request about the deployment of these names to a service.
    pub(crate) fn to(self, service: &Service, names: &Names) -> RequestBuilder {
        let path = |naming| format!("/api/v1/deployments/{}", names.release(naming));
        match self {
            Self::Post(server) => service.request(Method::POST, "/api/v1/deployments").json(&server.body(names.project())),
            Self::Delete(naming) => service.request(Method::DELETE, &path(naming)),
            Self::Suspend => service.request(Method::POST, &format!("{}/suspend", path(Naming::Own))),
            Self::Resume => service.request(Method::POST, &format!("{}/resume", path(Naming::Own))),
        }
    }

    /// Whether it is a DELETE.
    pub(crate) fn is_delete(self) -> bool {
        matches!(self, Self::Delete(_))
    }
}

impl Server {
    fn body(self, project: &str) -> Value {
        let Self { tag, size, login, https, asleep: _, naming: _ } = self;
        let mut body = json!({"project_name": project, "git_branch": "main", "tag": tag, "storage_size": size, "https_enabled": https});
        if let Some((user, password)) = login {
            body["basic_auth_user"] = json!(user);
            body["basic_auth_password"] = json!(password);
        }
        body
    }
}

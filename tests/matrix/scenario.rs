//! What is asked for, and what there is before and after.

use dbt_controller_tests::Service;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A request in a certain state of the world. What it says is all that there is to a new scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// Its name in the names of its cases.
    pub(crate) name: &'static str,
    /// What there is before.
    pub(crate) before: Expected,
    /// What is asked for.
    pub(crate) request: Request,
    /// The status of the answer when nothing comes between.
    pub(crate) status: u16,
    /// What there is then.
    pub(crate) after: Expected,
}

/// What there is of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing at all.
    Nothing,
    /// A ready server of this tag, and nothing else.
    Server(&'static str),
}

/// A request about the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// POST with this tag.
    Post(&'static str),
    /// The same with a larger volume, for which the StatefulSet is made anew.
    PostLarger(&'static str),
    /// The same with another login, which the connection has to have too.
    PostLogin(&'static str),
    /// DELETE.
    Delete,
}

const OLD: Expected = Expected::Server("1.0.0");
const NEW: Expected = Expected::Server("2.0.0");

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("post-first", Expected::Nothing, Request::Post("1.0.0"), 200, OLD),
    scenario("post-changed", OLD, Request::Post("2.0.0"), 200, NEW),
    scenario("post-larger", OLD, Request::PostLarger("2.0.0"), 200, NEW),
    scenario("post-login", OLD, Request::PostLogin("2.0.0"), 200, NEW),
    scenario("post-equal", OLD, Request::Post("1.0.0"), 200, OLD),
    scenario("post-failing-first", Expected::Nothing, Request::Post("invalid-1"), 500, Expected::Nothing),
    scenario("post-failing", OLD, Request::Post("invalid-1"), 500, OLD),
    scenario("delete", OLD, Request::Delete, 200, Expected::Nothing),
];

const fn scenario(name: &'static str, before: Expected, request: Request, status: u16, after: Expected) -> Scenario {
    Scenario { name, before, request, status, after }
}

impl Scenario {
    /// A POST that works after this one, whatever became of it: a volume never gets smaller.
    pub(crate) fn next(&self, tag: &'static str) -> Request {
        match self.request {
            Request::PostLarger(_) => Request::PostLarger(tag),
            Request::Post(_) | Request::PostLogin(_) | Request::Delete => Request::Post(tag),
        }
    }
}

impl Request {
    /// The request about a project to a service.
    pub(crate) fn to(self, service: &Service, project: &str) -> RequestBuilder {
        let post = |fields: Value| {
            let mut body = json!({"project_name": project, "git_branch": "main"});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            service.request(Method::POST, "/api/v1/deployments").json(&body)
        };
        match self {
            Self::Post(tag) => post(json!({"tag": tag})),
            Self::PostLarger(tag) => post(json!({"tag": tag, "storage_size": "30Gi"})),
            Self::PostLogin(tag) => {
                post(json!({"tag": tag, "basic_auth_user": "somebody-else", "basic_auth_password": "another-password"}))
            }
            Self::Delete => service.request(Method::DELETE, &format!("/api/v1/deployments/dbt-server-{project}-main")),
        }
    }
}

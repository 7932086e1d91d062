//! Who is measured: the service, and Helm as a user would run it.

use std::path::PathBuf;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::NAMESPACE;
use crate::bench::load::{Api, Request};
use crate::cluster::{Plane, program};
use crate::project;

/// Somebody who deploys.
pub(super) enum Contender<'a> {
    Service(Service),
    Helm(Helm<'a>),
}

/// The service, by its API.
pub(super) struct Service {
    pub(super) api: Api,
}

/// A helm program, with the values that the service recorded.
pub(super) struct Helm<'a> {
    plane: &'a Plane,
    program: &'static str,
    /// Values for a server with 10 and with 11 workers, of the release [`MODEL`].
    values: [String; 2],
    folder: tempfile::TempDir,
}

/// The release whose values Helm deploys under other names.
const MODEL: &str = "dbt-server-model-main";

/// A POST of a deployment.
pub(super) fn deploy_request(project: &str, workers: u8) -> Request {
    let body = json!({ "project_name": project, "git_branch": "main", "worker_num": workers });
    Request { method: Method::POST, path: "/api/v1/deployments".to_owned(), body: Some(body) }
}

pub(super) fn delete_request(release: &str) -> Request {
    Request { method: Method::DELETE, path: format!("/api/v1/deployments/{release}"), body: None }
}

impl<'a> Helm<'a> {
    /// Records the values by deploying the model with the service.
    pub(super) async fn new(plane: &'a Plane, name: &'static str, api: &Api) -> anyhow::Result<Self> {
        let mut values = [String::new(), String::new()];
        for (text, workers) in values.iter_mut().zip([10, 11]) {
            api.send(&deploy_request("model", workers)).await?;
            *text = plane.run(&program(name), &["get", "values", MODEL, "--namespace", NAMESPACE, "--output", "json"])?;
        }
        api.send(&delete_request(MODEL)).await?;
        Ok(Self { plane, program: name, values, folder: tempfile::tempdir().context("cannot make a folder for values")? })
    }

    /// A file with the values for this release.
    fn values(&self, release: &str, workers: u8) -> anyhow::Result<PathBuf> {
        let text = self.values[usize::from(workers - 10)].replace(MODEL, release);
        let mut values: Value = serde_json::from_str(&text).context("helm prints no JSON")?;
        // What only our own records hold.
        values["controller"] = Value::Null;
        let path = self.folder.path().join("values.json");
        std::fs::write(&path, values.to_string()).context("cannot write values")?;
        Ok(path)
    }
}

impl Contender<'_> {
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Service(_) => "this service",
            Self::Helm(Helm { program: "helm4", .. }) => "Helm 4",
            Self::Helm(_) => "Helm 3",
        }
    }

    /// The release of a round, which is its StatefulSet too.
    pub(super) fn release(&self, round: usize) -> String {
        format!("dbt-server-{}-main", self.project(round))
    }

    fn project(&self, round: usize) -> String {
        match self {
            Self::Service(_) => format!("own-{round}"),
            Self::Helm(helm) => format!("{}-{round}", helm.program),
        }
    }

    pub(super) async fn deploy(&self, round: usize, workers: u8) -> anyhow::Result<()> {
        match self {
            Self::Service(service) => service.api.send(&deploy_request(&self.project(round), workers)).await.map(|_| ()),
            Self::Helm(helm) => {
                let release = self.release(round);
                let (values, chart) = (helm.values(&release, workers)?, project::root().join("charts/dbt-server"));
                let (values, chart) = (values.to_string_lossy(), chart.to_string_lossy());
                let arguments = ["upgrade", "--install", &release, &chart, "--namespace", NAMESPACE, "--values", &values, "--wait"];
                helm.plane.run(&program(helm.program), &arguments).map(|_| ())
            }
        }
    }

    pub(super) async fn delete(&self, round: usize) -> anyhow::Result<()> {
        let release = self.release(round);
        match self {
            Self::Service(service) => service.api.send(&delete_request(&release)).await.map(|_| ()),
            Self::Helm(helm) => {
                let arguments = ["uninstall", &release, "--namespace", NAMESPACE, "--wait"];
                helm.plane.run(&program(helm.program), &arguments).map(|_| ())
            }
        }
    }

    /// Removes what a delete leaves; not timed.
    pub(super) fn clean_up(&self, plane: &Plane, round: usize) -> anyhow::Result<()> {
        let release = self.release(round);
        let claim = format!("{release}-{release}-0");
        plane.kubectl(&["delete", "persistentvolumeclaim", "--namespace", NAMESPACE, "--ignore-not-found", &claim]).map(|_| ())
    }
}

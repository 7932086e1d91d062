//! A service in front of proxies.

use std::path::PathBuf;
use std::time::Duration;

use dbt_controller_tests::{Answer, Plan, Proxy, Script, Service, Upstream};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::names::Names;
use crate::scenario::{Request, Scenario};
use crate::site::Plane;

/// A service that can be killed and started again, and its way to the API server.
pub(crate) struct Replica {
    service: Option<Service>,
    pub(crate) script: Script,
    names: Names,
    settings: Vec<(&'static str, String)>,
    // What it wrote before it was killed.
    earlier_logs: String,
    // Where what it wrote for this case begins.
    logs_from: usize,
    _proxies: Vec<Proxy>,
    _files: TempDir,
}

/// How long a deployment may take in all, and its undo.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(60);
const UNDO_TIMEOUT: Duration = Duration::from_secs(30);
/// Within this time an operation has come to an end, if its end can be written.
pub(crate) const ENDED: Duration = Duration::from_secs(DEPLOY_TIMEOUT.as_secs() + UNDO_TIMEOUT.as_secs() + 30);

impl Replica {
    pub(crate) fn new(plane: &Plane, names: &Names) -> Self {
        let kubeconfig = plane.control.kubeconfig();
        let script = Script::new(names.pairs());
        let mut proxies = vec![Proxy::to(Upstream::api_server(&kubeconfig), &script)];
        let files = TempDir::new().unwrap();
        let file: PathBuf = kubeconfig.with_plain_address(&proxies[0].address()).write(&files);
        let settings = [
            ("KUBECONFIG", file.to_str().unwrap()),
            ("KUBERNETES_NAMESPACE", names.namespace.as_str()),
            ("DEFAULT_CUSTOMER", "acme"),
            ("DEFAULT_DOMAIN", "example.com"),
            ("DEFAULT_TAG", "1.0.0"),
            ("PULL_ERROR_WINDOW", "1s"),
            ("NO_POD_WINDOW", "1s"),
            ("DEPLOY_TIMEOUT", &format!("{}s", DEPLOY_TIMEOUT.as_secs())),
            ("UNDO_TIMEOUT", &format!("{}s", UNDO_TIMEOUT.as_secs())),
            ("SERVER_TERMINATION_GRACE", "10s"),
            ("LOCK_STALE_AFTER", "6s"),
            ("LOG_LEVEL", "debug"),
        ];
        let mut settings: Vec<_> = settings.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        if let Some(airflow) = &plane.airflow {
            let proxy = Proxy::to(airflow.upstream.clone(), &script);
            settings.push(("AIRFLOW_URL", format!("http://{}", proxy.address())));
            settings.push(("AIRFLOW_USER", airflow.user.clone()));
            settings.push(("AIRFLOW_PASSWORD", airflow.password.clone()));
            proxies.push(proxy);
        }
        Self {
            service: None,
            script,
            names: names.clone(),
            settings,
            earlier_logs: String::new(),
            logs_from: 0,
            _proxies: proxies,
            _files: files,
        }
    }

    /// Starts its service, and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.service = Some(Service::start(&settings).await);
    }

    /// Goes on with the next case.
    pub(crate) fn renew(&mut self, names: &Names) {
        self.names = names.clone();
        self.script.rename(names.pairs());
        self.earlier_logs.clear();
        self.logs_from = self.service().logs().len();
    }

    /// Begins to look at what a scenario's service calls, and what goes wrong there.
    pub(crate) async fn begin(&mut self, scenario: &Scenario, plan: Option<Plan>) {
        if scenario.starts {
            self.service().signal(Signal::KILL);
            self.ended().await;
            self.script.arm_from_start(plan);
            self.start().await;
        } else {
            self.script.arm(plan, self.service().process());
        }
    }

    /// Waits for the end of its service, which was killed.
    pub(crate) async fn ended(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.ended().await;
            self.earlier_logs = format!("{}\n--- killed\n", &service.logs()[self.logs_from..]);
            self.logs_from = 0;
        }
    }

    pub(crate) fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    /// What everything here is called.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Asks it for something.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, String> {
        Answer::try_to(request.to(self.service(), &self.names)).await.map_err(|error| format!("no answer: {error}"))
    }

    /// What it called and wrote, for who reads why a case failed.
    pub(crate) fn story(&self) -> String {
        let logs = self.service.as_ref().map(|service| service.logs().split_off(self.logs_from)).unwrap_or_default();
        let calls = self.script.seen().into_iter().map(|seen| {
            let status = seen.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            let action = seen.action.map_or_else(String::new, |action| format!("  <== {action}"));
            format!("{:9.3} {:?} {} {status}{action}\n", seen.at.as_secs_f64(), seen.call.kind, seen.call.label)
        });
        format!("--- calls\n{}--- logs\n{}{logs}", calls.collect::<String>(), self.earlier_logs)
    }
}

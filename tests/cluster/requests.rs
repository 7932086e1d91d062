//! How many requests the API server gets from the service. `-- --nocapture` shows them all.

use std::collections::BTreeMap;
use std::fmt;

use dbt_controller_domain::model::Warehouse;
use dbt_controller_tests::{Account, Audit, Namespace, Request, Service};
use serde_json::{Value, json};

use crate::support::role;
use crate::support::site::{body, body_with, deploy, path, serve};

const RELEASE: &str = "dbt-server-test-project-main";
/// The most requests of a first deploy, the lock's own included.
const FIRST_POST: usize = 14;

/// The same of one for a warehouse and with https: a look at the warehouse's Secret and one object more.
const FIRST_POST_OF_ALL: usize = FIRST_POST + 2;

/// What one operation asked for.
struct Count {
    /// Reads of anything, and writes of the release and its objects.
    requests: Vec<Request>,
    /// Writes of the operation's record, which is the lock.
    lock: Vec<Request>,
}

impl Count {
    /// What an account asked for since then, without what goes on all the time: watches, and the Lease. The questions for the account's
    /// own rights belong to the start.
    async fn of(account: &Account, audit: &Audit) -> Self {
        let mut requests = audit.requests_of(account.user()).await;
        // Events are written behind the answer, and at most one for each operation.
        requests.retain(|request| {
            request.verb != "watch"
                && request.resource != "events"
                && !request.resource.starts_with("leases")
                && request.resource != "selfsubjectrulesreviews"
        });
        let (lock, requests) =
            requests.into_iter().partition(|request| is_write(request) && request.name.starts_with("dbt-controller-op."));
        Self { requests, lock }
    }

    fn all(&self) -> usize {
        self.requests.len() + self.lock.len()
    }

    fn writes(&self) -> usize {
        self.requests.iter().filter(|request| is_write(request)).count()
    }
}

/// `4 requests: 2 get secrets, …; lock: 2 update secrets`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests: {}; of the lock {}: {}", self.requests.len(), told(&self.requests), self.lock.len(), told(&self.lock))
    }
}

fn told(requests: &[Request]) -> String {
    let mut counts = BTreeMap::new();
    for request in requests {
        let what = if request.resource.is_empty() { &request.uri } else { &request.resource };
        let rehearsed = if is_dry_run(request) { " (dry run)" } else { "" };
        *counts.entry(format!("{} {what}{rehearsed}", request.verb)).or_insert(0) += 1;
    }
    counts.into_iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn is_write(request: &Request) -> bool {
    !matches!(request.verb.as_str(), "get" | "list") && !is_dry_run(request)
}

fn is_dry_run(request: &Request) -> bool {
    request.uri.contains("dryRun=All")
}

/// A service whose account asks for nothing else.
struct Counter {
    service: Service,
    account: Account,
    namespace: Namespace,
}

impl Counter {
    async fn open() -> Self {
        let namespace = Namespace::create().await;
        let account = role::account(&namespace, role::shipped(&namespace).await).await;
        let service = serve(&namespace, account.kubeconfig_file(), &[]).await;
        Self { service, account, namespace }
    }

    /// The least that a first POST asks for: a watch that is behind on a busy machine costs a look at the cluster.
    async fn count_first_posts(&self, what: &str, project: &str, body: impl Fn(&str) -> Value) -> Count {
        let mut counts = Vec::new();
        for nth in 0..3 {
            let first = async |service: &Service| drop(deploy(service, &body(&format!("{project}-{nth}"))).await);
            counts.push(self.count(what, first).await);
        }
        counts.into_iter().min_by_key(Count::all).unwrap()
    }

    /// What is asked for while something is done.
    #[expect(clippy::print_stdout, reason = "the figures are what people run this for")]
    async fn count(&self, what: &str, act: impl AsyncFnOnce(&Service)) -> Count {
        let audit = Audit::begin(self.namespace.plane()).await;
        act(&self.service).await;
        let count = Count::of(&self.account, &audit).await;
        println!("{what}: {count}");
        count
    }
}

#[tokio::test]
async fn the_api_server_is_asked_for_no_more_than_is_needed() {
    let counter = Counter::open().await;
    let first = counter.count_first_posts("first POST", "first", body).await;
    assert!(first.all() <= FIRST_POST, "{first}");

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": Warehouse::Bigquery.secret_name()}});
    counter.namespace.apply(&secret).await;
    let all = json!({"https_enabled": true, "data_warehouse_platform": "bigquery"});
    let all = counter.count_first_posts("first POST for a warehouse and with https", "of-all", |project| body_with(project, &all)).await;
    assert!(all.all() <= FIRST_POST_OF_ALL, "{all}");

    drop(deploy(&counter.service, &body("test-project")).await);
    let equal = counter.count("equal POST", async |service| drop(deploy(service, &body("test-project")).await)).await;
    assert_eq!(equal.writes(), 0, "{equal}");
    assert!(!equal.requests.is_empty(), "an equal POST looks whether the objects are as they should be");

    let reads = async |service: &Service| {
        for path in ["/api/v1/deployments", "/api/v1/projects/all", "/api/v1/operations", &path(RELEASE)] {
            drop(service.get(path).await.expect(200));
        }
    };
    let reads = counter.count("lists and GET", reads).await;
    assert_eq!(reads.all(), 0, "{reads}");
    // Values are not in memory: one deployment, one look at its records.
    let projects = async |service: &Service| drop(service.get("/api/v1/projects").await.expect(200));
    let projects = counter.count("list of projects with their values", projects).await;
    assert!(projects.all() <= 2, "{projects}");

    let changed = async |service: &Service| drop(deploy(service, &body_with("test-project", &json!({"tag": "2.0.0"}))).await);
    let changed = counter.count("changed POST", changed).await;
    assert!(changed.writes() > 0, "nothing is counted: {changed}");
    for verb in ["suspend", "resume"] {
        let scale = async |service: &Service| drop(service.post(&format!("{}/{verb}", path(RELEASE)), &json!({})).await.expect(200));
        let scale = counter.count(verb, scale).await;
        assert_eq!(scale.writes(), 1, "{scale}");
    }
    let deleted = counter.count("DELETE", async |service| drop(service.delete(&path(RELEASE)).await.expect(200))).await;
    assert!(deleted.writes() > 0, "nothing is counted: {deleted}");
}

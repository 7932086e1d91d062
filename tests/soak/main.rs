//! The soak: two replicas under mixed traffic, while whoever started this test starts the API server and Airflow again.
//!
//! Each project has a worker of its own, who knows what must be there and so what each answer must be. A 503 or a 429 is a right answer
//! to send the request again; nothing else is. The traffic comes in rounds. After each everything is deleted, so that what a replica's
//! memory holds then is comparable: it may not grow from round to round. `cargo xtask prove soak` runs it; `SOAK_MINUTES` and `SOAK_SEED` are
//! its settings.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]
#![allow(clippy::print_stdout, reason = "the developer reads the figures")]

mod figures;
mod worker;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dbt_controller_tests::airflow::{Server, admin};
use dbt_controller_tests::{Namespace, Service, until_within};
use serde_json::Value;
use tempfile::TempDir;

use crate::figures::{Figures, Memory};
use crate::worker::Worker;

/// How many projects there are.
const PROJECTS: usize = 16;
/// How often everything is deleted. The last restart is in the third.
pub(crate) const ROUNDS: usize = 5;
/// Until what the end of a round has left to do is done, and memory is looked at.
const SETTLED: Duration = Duration::from_secs(10);
/// How much more a replica's own memory may be after the last round than after the third. What the C library keeps back differs by up to a
/// mebibyte of 22 from one look to the next.
const GROWTH: f64 = 1.1;
/// The kinds of which a deployment has objects.
const KINDS: &str = "statefulsets,pods,services,configmaps,secrets,serviceaccounts,ingresses,persistentvolumeclaims";
/// How long an operation stays readable.
const RETENTION: Duration = Duration::from_secs(60);
/// Until everything of the last deployments is gone.
const END: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_answer_mixed_traffic_rightly_and_leave_nothing() {
    let (minutes, seed) = (setting("SOAK_MINUTES", 10), setting("SOAK_SEED", 1));
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = namespace.plane().kubeconfig().write(&files);
    let replicas = Arc::new([serve(&namespace, &kubeconfig).await, serve(&namespace, &kubeconfig).await]);
    let before = inventory(&namespace).await;
    let figures = Arc::new(Mutex::new(Figures::default()));
    let begin = Instant::now();
    let mut workers: Vec<_> = (0..PROJECTS).map(|number| Worker::new(number, seed, Arc::clone(&replicas), Arc::clone(&figures))).collect();
    let mut memory = Vec::new();
    for round in 1..=ROUNDS {
        let end = begin + Duration::from_secs(60 * minutes).mul_f64(part(round));
        let tasks: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(worker.work(end))).collect();
        workers = Vec::new();
        for task in tasks {
            workers.push(task.await.unwrap());
        }
        let left = async || (deployed(&namespace).await == before).then_some(());
        until_within(END, "nothing is left", left).await;
        until_within(END, "no connection is left", async || (connections().await == "0").then_some(())).await;
        for replica in replicas.iter() {
            let listed: Value = replica.get("/api/v1/deployments").await.expect(200).json();
            assert_eq!(listed, serde_json::json!([]));
        }
        tokio::time::sleep(SETTLED).await;
        memory.push([0, 1].map(|replica: usize| Memory::of(&replicas[replica])));
        println!("after round {round} of {ROUNDS}: {:?}", memory[round - 1]);
    }
    // Of deployments that are gone, the records of operations go too, when the last one is past its retention.
    until_within(RETENTION + END, "no record of an operation is left", async || (inventory(&namespace).await == before).then_some(()))
        .await;

    let text = figures.lock().unwrap().text(begin.elapsed(), seed, &memory);
    println!("{text}");
    report(&text);
    for replica in [0, 1] {
        let [third, last] = [2, ROUNDS - 1].map(|round| memory[round][replica].own);
        assert!(last <= third * GROWTH, "replica {} has grown from {third:.1} to {last:.1} MiB", replica + 1);
    }
    let wrong = figures.lock().unwrap().wrong();
    assert!(wrong.is_empty(), "SOAK_SEED={seed}: {} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

async fn serve(namespace: &Namespace, kubeconfig: &Path) -> Service {
    let (user, password) = admin();
    Service::start(&[
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("KUBERNETES_NAMESPACE", namespace.name()),
        ("DEFAULT_CUSTOMER", "acme"),
        ("DEFAULT_DOMAIN", "example.com"),
        ("DEFAULT_TAG", "1.0.0"),
        ("PULL_ERROR_WINDOW", "1s"),
        ("NO_POD_WINDOW", "1s"),
        ("LOCK_STALE_AFTER", "6s"),
        // Shorter than the run, so that what is kept for it reaches its full size.
        ("OPERATION_RETENTION", &format!("{}s", RETENTION.as_secs())),
        ("LOG_LEVEL", "warning"),
        // Settings of the C library: what is free goes back to the system, so that what grows is what is held.
        ("MALLOC_ARENA_MAX", "1"),
        ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ("AIRFLOW_URL", &Server::shared().url),
        ("AIRFLOW_USER", &user),
        ("AIRFLOW_PASSWORD", &password),
    ])
    .await
}

/// How many connections of ours Airflow has.
async fn connections() -> String {
    const COUNT: &str = r#"
import os, sqlite3
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
print(table.execute("SELECT count(*) FROM connection WHERE description LIKE 'dbt-api-service-controller:%'").fetchone()[0])
"#;
    Server::shared().python(COUNT, &[]).await.trim().to_owned()
}

/// What a namespace has of the kinds of a deployment.
async fn inventory(namespace: &Namespace) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let objects = namespace.list(KINDS, "").await.into_iter();
    objects.map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))).collect()
}

/// The same without the service's own records of operations, which are kept for a while.
async fn deployed(namespace: &Namespace) -> BTreeSet<String> {
    inventory(namespace).await.into_iter().filter(|title| !title.starts_with("Secret/dbt-controller-op.")).collect()
}

/// Which part of the time is over with a round.
fn part(round: usize) -> f64 {
    f64::from(u32::try_from(round).unwrap()) / f64::from(u32::try_from(ROUNDS).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "the soak has no settings but these")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Hands the figures over to who asked for them.
#[expect(clippy::disallowed_methods, reason = "the soak has no settings but these")]
fn report(text: &str) {
    if let Some(folder) = std::env::var_os("SOAK_REPORT") {
        fs::write(Path::new(&folder).join("soak.md"), text).unwrap();
    }
}

//! What the audit tells when processes die; the rest of it is tested where requests come in.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use dbt_controller_adapters_memory::AirflowLink;
use dbt_controller_domain::model::Phase;
use dbt_controller_domain::operations::AUDIT_TARGET;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::freezing::Freezing;
use crate::stage::{Stage, caller, replica, request, revision, settings, world};

/// What all tests of this process have logged under the audit's target. There is one for all of them: with one for each, a line's first
/// use by another test would leave it out here.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(move || writer.clone());
    let targets = Targets::new().with_target(AUDIT_TARGET, tracing::Level::INFO);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(targets).with(lines)).unwrap();
    log
});

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The kind and the result of each line about a release.
fn told(release: &str) -> Vec<String> {
    let text = String::from_utf8(LOG.0.lock().unwrap().clone()).unwrap();
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
        rest.split_whitespace().next().unwrap().trim_matches('"').to_owned()
    };
    let ours = text.lines().filter(|line| field(line, "release.name") == release);
    ours.map(|line| format!("{} {}", field(line, "kind"), field(line, "result"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_takeover_and_its_outcome_are_told() {
    LazyLock::force(&LOG);
    let world = world();
    let store = Freezing::new(world.operations());
    let (frozen, survivor) = (replica(&world, store.clone(), settings()), replica(&world, world.operations(), settings()));
    let ticket = frozen.deploy(request("taken-over", None, "v1"), caller()).await.unwrap();
    let mut views = frozen.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    store.freeze(true);
    let background = tokio::spawn({
        let survivor = survivor.clone();
        async move { survivor.run_background().await }
    });
    let finished = survivor.wait(&ticket).await.unwrap();
    assert_eq!(revision(finished.outcome.clone()), 1);
    assert!(finished.events.iter().any(|event| event.message.contains("it goes on here")), "{:#?}", finished.events);
    store.freeze(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    background.abort();
    assert_eq!(told("dbt-server-taken-over"), ["deploy accepted", "deploy taken_over", "deploy succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn background_work_is_told_when_it_has_changed_something() {
    LazyLock::force(&LOG);
    let stage = Stage::new();
    revision(stage.deploy(request("owing", None, "v1")).await);
    stage.world.set_airflow_link(AirflowLink::Down);
    assert!(stage.delete("dbt-server-owing").await.is_ok());
    let controller = stage.controller.clone();
    let background = tokio::spawn(async move { controller.run_background().await });
    tokio::time::sleep(Duration::from_secs(300)).await;
    stage.world.set_airflow_link(AirflowLink::Up);
    tokio::time::sleep(Duration::from_secs(60)).await;
    background.abort();
    let expected = ["deploy accepted", "deploy succeeded", "delete accepted", "delete succeeded", "settle succeeded"];
    assert_eq!(told("dbt-server-owing"), expected);
}

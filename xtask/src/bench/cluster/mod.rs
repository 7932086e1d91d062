//! `bench cluster`: the whole service on a real control plane, side by side with both Helms on the same chart.

mod contenders;
mod seed;
mod watch;

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

use self::contenders::{Contender, Helm, Service};
use self::watch::Watch;
use super::api;
use super::load::{Api, Figures};
use super::machine::Machine;
use crate::cluster::{Plane, program};
use crate::interrupt::Interrupt;
use crate::page;
use crate::project::{self, Profile};
use crate::service;

/// How often each operation is timed; of the times the median is told.
const ROUNDS: usize = 9;
/// How many releases there are when lists are measured.
const COUNTS: [usize; 3] = [10, 1_000, 5_000];
/// How many POSTs come at once.
const AT_ONCE: usize = 100;
/// The namespace of everything.
const NAMESPACE: &str = "bench";

const SETTINGS: [(&str, &str); 9] = [
    ("KUBERNETES_NAMESPACE", NAMESPACE),
    ("SECRET_KEY", "the-key-of-a-benchmark"),
    ("HOST", "127.0.0.1"),
    ("DEFAULT_CUSTOMER", "acme"),
    ("DEFAULT_DOMAIN", "example.com"),
    ("DEFAULT_TAG", "1.0.0"),
    ("REQUESTS_PER_SECOND", "1000000"),
    ("MAX_CONCURRENT_DEPLOYMENTS", "20"),
    // Each look whether it is ready yet would be a warning.
    ("LOG_LEVEL", "error"),
];

/// Measures, prints the tables, and puts them into docs/benchmarks.md.
pub(crate) fn run() -> anyhow::Result<()> {
    let service = project::build_service(Profile::Release)?;
    let interrupt = Interrupt::catch()?;
    let plane = Plane::start("run-bench", &interrupt)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let text = runtime.block_on(measure(&service, &plane, &interrupt))?;
    writeln!(io::stdout(), "{text}")?;
    page::write("benchmarks.md", "bench cluster", &text)
}

async fn measure(service: &Path, plane: &Plane, interrupt: &Interrupt) -> anyhow::Result<String> {
    plane.kubectl(&["create", "namespace", NAMESPACE])?;
    let mut settings = SETTINGS.to_vec();
    let kubeconfig = plane.kubeconfig();
    let kubeconfig = kubeconfig.to_string_lossy();
    settings.push(("KUBECONFIG", &kubeconfig));
    let mut running = start(service, &settings).await?;

    let operations = operations(&running, plane, interrupt).await?;
    progress(&operations)?;
    let (mut lists, mut made) = (String::new(), 0);
    let template = seed::Template::record(&running.api, plane).await?;
    for count in COUNTS {
        interrupt.check()?;
        template.write(plane, made..count)?;
        made = count;
        // A fresh process, so that its memory and its start are those of this number of releases.
        drop(running);
        running = start(service, &settings).await?;
        let row = lists_of(&running, plane, count).await.with_context(|| format!("with {count} releases"))?;
        progress(&row)?;
        lists.push_str(&row);
    }
    let burst = burst(&running).await?;
    Ok(text(&operations, &lists, &burst))
}

/// A running service, and how long it took until it was ready.
struct Running {
    service: service::Service,
    api: Api,
    start: Duration,
}

async fn start(program: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Running> {
    let begin = Instant::now();
    let service = service::Service::start_on_cluster(program, settings)?;
    let api = Api::new(&service)?;
    api.until_ready(Duration::from_secs(120)).await?;
    Ok(Running { service, api, start: begin.elapsed() })
}

/// The table of single operations.
async fn operations(running: &Running, plane: &Plane, interrupt: &Interrupt) -> anyhow::Result<String> {
    let watch = Watch::start(plane, NAMESPACE)?;
    let contenders = [
        Contender::Service(Service { api: running.api.clone() }),
        Contender::Helm(Helm::new(plane, "helm4", &running.api).await?),
        Contender::Helm(Helm::new(plane, "helm3", &running.api).await?),
    ];
    let mut table = String::new();
    for contender in &contenders {
        let mut times: [Vec<Duration>; 4] = Default::default();
        let mut limits: [Vec<Duration>; 2] = Default::default();
        for round in 0..ROUNDS {
            interrupt.check()?;
            let name = contender.release(round);
            let timed = |begin: Instant| begin.elapsed();
            let begin = Instant::now();
            contender.deploy(round, 10).await?;
            times[0].push(timed(begin));
            limits[0].push(watch.until_ready(&name)?);
            let begin = Instant::now();
            contender.deploy(round, 11).await?;
            times[1].push(timed(begin));
            limits[1].push(watch.until_ready(&name)?);
            let begin = Instant::now();
            contender.deploy(round, 11).await?;
            times[2].push(timed(begin));
            let begin = Instant::now();
            contender.delete(round).await?;
            times[3].push(timed(begin));
            contender.clean_up(plane, round)?;
        }
        let [first, changed, equal, delete] = times.map(median).map(api::milliseconds);
        let [first_limit, changed_limit] = limits.map(median).map(api::milliseconds);
        table
            .push_str(&format!("| {} | {first} | {first_limit} | {changed} | {changed_limit} | {equal} | {delete} |\n", contender.title()));
    }
    Ok(table)
}

async fn lists_of(running: &Running, plane: &Plane, count: usize) -> anyhow::Result<String> {
    let before = running.service.resident_kib()?;
    let list = running.api.measure(|_| api::list()).await?;
    let get = running.api.measure(|number| api::get(number % count)).await?;
    let after = running.service.resident_kib()?;
    let helm = |name: &str| -> anyhow::Result<String> {
        let mut times = Vec::new();
        for _ in 0..3 {
            let begin = Instant::now();
            let output = plane.run(&program(name), &["list", "--namespace", NAMESPACE, "--max", "0", "--output", "json"])?;
            times.push(begin.elapsed());
            let listed: Vec<serde_json::Value> = serde_json::from_str(&output).context("helm list prints no JSON")?;
            ensure!(listed.len() >= count, "{name} lists {} of {count} releases", listed.len());
        }
        Ok(api::milliseconds(median(times)))
    };
    let Figures { p50, p99, .. } = list;
    Ok(format!(
        "| {count} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        api::milliseconds(p50),
        api::milliseconds(p99),
        api::milliseconds(get.p99),
        helm("helm4")?,
        helm("helm3")?,
        api::milliseconds(running.start),
        api::mebibytes(before),
        api::mebibytes(after),
    ))
}

/// Many POSTs at once for different deployments.
async fn burst(running: &Running) -> anyhow::Result<String> {
    let requests = (0..AT_ONCE).map(|number| contenders::deploy_request(&format!("burst-{number}"), 10)).collect();
    let begin = Instant::now();
    // A failed one ends the measurement with its answer.
    running.api.send_all(requests, AT_ONCE).await?;
    Ok(format!(
        "{AT_ONCE} POSTs at once for {AT_ONCE} new deployments, beside {} releases, {} of them at a time: all deployed after {:.1} s; memory then {}.",
        COUNTS[COUNTS.len() - 1],
        20,
        begin.elapsed().as_secs_f64(),
        api::mebibytes(running.service.resident_kib()?),
    ))
}

#[expect(clippy::disallowed_methods, reason = "a report tells when it was made")]
fn text(operations: &str, lists: &str, burst: &str) -> String {
    let (date, machine) = (Timestamp::now().strftime("%Y-%m-%d"), Machine::this());
    format!(
        "Measured on {date}, {machine}; the control plane, kwok, the service and the load generator share them. Medians of {ROUNDS} rounds. \"Limit\" is \
         the time from the change of the StatefulSet (made, or its template changed) until it is ready, seen by a watch: no tool can be faster.\n\n\
         | | First POST | Limit | Changed POST | Limit | Equal POST | DELETE |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n\
         {operations}\n\
         Helm: `helm upgrade --install --wait` and `helm uninstall --wait` of `charts/dbt-server` with the same values. Its uninstall leaves the claim; \
         DELETE removes it too.\n\n\
         | Releases | List p50 | List p99 | Get p99 | `helm list`, Helm 4 | `helm list`, Helm 3 | Start until ready | Memory after the start | Memory after the load |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n\
         {lists}\n{burst}"
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn progress(rows: &str) -> anyhow::Result<()> {
    Ok(io::stderr().write_all(rows.as_bytes())?)
}

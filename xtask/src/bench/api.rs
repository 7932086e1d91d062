//! `bench api`: what the API costs with few and with many deployments.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use super::load::{Api, CONCURRENCY, Figures, Request};
use super::machine::Machine;
use crate::page;
use crate::project::{self, Profile};
use crate::service::Service;

/// How many deployments there are.
const COUNTS: [usize; 3] = [10, 1_000, 10_000];
/// POSTs under way while the deployments are made.
const SEEDERS: usize = 64;

/// Servers get ready at once and nothing is held back: the service is what is measured.
const SETTINGS: [(&str, &str); 5] = [
    ("EMBEDDED_READY_AFTER", "0"),
    ("MAX_CONCURRENT_DEPLOYMENTS", "64"),
    ("MAX_QUEUED_OPERATIONS", "100000"),
    ("REQUESTS_PER_SECOND", "1000000"),
    ("OPERATION_RETENTION", "1h"),
];

/// Measures, prints the tables, and puts them into docs/benchmarks.md.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = project::build_service(Profile::Release)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let (mut calls, mut memory) = (String::new(), String::new());
    for count in COUNTS {
        let rows = runtime.block_on(measure(&program, count)).with_context(|| format!("with {count} deployments"))?;
        // All of it takes minutes: show that it goes on.
        io::stderr().write_all(rows.calls.as_bytes())?;
        calls.push_str(&rows.calls);
        memory.push_str(&rows.memory);
    }
    let text = report(&calls, &memory);
    writeln!(io::stdout(), "{text}")?;
    page::write("benchmarks.md", "bench api", &text)
}

#[expect(clippy::disallowed_methods, reason = "a report tells when it was made")]
fn report(calls: &str, memory: &str) -> String {
    let (date, machine) = (Timestamp::now().strftime("%Y-%m-%d"), Machine::this());
    format!(
        "Measured on {date}, {machine}; service and load generator share them. HTTP/1.1 with kept-alive connections. Latency with one request at \
         a time, throughput with {CONCURRENCY} at a time.\n\n\
         | Deployments | Call | p50 | p99 | Answers per second | Size of the answer |\n\
         | ---: | --- | ---: | ---: | ---: | ---: |\n\
         {calls}\n\
         The deployments were made by POSTs, {SEEDERS} at a time. Memory is `VmRSS`, before them, after them, and after the load.\n\n\
         | Deployments | Made per second | Memory before | Memory with them | Memory after the load |\n\
         | ---: | ---: | ---: | ---: | ---: |\n\
         {memory}"
    )
}

/// What was measured with one number of deployments, as rows of the two tables.
struct Rows {
    calls: String,
    memory: String,
}

async fn measure(program: &Path, count: usize) -> anyhow::Result<Rows> {
    let service = Service::start(program, &SETTINGS)?;
    let api = Api::new(&service)?;
    let before = service.resident_kib()?;
    let begin = Instant::now();
    api.send_all((0..count).map(deploy).collect(), SEEDERS).await?;
    let (seeded, with_them) = (begin.elapsed(), service.resident_kib()?);

    let mut calls = String::new();
    calls.push_str(&measure_call(&api, count, "list", |_| list()).await?);
    calls.push_str(&measure_call(&api, count, "get one", get).await?);
    calls.push_str(&measure_call(&api, count, "POST of what is deployed", deploy).await?);
    let rate = count as f64 / seeded.as_secs_f64();
    let memory = [before, with_them, service.resident_kib()?].map(mebibytes).join(" | ");
    Ok(Rows { calls, memory: format!("| {count} | {rate:.0} | {memory} |\n") })
}

async fn measure_call(api: &Api, count: usize, name: &str, request: impl Fn(usize) -> Request) -> anyhow::Result<String> {
    let bytes = api.send(&request(0)).await?;
    let figures = api.measure(request).await?;
    Ok(row(count, name, &figures, bytes))
}

fn row(count: usize, call: &str, figures: &Figures, bytes: usize) -> String {
    let Figures { p50, p99, per_second } = figures;
    let size = if bytes < 10_240 { format!("{bytes} B") } else { format!("{} KiB", bytes / 1024) };
    format!("| {count} | {call} | {} | {} | {per_second:.0} | {size} |\n", milliseconds(*p50), milliseconds(*p99))
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

pub(super) fn mebibytes(kib: u64) -> String {
    format!("{:.0} MiB", kib as f64 / 1024.0)
}

pub(super) fn list() -> Request {
    Request { method: Method::GET, path: "/api/v1/deployments".to_owned(), body: None }
}

pub(super) fn get(number: usize) -> Request {
    Request { method: Method::GET, path: format!("/api/v1/deployments/dbt-server-bench-{number}-main"), body: None }
}

fn deploy(number: usize) -> Request {
    let body = json!({ "project_name": format!("bench-{number}"), "git_branch": "main" });
    Request { method: Method::POST, path: "/api/v1/deployments".to_owned(), body: Some(body) }
}

//! A run: finds the cases, draws, runs them side by side, tells the figures.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dbt_controller_tests::Random;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use crate::case::{self, Case, Then};
use crate::discovery::{self, Found};
use crate::report::{End, Outcome, Report};
use crate::site::{AFTERWARDS, BEFORE, DISAGREE, Plane, Site};
use crate::{crash, fault};

/// What the developer asks for.
struct Settings {
    seed: u64,
    /// None for all.
    size: Option<usize>,
    part: Part,
    only: Option<String>,
    parallel: usize,
}

/// One of so many parts, from 1 on. All cases of a step are in the same one, so that each part can tell which steps none has reached; and in
/// each run, whatever other steps there are.
struct Part {
    number: usize,
    of: usize,
}

/// The scenarios run once for both matrices.
static FOUND: OnceCell<Found> = OnceCell::const_new();

/// How often a case is run until its step comes: a call that comes by the clock is not there each time. Also until Airflow keeps up with it.
const TRIES: usize = 3;

/// What is told of a case that was run again since Airflow did not keep up.
const AIRFLOW_WAS_SLOW: &str = "run again";

/// What went wrong in a case.
struct Wrong {
    reason: String,
    /// Of its services: their calls and logs.
    story: String,
    /// Whether a caller was told that Airflow does not answer, and it did not, to a call that nothing was done to. It has one writer, for all
    /// cases.
    airflow_was_slow: bool,
}

/// Runs a matrix.
pub(crate) async fn run(name: &str, cases: fn(&Found, u64) -> Vec<Case>) {
    let settings = Settings::read();
    let plane = Plane::find();
    let found = FOUND.get_or_try_init(|| discovery::discover(&plane, settings.parallel)).await.unwrap();
    let mut cases = cases(found, settings.seed);
    let known = cases.len();
    cases.retain(|case| settings.part.has(case));
    let is_meant = |case: &Case| settings.only.as_ref().is_none_or(|only| case.to_string().contains(only));
    let mut everywhere = case::crashes(found, settings.seed).into_iter().chain(case::faults(found, settings.seed));
    assert!(everywhere.any(|case| is_meant(&case)), "no case of either matrix is called that: {:?}", settings.only);
    cases.retain(is_meant);
    let cases = case::draw(cases, settings.size.unwrap_or(usize::MAX));
    let (begin, count) = (Instant::now(), cases.len());
    println!("{name} matrix: {count} of {known} cases, seed {}", settings.seed);
    let (report, wrong) = run_all(&plane, cases, settings.parallel).await;
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    println!("\n{name} matrix: {count} of {known} cases, seed {}, {minutes:.1} minutes, {} wrong", settings.seed, wrong.len());
    write_report(name, &json!({"known": known, "minutes": minutes, "ended": report.ended()}));
    assert!(wrong.is_empty(), "MATRIX_SEED={}; each alone by MATRIX_ONLY='<name>':\n{}", settings.seed, wrong.join("\n"));
    let unproved = report.unproved();
    assert!(unproved.is_empty(), "MATRIX_SEED={}; no case has reached these steps:\n{}", settings.seed, unproved.join("\n"));
}

/// Where the next cases take place that need one service: a start costs more than many a case. Of two, the one that does the background work is
/// another one after many a case.
type Sites = Arc<Mutex<Vec<Site>>>;

async fn run_all(plane: &Plane, cases: Vec<Case>, parallel: usize) -> (Report, Vec<String>) {
    let sites = Sites::default();
    let places = Arc::new(Semaphore::new(parallel));
    let (mut tasks, count) = (JoinSet::new(), cases.len());
    for (number, case) in cases.into_iter().enumerate() {
        let (plane, places, sites) = (plane.clone(), Arc::clone(&places), Arc::clone(&sites));
        tasks.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let begin = Instant::now();
            // In a task of its own, because support code panics when it cannot go on; and on a thread of its own, because it also blocks.
            let ran = tokio::task::spawn_blocking({
                let case = case.clone();
                move || Handle::current().block_on(run_until_reached(&plane, &sites, &case))
            });
            let result = ran.await.unwrap_or_else(|panic| Err(Wrong::by_itself(panic.to_string())));
            let shown = match &result {
                Ok(outcome) => format!("{outcome:?}"),
                Err(Wrong { reason, story, .. }) => format!("WRONG: {reason}\n  its story is in {}", keep(&case, "", reason, story)),
            };
            println!("[{:>4}/{count}] {case}: {shown} ({:.1} s)", number + 1, begin.elapsed().as_secs_f64());
            (case, result.map_err(|wrong| wrong.reason))
        });
    }
    let (mut report, mut wrong) = (Report::default(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (case, result) = done.unwrap();
        report.note(&case, result.as_ref().ok());
        if let Err(reason) = result {
            wrong.push(format!("{case}: {reason}"));
        }
    }
    (report, wrong)
}

async fn run_until_reached(plane: &Plane, sites: &Sites, case: &Case) -> Result<Outcome, Wrong> {
    let mut told = Vec::new();
    for number in 1..TRIES {
        match run_one(plane, sites, case).await {
            Ok(Outcome { end: End::NotReached, .. }) => {}
            Err(Wrong { reason, story, airflow_was_slow: true }) => {
                println!(
                    "{case}: run again, since Airflow gave no answer; its story is in {}",
                    keep(case, &format!("try {number}"), &reason, &story)
                );
                told.push(AIRFLOW_WAS_SLOW.to_owned());
            }
            other => return other.map(|outcome| outcome.and_told(told)),
        }
    }
    run_one(plane, sites, case).await.map(|outcome| outcome.and_told(told))
}

/// Runs a case; what went wrong comes with the story of its services.
async fn run_one(plane: &Plane, sites: &Sites, case: &Case) -> Result<Outcome, Wrong> {
    let replicas = case.then.replicas();
    let old = if replicas == 1 { sites.lock().unwrap().pop() } else { None };
    let site = match old {
        Some(site) => Ok(site),
        None => Site::open(plane, replicas).await,
    };
    let mut site = site.map_err(Wrong::by_itself)?;
    let result = match case.then {
        Then::Itself => fault::run(case, &mut site).await,
        Then::Restart | Then::RestartAndRetry | Then::Survivor | Then::SurvivorAndRetry => crash::run(case, &mut site).await,
    };
    let wrong = |site: &Site, reason: String| {
        // The calls of a process that is killed have no answers either. And worlds that do not agree in the end are wrong, whoever was slow.
        let is_killed = case.then != Then::Itself;
        // Where Airflow is what goes wrong, the disturbed caller is told so all the same.
        let is_about_airflow = case.step.label.starts_with("airflow: ") && !reason.contains(AFTERWARDS);
        // What the disturbed caller was told stands before.
        let blamed = reason.split_once(AFTERWARDS).map_or(reason.as_str(), |(_, afterwards)| afterwards);
        let is_told = blamed.contains("airflow_unavailable") && !blamed.contains(DISAGREE);
        let is_disturbed = !reason.starts_with(BEFORE) && (is_killed || is_about_airflow);
        let airflow_was_slow = is_told && !is_disturbed && site.airflow_was_slow();
        Wrong { airflow_was_slow, story: site.story(), reason }
    };
    let outcome = result.map_err(|reason| wrong(&site, reason))?;
    if replicas == 1 {
        site.renew().await.map_err(|reason| wrong(&site, reason))?;
        sites.lock().unwrap().push(site);
    }
    Ok(outcome)
}

impl Wrong {
    /// What has no story.
    fn by_itself(reason: String) -> Self {
        Self { reason, story: String::new(), airflow_was_slow: false }
    }
}

/// Keeps the story of a case that went wrong, in the last try or in this one; returns where.
fn keep(case: &Case, which: &str, reason: &str, story: &str) -> String {
    let name: String = format!("{case} {which}")
        .trim_end()
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || ".-#".contains(char) { char } else { '_' })
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
    match fs::write(&path, format!("{case}\n{reason}\n{story}")) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("no file: {error}"),
    }
}

impl Settings {
    #[expect(clippy::disallowed_methods, reason = "the matrices have no settings but these")]
    fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let number =
            |name: &str, default: u64| text(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")));
        let size = match text("MATRIX_CASES").as_deref() {
            Some("all") => None,
            _ => Some(usize::try_from(number("MATRIX_CASES", 40)).unwrap()),
        };
        let parallel = usize::try_from(number("MATRIX_PARALLEL", 8)).unwrap();
        let part = text("MATRIX_PART").map_or(Part { number: 1, of: 1 }, |part| Part::parse(&part).unwrap_or_else(|| panic!("{part:?}")));
        Self { seed: number("MATRIX_SEED", 1), size, part, only: text("MATRIX_ONLY"), parallel }
    }
}

impl Part {
    /// Reads `2/6`.
    fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
    }

    fn has(&self, case: &Case) -> bool {
        Random::named(0, &format!("{} / {}", case.scenario.name, case.step)).below(self.of) + 1 == self.number
    }
}

/// Hands what has happened over to who asked for it.
#[expect(clippy::disallowed_methods, reason = "the matrices have no settings but these")]
fn write_report(name: &str, report: &Value) {
    if let Some(folder) = std::env::var_os("MATRIX_REPORT") {
        fs::write(Path::new(&folder).join(format!("{name}.json")), report.to_string()).unwrap();
    }
}

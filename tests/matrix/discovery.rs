//! The steps of a scenario: the calls that come in each of two runs in which nothing goes wrong.

use std::collections::BTreeSet;
use std::time::Instant;

use dbt_controller_tests::{Kind, Step};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::report::is_of_record;
use crate::scenario::{Expected, Request, SCENARIOS, Scenario};
use crate::site::{Plane, Site};

/// What was found: the steps of each scenario.
#[derive(Debug, Clone)]
pub(crate) struct Found(Vec<(&'static Scenario, Vec<(Step, Kind)>)>);

impl Found {
    /// All steps.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static Scenario, &Step, Kind)> {
        self.0.iter().flat_map(|(scenario, steps)| steps.iter().map(|(step, kind)| (*scenario, step, *kind)))
    }
}

/// Runs every scenario twice, so many side by side.
pub(crate) async fn discover(plane: &Plane, parallel: usize) -> Result<Found, String> {
    let mut found = Vec::new();
    for scenarios in SCENARIOS.chunks(parallel) {
        let mut tasks = JoinSet::new();
        for scenario in scenarios {
            let plane = plane.clone();
            // On a thread of its own, because support code blocks.
            tasks.spawn_blocking(move || {
                let steps = Handle::current().block_on(stable(&plane, scenario));
                steps.map(|steps| (scenario, steps)).map_err(|error| format!("{}: {error}", scenario.name))
            });
        }
        found.extend(tasks.join_all().await);
    }
    let mut found: Vec<(&'static Scenario, _)> = found.into_iter().collect::<Result<_, _>>()?;
    found.sort_by_key(|(scenario, _)| SCENARIOS.iter().position(|known| known.name == scenario.name));
    Ok(Found(found))
}

/// What comes by the clock, such as the renewal of a lock, comes more often in one run than in another; but what comes at all comes in both. A
/// call with a name that is made up each time would not, and would be left out of all cases without a word.
async fn stable(plane: &Plane, scenario: &Scenario) -> Result<Vec<(Step, Kind)>, String> {
    let (mut steps, other) = (steps_of(plane, scenario).await?, steps_of(plane, scenario).await?);
    let labels = |steps: &[(Step, Kind)]| {
        let counted = steps.iter().filter(|(step, kind)| !matches!(kind, Kind::Lease | Kind::Event) && !is_of_record(step));
        counted.map(|(step, _)| step.label.clone()).collect::<BTreeSet<_>>()
    };
    let odd: Vec<_> = labels(&steps).symmetric_difference(&labels(&other)).cloned().collect();
    if !odd.is_empty() {
        return Err(format!("these calls came in one of two runs only: {}", odd.join(", ")));
    }
    steps.retain(|step| other.contains(step));
    Ok(steps)
}

async fn steps_of(plane: &Plane, scenario: &Scenario) -> Result<Vec<(Step, Kind)>, String> {
    let mut site = Site::open(plane, 1).await?;
    site.prepare(scenario).await?;
    let begin = Instant::now();
    site.replicas[0].begin(scenario, None).await;
    let replica = &site.replicas[0];
    let answer = replica.ask(scenario.request).await?;
    replica.script.disarm();
    let steps = replica.script.steps();
    println!("{}: {} steps in {:.1} s", scenario.name, steps.len(), begin.elapsed().as_secs_f64());
    if !scenario.is_answered_by(&answer) {
        return Err(format!("{} {}\n{}", answer.status, answer.text, site.story()));
    }
    site.soon(scenario.after).await.map_err(|error| format!("{error}\n{}", site.story()))?;
    if scenario.after != Expected::Nothing {
        site.demand(0, Request::Delete(scenario.after.naming()), Expected::Nothing).await?;
    }
    Ok(steps)
}

//! The steps of a scenario: the calls of one run in which nothing goes wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use dbt_controller_tests::Step;

use crate::scenario::{Expected, Request, SCENARIOS, Scenario};
use crate::site::{Plane, Site};

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What a server consists of.
    pub(crate) whole: Arc<BTreeSet<String>>,
    /// The steps of each scenario.
    pub(crate) steps: Vec<(&'static Scenario, Vec<Step>)>,
}

/// Runs every scenario once.
pub(crate) async fn discover(plane: &Plane) -> Result<Found, String> {
    let whole = Arc::new(whole(plane).await?);
    let mut steps = Vec::new();
    for scenario in SCENARIOS {
        steps.push((scenario, steps_of(plane, scenario, &whole).await.map_err(|error| format!("{}: {error}", scenario.name))?));
    }
    Ok(Found { whole, steps })
}

/// What a first deployment makes.
async fn whole(plane: &Plane) -> Result<BTreeSet<String>, String> {
    let site = Site::open(plane, 1, &Arc::default()).await?;
    let answer = site.replicas[0].ask(Request::Post("1.0.0")).await?;
    if answer.status != 200 {
        return Err(format!("the first deployment: {} {}", answer.status, answer.text));
    }
    let objects = site.observe().await?.objects;
    site.close().await;
    Ok(objects)
}

async fn steps_of(plane: &Plane, scenario: &Scenario, whole: &Arc<BTreeSet<String>>) -> Result<Vec<Step>, String> {
    let site = Site::open(plane, 1, whole).await?;
    site.prepare(scenario.before).await?;
    let (replica, begin) = (&site.replicas[0], Instant::now());
    replica.script.arm(None, replica.service().process());
    site.demand(0, scenario.request, scenario.status, scenario.after).await.map_err(|error| format!("{error}\n{}", site.story()))?;
    replica.script.disarm();
    let steps = replica.script.steps();
    println!("{}: {} steps in {:.1} s", scenario.name, steps.len(), begin.elapsed().as_secs_f64());
    if scenario.after != Expected::Nothing {
        site.demand(0, Request::Delete, 200, Expected::Nothing).await?;
    }
    site.close().await;
    Ok(steps)
}

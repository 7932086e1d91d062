//! A case of the crash matrix.

use std::time::{Duration, Instant};

use dbt_controller_tests::{Action, Answer, Kind};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::case::{Case, Then};
use crate::report::Outcome;
use crate::scenario::{Expected, Request};
use crate::site::Site;

/// Within this time after a crash everything must agree again.
const MINUTE: Duration = Duration::from_secs(60);
/// How long an operation may take until its step is reached.
const PATIENCE: Duration = Duration::from_secs(120);
/// How soon what was answered shows everywhere.
const SOON: Duration = Duration::from_secs(10);
/// How often a request is sent again.
const TRIES: usize = 3;
/// For how long a process that woke is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// A request under way.
type Asked = JoinHandle<reqwest::Result<Answer>>;

/// Runs it.
pub(crate) async fn run(case: &Case, site: &mut Site) -> Result<Outcome, String> {
    let scenario = case.scenario;
    // With two, the one that does the background work is killed: taking that over is part of it. One that stops is the other one.
    let Action::Signal(signal, _) = case.plan.action else { return Err("no crash".to_owned()) };
    let victim = usize::from(signal == Signal::STOP);
    let survivor = if site.replicas.len() == 2 { 1 - victim } else { victim };
    site.prepare(scenario.before).await?;

    let replica = &site.replicas[victim];
    replica.script.arm(Some(case.plan.clone()), replica.service().process());
    let asked: Asked = tokio::spawn(Answer::try_to(scenario.request.to(replica.service(), replica.project())));
    let reached = reaches(site, victim, &asked).await?;
    let crashed = Instant::now();
    site.replicas[victim].script.disarm();
    if !reached {
        site.settled(&[scenario.after], crashed + MINUTE).await?;
        return Ok(Outcome::NotReached);
    }
    if signal == Signal::STOP {
        return wake(case, site, victim, asked, crashed).await;
    }
    site.replicas[victim].ended().await;
    // The end of an operation is seen by a watch, too, which may be quicker than the answer to who wrote it.
    let answered = asked.await.ok().and_then(Result::ok).map(|answer| answer.status == scenario.status);
    match case.then {
        Then::Restart | Then::RestartAndRetry => site.replicas[victim].start().await,
        Then::Survivor | Then::SurvivorAndRetry | Then::Itself => {}
    }
    // What was answered must be so.
    let mut allowed = match answered {
        None => vec![scenario.before, scenario.after],
        Some(true) => vec![scenario.after],
        Some(false) => vec![scenario.before],
    };
    if matches!(case.then, Then::RestartAndRetry | Then::SurvivorAndRetry) {
        retry(case, site, survivor).await?;
        allowed = vec![scenario.after];
    }
    let end = site.settled(&allowed, crashed + MINUTE).await?;
    let took = crashed.elapsed();
    site.goes_on(scenario, survivor, survivor).await?;
    Ok(outcome(case, end, took))
}

/// Waits for the moment of the crash; false when the request was answered without it.
async fn reaches(site: &Site, victim: usize, asked: &Asked) -> Result<bool, String> {
    let begin = Instant::now();
    loop {
        if site.replicas[victim].script.struck() {
            return Ok(true);
        }
        if asked.is_finished() {
            return Ok(false);
        }
        if begin.elapsed() > PATIENCE {
            return Err("neither the step nor an answer has come".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same request again, as a pipeline sends it when it got no answer, and once more when it is told to.
async fn retry(case: &Case, site: &Site, replica: usize) -> Result<(), String> {
    let scenario = case.scenario;
    let mut told = String::new();
    for _ in 0..TRIES {
        let answer = site.replicas[replica].ask(scenario.request).await?;
        // The first one may have been finished by now.
        let is_gone = scenario.request == Request::Delete && answer.status == 404;
        if answer.status == scenario.status || is_gone {
            return Ok(());
        }
        told = format!("the retry: {} {}", answer.status, answer.text);
        if answer.status != 503 {
            return Err(told);
        }
    }
    Err(told)
}

/// The other replica takes over while the process is stopped; then it wakes, and must change nothing.
async fn wake(case: &Case, site: &Site, victim: usize, asked: Asked, stopped: Instant) -> Result<Outcome, String> {
    let scenario = case.scenario;
    let replica = &site.replicas[victim];
    // It holds nothing yet, or not any more: then it goes on where it was.
    let is_holder = site.observe().await?.is_under_way();
    let settled = site.settled(&[scenario.before, scenario.after], stopped + MINUTE).await;
    let (took, woken) = (stopped.elapsed(), replica.script.now());
    replica.service().signal(Signal::CONT);
    let mut end = settled?;
    if is_holder {
        tokio::time::sleep(WATCHED).await;
        let mut written = replica.script.seen().into_iter().filter(|seen| seen.at > woken && seen.call.kind == Kind::Write);
        if let Some(seen) = written.find(|seen| seen.status.is_some_and(|status| status < 300)) {
            return Err(format!("the process that woke has written: {} ({:?})", seen.call.label, seen.status));
        }
    }
    let answer = match tokio::time::timeout(MINUTE, asked).await {
        Ok(Ok(Ok(answer))) => answer,
        other => return Err(format!("the process that woke has not answered its caller: {other:?}")),
    };
    if !is_holder {
        end = scenario.after;
    }
    let promised = if answer.status == scenario.status { scenario.after } else { scenario.before };
    if end != promised {
        return Err(format!("the process that woke has answered {} {}, but there is {end:?}", answer.status, answer.text));
    }
    site.settled(&[end], Instant::now() + SOON).await.map_err(|error| format!("after it woke: {error}"))?;
    site.goes_on(scenario, victim, 1 - victim).await?;
    Ok(outcome(case, end, took))
}

fn outcome(case: &Case, end: Expected, took: Duration) -> Outcome {
    let scenario = case.scenario;
    if end == scenario.after && scenario.after != scenario.before { Outcome::Finished(took) } else { Outcome::Undone(took) }
}

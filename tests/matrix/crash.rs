//! A case of the crash matrix.

use std::time::{Duration, Instant};

use dbt_controller_tests::{Action, Answer, Kind, Plan, Script, Seen};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::case::{Case, Then};
use crate::replica::ENDED;
use crate::report::{End, Outcome};
use crate::scenario::{Expected, Request, Scenario};
use crate::site::{SOON, Site};
use crate::verdict::Verdict;

/// Within this time after a crash everything must agree again.
const MINUTE: Duration = Duration::from_secs(60);
/// How often a request is sent again.
const TRIES: usize = 3;
/// For how long a process that woke is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// A request under way.
type Asked = JoinHandle<reqwest::Result<Answer>>;

/// Runs it.
pub(crate) async fn run(case: &Case, site: &mut Site) -> Result<Outcome, String> {
    let (scenario, victim) = (case.scenario, case.victim);
    let Action::Signal(signal, _) = case.plan.action else { return Err("no crash".to_owned()) };
    let next = case.then.replicas() - 1 - victim;
    site.prepare(scenario).await?;

    let replica = &site.replicas[victim];
    replica.script.arm(Some(case.plan.clone()), replica.service().process());
    let asked: Asked = tokio::spawn(Answer::try_to(scenario.request.to(replica.service(), replica.names())));
    let reached = reaches(site, victim, &asked).await?;
    let crashed = Instant::now();
    site.replicas[victim].script.disarm();
    if !reached {
        site.settled(&[scenario.after], crashed + MINUTE).await?;
        site.goes_on(case, scenario.after, victim, next).await?;
        return Ok(Outcome { end: End::NotReached, told: Vec::new(), took: crashed.elapsed() });
    }
    if signal == Signal::STOP {
        return wake(case, site, asked, crashed).await;
    }
    site.replicas[victim].ended().await;
    // The end of an operation is seen by a watch, too, which may be quicker than the answer to who wrote it. What was answered must be so.
    let mut allowed = match asked.await.ok().and_then(Result::ok) {
        None => unanswered(scenario, &site.replicas[victim].script.seen()),
        Some(answer) => Verdict::of(scenario, &answer)?.allows(scenario),
    };
    match case.then {
        Then::Restart | Then::RestartAndRetry => site.replicas[next].start().await,
        Then::Survivor | Then::SurvivorAndRetry | Then::Itself => {}
    }
    let mut told = Vec::new();
    if matches!(case.then, Then::RestartAndRetry | Then::SurvivorAndRetry) {
        told = retry(case, site, next).await?;
        allowed = vec![scenario.after];
    }
    let mut crashed = crashed;
    if let Some(plan) = &case.again {
        if kill_again(site, next, plan, &allowed).await? {
            crashed = Instant::now();
            site.replicas[next].ended().await;
            site.replicas[next].start().await;
        } else {
            told.push("not killed again".to_owned());
        }
    }
    let end = site.settled(&allowed, crashed + MINUTE).await?;
    let took = crashed.elapsed();
    site.goes_on(case, end, next, next).await?;
    Ok(Outcome { end: End::of(scenario, end), told, took })
}

/// What there may be after a request that got no answer, by the calls that were made for it. What it had put on record is not lost: a delete, a
/// suspend or a resume is done, and a revision that is marked as deployed stays.
fn unanswered(scenario: &Scenario, seen: &[Seen]) -> Vec<Expected> {
    let is_done = |seen: &&Seen| seen.call.kind == Kind::Write && seen.status.is_some_and(|status| status < 300);
    let mut done = seen.iter().filter(is_done).map(|seen| seen.call.label.as_str());
    let is_sure = match scenario.request {
        Request::Delete(_) | Request::Suspend | Request::Resume => done.any(|label| label.contains(" secrets/dbt-controller-op.")),
        // What is written to the record of a revision that was made here is how that ended.
        Request::Post(_) if scenario.code.is_none() => {
            let labels: Vec<_> = done.filter(|label| label.contains(" secrets/sh.helm.release.v1.")).collect();
            labels
                .iter()
                .any(|label| label.strip_prefix("patch ").is_some_and(|record| labels.contains(&format!("create {record}").as_str())))
        }
        Request::Post(_) => false,
    };
    if is_sure { vec![scenario.after] } else { vec![scenario.before, scenario.after] }
}

/// Waits for the moment of the crash; false when the request was answered without it.
async fn reaches(site: &Site, victim: usize, asked: &Asked) -> Result<bool, String> {
    let ended = async {
        while !asked.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        () = struck(&site.replicas[victim].script) => Ok(true),
        // Its end may be that of the process, looked at a moment before it.
        () = ended => Ok(site.replicas[victim].script.struck()),
        () = tokio::time::sleep(ENDED) => Err("neither the step nor an answer has come".to_owned()),
    }
}

async fn struck(script: &Script) {
    while !script.struck() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Kills whoever takes over, too; false when there was not so much to do.
async fn kill_again(site: &Site, next: usize, plan: &Plan, allowed: &[Expected]) -> Result<bool, String> {
    let replica = &site.replicas[next];
    replica.script.arm(Some(plan.clone()), replica.service().process());
    let killed = tokio::select! {
        biased;
        () = struck(&replica.script) => true,
        settled = site.settled(allowed, Instant::now() + MINUTE) => settled.map(|_| false)?,
    };
    replica.script.disarm();
    Ok(killed)
}

/// The same request again, as a pipeline sends it when it got no answer, and once more when it is told to. Returns the codes that told so.
async fn retry(case: &Case, site: &Site, replica: usize) -> Result<Vec<String>, String> {
    let scenario = case.scenario;
    let mut told = Vec::new();
    for _ in 0..TRIES {
        let answer = site.replicas[replica].ask(scenario.request).await?;
        // The first one may have been finished by now.
        let is_gone = scenario.request.is_delete() && answer.status == 404;
        if scenario.is_answered_by(&answer) || is_gone {
            return Ok(told);
        }
        let code = answer.detail("code");
        if answer.status != 503 && code != "interrupted" {
            return Err(format!("the retry: {} {}", answer.status, answer.text));
        }
        told.push(code);
    }
    Err(format!("no retry has got its answer: {}", told.join(", ")))
}

/// The other replica takes over while the process is stopped; then it wakes, and must change nothing.
async fn wake(case: &Case, site: &Site, asked: Asked, stopped: Instant) -> Result<Outcome, String> {
    let (scenario, victim) = (case.scenario, case.victim);
    let replica = &site.replicas[victim];
    // It holds nothing yet, or not any more: then it goes on where it was.
    let is_holder = site.unfinished().await?.is_under_way();
    let open = unanswered(scenario, &replica.script.seen());
    let settled = site.settled(&open, stopped + MINUTE).await;
    let (took, woken) = (stopped.elapsed(), replica.script.now());
    replica.service().signal(Signal::CONT);
    let mut allowed = vec![settled?];
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
    let verdict = Verdict::of(scenario, &answer)?;
    let promised = verdict.allows(scenario);
    if is_holder {
        allowed.retain(|end| promised.contains(end));
    } else {
        allowed = promised;
    }
    let end = site
        .settled(&allowed, Instant::now() + SOON)
        .await
        .map_err(|error| format!("it woke and answered {} {}: {error}", answer.status, answer.text))?;
    site.goes_on(case, end, victim, 1 - victim).await?;
    Ok(Outcome { end: End::of(scenario, end), told: verdict.told().into_iter().collect(), took })
}

//! A case of the fault matrix.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::Case;
use crate::report::Outcome;
use crate::scenario::{Expected, Request};
use crate::site::Site;

/// Within this time after the answer everything must agree.
const SOON: Duration = Duration::from_secs(20);
/// Within this time an operation has ended of which its caller could not be told whether it was accepted.
const MINUTE: Duration = Duration::from_secs(60);

/// Runs it.
pub(crate) async fn run(case: &Case, site: &mut Site) -> Result<Outcome, String> {
    let scenario = case.scenario;
    site.prepare(scenario.before).await?;
    let replica = &site.replicas[0];
    replica.script.arm(Some(case.plan.clone()), replica.service().process());
    let begin = Instant::now();
    let answer = replica.ask(scenario.request).await?;
    let took = begin.elapsed();
    let reached = replica.script.disarm() > 0;
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let details = &body["details"];
    let code = details["code"].as_str().unwrap_or_default().to_owned();
    let judged = judge(case, answer.status, details, &code, &body);
    let (allowed, limit) = judged.map_err(|reason| format!("{reason}: {} {}", answer.status, answer.text))?;
    let end = site.settled(&allowed, Instant::now() + limit).await;
    let end = end.map_err(|error| format!("after the answer {} {}: {error}", answer.status, answer.text));
    // A delete has no undo: one that failed is asked for again, and then it is done.
    if scenario.request == Request::Delete && answer.status != scenario.status {
        let again = site.replicas[0].ask(Request::Delete).await?;
        if !matches!(again.status, 200 | 404) {
            return Err(format!("the second DELETE: {} {}", again.status, again.text));
        }
        site.settled(&[Expected::Nothing], Instant::now() + SOON).await?;
    } else {
        end?;
    }
    site.goes_on(scenario, 0, 0).await?;
    if !reached {
        return Ok(Outcome::NotReached);
    }
    Ok(if answer.status == scenario.status { Outcome::Finished(took) } else { Outcome::Failed(code, took) })
}

/// What may be there after an answer, and by when.
fn judge(case: &Case, status: u16, details: &Value, code: &str, body: &Value) -> Result<(Vec<Expected>, Duration), String> {
    let scenario = case.scenario;
    if status == scenario.status && (status == 200 || details["undo"] == "undone") {
        return Ok((vec![scenario.after], SOON));
    }
    if code == "rollback_failed" {
        return Err("in between".to_owned());
    }
    if body["message"].as_str().is_some_and(|message| message.contains("not known whether")) {
        return Ok((vec![scenario.before, scenario.after], MINUTE));
    }
    if status < 400 || code.is_empty() {
        return Err("an odd answer".to_owned());
    }
    Ok((vec![scenario.before], SOON))
}

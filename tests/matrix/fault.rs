//! A case of the fault matrix.

use std::time::{Duration, Instant};

use dbt_controller_tests::{Action, Fault};

use crate::case::Case;
use crate::replica::ENDED;
use crate::report::{End, Outcome};
use crate::scenario::Expected;
use crate::site::{AFTERWARDS, Site};
use crate::verdict::Verdict;

/// Within this time after the answer, or after the fault has gone, everything must agree: what is owed is paid by then, too.
const MINUTE: Duration = Duration::from_secs(60);
/// Until what is owed is paid when nothing else is in the way.
const UNTIL_PAID: Duration = Duration::from_secs(15);
/// Until a watch that hung twice is begun anew for good: each time, that it is not answered is noticed after 30 s.
const BEGUN_ANEW: Duration = Duration::from_secs(90);

/// Runs it.
pub(crate) async fn run(case: &Case, site: &mut Site) -> Result<Outcome, String> {
    let scenario = case.scenario;
    site.prepare(scenario).await?;
    site.replicas[0].begin(scenario, Some(case.plan.clone())).await;
    let replica = &site.replicas[0];
    let begin = Instant::now();
    let asked = replica.ask(scenario.request);
    tokio::pin!(asked);
    // Whoever cannot even note how it ended goes on when the fault has gone.
    let answer = match tokio::time::timeout(ENDED, &mut asked).await {
        Ok(answer) => answer?,
        Err(_) => {
            replica.script.disarm();
            tokio::time::timeout(MINUTE, asked).await.map_err(|_| "no answer, not even without the fault".to_owned())??
        }
    };
    let took = begin.elapsed();
    let reached = replica.script.disarm() > 0;
    let late = match case.plan.action {
        Action::Fault(Fault::Late(late)) => Some(late),
        _ => None,
    };
    tokio::time::sleep(late.unwrap_or_default()).await;
    let verdict = Verdict::of(scenario, &answer)?;
    let told_so = |error: String| format!("after the answer {} {}: {error}", answer.status, answer.text);
    let deadline = Instant::now() + MINUTE;
    let (end, found) = match verdict {
        // Each call is tried again.
        Verdict::Failed(_) | Verdict::Unknown(_) if case.is_borne() && !case.may_be_told(verdict.told().as_deref()) => {
            return Err(told_so("the fault was over before the last try".to_owned()));
        }
        Verdict::Between if case.passes() => return Err(told_so("the fault was over, and the undo gave up".to_owned())),
        // What an undo leaves of a first deployment is removed by itself; a POST need not wait for that.
        Verdict::Between if scenario.before == Expected::Nothing && late.is_none() && case.deletes_first => {
            site.settled(&[Expected::Nothing], deadline).await.map_err(told_so)?;
            (End::Between, Expected::Nothing)
        }
        Verdict::Between => {
            site.ended(deadline).await.map_err(told_so)?;
            (End::Between, scenario.before)
        }
        // A delete has no undo: one that failed is asked for again, and then it is done.
        Verdict::Failed(_) | Verdict::Unknown(_) if scenario.request.is_delete() => {
            site.ended(deadline).await.map_err(told_so)?;
            site.remove(0, scenario.before.naming()).await.map_err(told_so)?;
            (End::Finished, Expected::Nothing)
        }
        Verdict::Done | Verdict::Failed(_) | Verdict::Unknown(_) => {
            let patience = if late.is_some() { Instant::now() + UNTIL_PAID } else { deadline };
            match site.settled(&verdict.allows(scenario), patience).await {
                Ok(found) if verdict == Verdict::Done => (End::Finished, found),
                Ok(found) => (End::of(scenario, found), found),
                // It came after the undo had looked, which is not promised to be seen: what is asked for next puts it right.
                Err(_) if late.is_some() && (scenario.code.is_some() || verdict != Verdict::Done) => {
                    site.ended(deadline).await.map_err(told_so)?;
                    (End::Between, scenario.before)
                }
                Err(error) => return Err(told_so(error)),
            }
        }
    };
    // Until then it shows nothing, which is told to whoever waits for it to show something.
    if reached && case.is_silent_watch() {
        site.watches_again(&case.step.label, BEGUN_ANEW).await.map_err(told_so)?;
    }
    site.goes_on(case, found, 0, 0).await.map_err(|error| told_so(format!("{AFTERWARDS}{error}")))?;
    Ok(Outcome { end: if reached { end } else { End::NotReached }, told: verdict.told().into_iter().collect(), took })
}

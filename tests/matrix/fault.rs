//! A case of the fault matrix.

use std::time::{Duration, Instant};

use dbt_controller_tests::{Action, Fault};

use crate::case::Case;
use crate::report::{End, Outcome};
use crate::scenario::Request;
use crate::site::{ENDED, Site};
use crate::verdict::Verdict;

/// Within this time after the answer, or after the fault has gone, everything must agree: what is owed is paid by then, too.
const MINUTE: Duration = Duration::from_secs(60);

/// Runs it.
pub(crate) async fn run(case: &Case, site: &mut Site) -> Result<Outcome, String> {
    let scenario = case.scenario;
    site.prepare(scenario).await?;
    let replica = &site.replicas[0];
    replica.script.arm(Some(case.plan.clone()), replica.service().process());
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
    if let Action::Fault(Fault::Late(late)) = case.plan.action {
        tokio::time::sleep(late).await;
    }
    let verdict = Verdict::of(scenario, &answer)?;
    let told_so = |error: String| format!("after the answer {} {}: {error}", answer.status, answer.text);
    let deadline = Instant::now() + MINUTE;
    let end = match verdict {
        Verdict::Between if case.passes() => return Err(told_so("the fault was over, and the undo gave up".to_owned())),
        Verdict::Between => {
            site.ended(deadline).await.map_err(told_so)?;
            End::Between
        }
        // A delete has no undo: one that failed is asked for again, and then it is done.
        Verdict::Failed(_) | Verdict::Unknown(_) if scenario.request == Request::Delete => {
            site.ended(deadline).await.map_err(told_so)?;
            site.remove(0).await.map_err(told_so)?;
            End::Finished
        }
        Verdict::Done => {
            site.settled(&[scenario.after], deadline).await.map_err(told_so)?;
            End::Finished
        }
        Verdict::Failed(_) | Verdict::Unknown(_) => {
            End::of(scenario, site.settled(&verdict.allows(scenario), deadline).await.map_err(told_so)?)
        }
    };
    site.goes_on(case, 0, 0).await.map_err(told_so)?;
    Ok(Outcome { end: if reached { end } else { End::NotReached }, told: verdict.told().into_iter().collect(), took })
}

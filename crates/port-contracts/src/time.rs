//! The contracts of `Clock` and `Random`.

use std::collections::BTreeSet;
use std::time::Duration;

use dbt_controller_domain::ports::{Clock, Random};
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;

use crate::check::{Outcome, Report, ensure};

/// Checks every promise of `Clock`. Takes 50 ms.
pub async fn clock(clock: &dyn Clock) -> Report {
    let mut report = Report::new("clock");
    report.note("the_present_moment_goes_on", Ok(the_present_moment_goes_on(clock).await));
    report
}

/// Checks every promise of `Random`, as far as they can be seen.
pub async fn random(random: &dyn Random) -> Report {
    let mut report = Report::new("random");
    report.note("operation_ids_are_unique_and_sort_by_time", Ok(operation_ids_are_unique_and_sort_by_time(random).await));
    report.note("logins_have_the_promised_form_and_differ", Ok(logins_have_the_promised_form_and_differ(random)));
    report
}

async fn the_present_moment_goes_on(clock: &dyn Clock) -> Outcome {
    let pause = Duration::from_millis(50);
    let before = clock.now();
    tokio::time::sleep(pause).await;
    let passed = clock.now().duration_since(before);
    ensure!(passed >= SignedDuration::from_millis(49), "after {pause:?} the clock went on by {passed:?}");
    ensure!(passed < SignedDuration::from_secs(30), "after {pause:?} the clock went on by {passed:?}");
    Ok(())
}

async fn operation_ids_are_unique_and_sort_by_time(random: &dyn Random) -> Outcome {
    let mut all = BTreeSet::new();
    let mut last = None;
    for _ in 0..20 {
        let ids: Vec<_> = (0..50).map(|_| random.operation_id()).collect();
        ensure!(ids.iter().all(|id| Some(id) > last.as_ref()), "an id sorts before one that was made milliseconds earlier");
        last = ids.last().cloned();
        for id in ids {
            ensure!(all.insert(id.clone()), "id `{id}` came twice");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn logins_have_the_promised_form_and_differ(random: &dyn Random) -> Outcome {
    let mut passwords = BTreeSet::new();
    for _ in 0..100 {
        let login = random.credentials();
        let suffix = login.user.strip_prefix("dbt_server_agent_").unwrap_or_default();
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        ensure!(suffix.len() == 5 && suffix.chars().all(is_lower), "the user is called `{}`", login.user);
        let password = login.password.expose_secret();
        let has_form = password.len() == 32 && password.chars().all(|c| c.is_ascii_alphanumeric());
        ensure!(has_form, "a password is not 32 alphanumerics");
        ensure!(passwords.insert(password.to_owned()), "a password came twice");
    }
    Ok(())
}

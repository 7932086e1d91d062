//! What can be read of releases.

use dbt_controller_domain::model::{DeploymentFacts, DesiredRelease, ReleaseStatus, RequestedCredentials, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;
use secrecy::ExposeSecret as _;

use super::{InstallerHarness, Played};
use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err};
use crate::fixtures;
use crate::harness::{fresh_request, until};

pub(super) async fn an_unknown_release_is_none(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure!(played.get(None).await?.is_none(), "a release that was never made is returned");
    ensure!(played.get(Some(1)).await?.is_none(), "revision 1 of a release that was never made is returned");
    ensure!(played.listed().await?.is_none(), "a release that was never made is listed");
    ensure!(played.installer.summary(played.key()).await?.is_none(), "a release that was never made has a summary");
    played.begin().await?;
    ensure!(played.get(Some(2)).await?.is_none(), "a revision that was never made is returned");
    Ok(())
}

pub(super) async fn every_release_is_listed_once_and_by_key(harness: &dyn InstallerHarness) -> Outcome {
    let (one, two) = (Played::fresh(harness), Played::fresh(harness));
    two.deploy().await?;
    one.deploy().await?;
    one.deploy_next(&one.next(11)).await?;
    let list = harness.installer().list().await?;
    ensure!(list.windows(2).all(|pair| pair[0].key < pair[1].key), "the list is not in the order of its keys, or has one twice");
    for played in [&one, &two] {
        ensure_eq!(list.iter().filter(|summary| summary.key == *played.key()).count(), 1, "entries of release {}", played.key());
    }
    let Some(listed) = one.listed().await? else { return Err(Stopped::broken("the release is not listed")) };
    ensure_eq!(listed.revision, RevisionNumber(2), "the listed revision");
    ensure_eq!(*listed, one.newest().await?.summary, "the listed summary, compared with the newest revision's");
    ensure_eq!(one.installer.summary(one.key()).await?, Some(listed), "the summary of the one release, compared with the listed one");
    Ok(())
}

pub(super) async fn a_summary_tells_what_was_asked_for(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness).tag("2.0.1").https().storage("3Gi").desired());
    played.deploy().await?;
    let summary = played.newest().await?.summary;
    let DesiredRelease { key, home, request, connection_id, operation, .. } = &played.desired;
    ensure_eq!(summary.key, *key, "the key");
    ensure_eq!(summary.revision, RevisionNumber(1), "the revision");
    ensure_eq!(summary.status, ReleaseStatus::Deployed, "the status");
    ensure_eq!(summary.standing.deployed, Some(RevisionNumber(1)), "the revision in force");
    ensure!(summary.chart.starts_with("dbt-server-"), "the chart is `{}`", summary.chart);
    ensure!(!summary.app_version.is_empty(), "the chart has no appVersion");
    ensure!(summary.first_deployed <= summary.last_deployed, "it was first deployed after it was last deployed");
    let kinds = ["ServiceAccount", "Secret", "ConfigMap", "Service", "StatefulSet", "Ingress"];
    ensure_eq!(summary.kinds, kinds.map(str::to_owned).to_vec(), "the kinds, in Helm's order");
    ensure!(summary.unreadable.is_none(), "it is called unreadable");
    let Some(facts) = &summary.deployment else { return Err(Stopped::broken("it is not seen as a deployment")) };
    ensure_eq!(facts.identity, Some(request.identity.clone()), "the identity");
    ensure!(facts.ours, "it is not seen as ours");
    ensure_eq!(facts.home.as_ref(), Some(home), "the namespace of the service that wrote it");
    ensure_eq!(facts.server.as_str(), key.name.as_str(), "the StatefulSet's name");
    ensure_eq!(facts.connection_id, *connection_id, "the connection id");
    ensure_eq!(facts.host, request.host(&played.desired.server_key()), "the host");
    ensure_eq!(facts.url, request.invocations_url(&played.desired.server_key()), "the URL");
    ensure_eq!(facts.image, request.image.to_string(), "the image");
    ensure_eq!(facts.storage, Some(request.resources.storage_size.clone()), "the size of the claim");
    ensure_eq!(facts.request_hash, Some(request.hash()), "the request hash");
    ensure_eq!(facts.operation, Some(operation.clone()), "the operation");
    Ok(())
}

pub(super) async fn an_older_revision_can_be_read(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let mut next = played.next(11);
    next.credentials = fixtures::credentials("second");
    played.deploy_next(&next).await?;
    let Some(first) = played.get(Some(1)).await? else { return Err(Stopped::broken("revision 1 is not there")) };
    ensure_eq!(first.summary.revision, RevisionNumber(1), "the revision");
    ensure_eq!(first.summary.status, ReleaseStatus::Superseded, "its status");
    ensure_eq!(first.summary.standing.deployed, Some(RevisionNumber(2)), "the revision in force");
    ensure_eq!(first.credentials, Some(played.desired.credentials.clone()), "its login");
    let request_hash = first.summary.deployment.and_then(|facts| facts.request_hash);
    ensure_eq!(request_hash, Some(played.desired.request.hash()), "its request hash");
    Ok(())
}

pub(super) async fn the_login_is_read_back_as_it_was_written(harness: &dyn InstallerHarness) -> Outcome {
    // Each of these means something to YAML, to JSON, to htpasswd or to a shell.
    for (user, password) in [("plain", "plain-password"), ("o'hara \"x\"", "päss: {a} #1\\\"'$HOME"), ("0123", "1e5_0x1F_012345678")] {
        let mut desired = fresh_request(harness).desired();
        desired.credentials.user = user.to_owned();
        desired.credentials.password = password.into();
        let played = Played::new(harness, desired);
        played.begin().await?;
        let read = played.newest().await?.credentials;
        ensure!(
            read.as_ref() == Some(&played.desired.credentials),
            "the login of user `{user}` is read back otherwise (user: {:?})",
            read.map(|login| login.user)
        );
    }
    Ok(())
}

pub(super) async fn values_hold_no_secret(harness: &dyn InstallerHarness) -> Outcome {
    let url = "https://bot:gh_canary_1@git.example.com/project.git";
    let played = Played::new(harness, fresh_request(harness).git_url(url).package_token("canary-token-2").desired());
    played.deploy().await?;
    let release = played.newest().await?;
    let text = format!("{} {:?}", release.values, release.summary);
    let password = played.desired.credentials.password.expose_secret();
    for secret in ["gh_canary_1", "canary-token-2", password] {
        ensure!(!text.contains(secret), "a secret is in the values or in the summary");
    }
    ensure!(text.contains("***"), "nothing stands in the place of the secrets");
    let debug = format!("{release:?}");
    ensure!(!debug.contains(password), "the password is in the debug form of the release");
    Ok(())
}

/// Helm copies the values that we recorded to a human's revision, so those must not make it look like the work of our operation.
pub(super) async fn a_humans_upgrade_keeps_what_the_release_records(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let before = played.newest().await?.summary.deployment;
    harness.human_upgrades(played.key()).await.or_skip("human_upgrades")?;
    until(harness, "the human's revision", || async { Ok(played.status(2).await? == Some(ReleaseStatus::Deployed)) }).await?;
    let after = played.newest().await?;
    let promised = before.map(|facts| DeploymentFacts { operation: None, ..facts });
    ensure_eq!(after.summary.deployment, promised, "what is known of the deployment");
    ensure_eq!(after.credentials, Some(played.desired.credentials.clone()), "the login");
    let begun = played.begin_of(&played.next(11)).await?;
    ensure_eq!(begun.revision, RevisionNumber(3), "the revision after the human's");
    Ok(())
}

pub(super) async fn a_humans_uninstall_that_is_at_work_is_told(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let deployed = played.newest().await?.summary;
    ensure_eq!(deployed.helm_uninstalls_since, None, "since when Helm has been removing a release that is deployed");
    harness.human_leaves_uninstalling(played.key()).await.or_skip("human_leaves_uninstalling")?;
    until(harness, "the human's uninstall", || async { Ok(played.status(1).await? == Some(ReleaseStatus::Uninstalling)) }).await?;
    let leaving = played.newest().await?.summary;
    ensure!(leaving.helm_uninstalls_since >= Some(deployed.last_deployed), "since when: {:?}", leaving.helm_uninstalls_since);
    until(harness, "the same in the list", || async { Ok(played.listed().await?.is_some_and(|listed| *listed == leaving)) }).await
}

pub(super) async fn an_unreadable_record_is_listed_and_not_returned(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.break_record(played.key()).await.or_skip("break_record")?;
    until(harness, "the broken record", || async { Ok(played.listed().await?.is_some_and(|summary| summary.unreadable.is_some())) })
        .await?;
    let read = played.installer.get(played.key(), None).await.map(|_| "a release");
    ensure_err!(read, InstallerError::Unreadable(_), "reading a record that cannot be decoded");
    Ok(())
}

pub(super) async fn equal_requests_have_equal_manifest_hashes(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let before = played.installer.manifest_hash(&played.desired).await?;
    let other_operation = DesiredRelease { operation: fixtures::operation_id(), ..played.desired.clone() };
    ensure_eq!(played.installer.manifest_hash(&other_operation).await?, before, "the hash for another operation");
    let mut named = played.desired.clone();
    let (user, password) = (named.credentials.user.clone(), named.credentials.password.clone());
    named.request.credentials = RequestedCredentials { user: Some(user), password: Some(password) };
    ensure_eq!(played.installer.manifest_hash(&named).await?, before, "the hash when the same login is asked for by name");
    played.deploy().await?;
    ensure_eq!(played.installer.manifest_hash(&other_operation).await?, before, "the hash after the release was made");
    played.deploy_next(&played.next(11)).await?;
    ensure_eq!(played.installer.manifest_hash(&other_operation).await?, before, "the hash after the release was changed");
    Ok(())
}

pub(super) async fn every_part_of_a_request_changes_the_manifest_hash(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let before = played.installer.manifest_hash(&played.desired).await?;
    type Change = fn(&mut DesiredRelease);
    let changes: [(&str, Change); 8] = [
        ("the image's tag", |desired| desired.request.image.tag.push('x')),
        ("the claim's size", |desired| {
            desired.request.resources.storage_size = fixtures::request("p", None).storage("7Gi").build().resources.storage_size
        }),
        ("the Git URL", |desired| desired.request.git.gitlink_secret = "https://other@git.example.com/p.git".into()),
        ("https", |desired| desired.request.https_enabled = true),
        ("the worker count", |desired| desired.request.options.worker_num += 1),
        ("the user name", |desired| desired.credentials.user.push('x')),
        ("the password", |desired| desired.credentials.password = "another-password".into()),
        ("the connection id", |desired| desired.connection_id = None),
    ];
    for (what, change) in changes {
        let mut changed = played.desired.clone();
        change(&mut changed);
        ensure!(played.installer.manifest_hash(&changed).await? != before, "{what} changed and the manifest hash did not");
    }
    Ok(())
}

pub(super) async fn the_recorded_manifest_hash_is_the_promised_one(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let promised = played.installer.manifest_hash(&played.desired).await?;
    played.deploy().await?;
    let recorded = played.newest().await?.summary.deployment.and_then(|facts| facts.manifest_hash);
    ensure_eq!(recorded, Some(promised.clone()), "the recorded manifest hash");
    // The next, equal POST computes it again, with the release there to read back from.
    ensure_eq!(played.installer.manifest_hash(&played.desired).await?, promised, "the hash of an equal request");
    Ok(())
}

//! Claims, and the Secrets of warehouses.

use dbt_controller_domain::model::{ByteQuantity, Claim, Warehouse};
use dbt_controller_domain::ports::ClusterError;

use super::{ClusterHarness, Played};
use crate::check::{Outcome, Stopped, ensure, ensure_eq};
use crate::fixtures::{self, fence};
use crate::harness::{fresh_request, until};

/// A size, by way of the only fixture that has one.
fn size(text: &str) -> ByteQuantity {
    fixtures::request("p", None).storage(text).build().resources.storage_size
}

impl Played<'_> {
    async fn claims(&self) -> Outcome<Vec<Claim>> {
        Ok(self.cluster.claims(&self.key).await?)
    }

    async fn only_claim(&self) -> Outcome<Claim> {
        let mut claims = self.claims().await?;
        match (claims.pop(), claims.is_empty()) {
            (Some(claim), true) => Ok(claim),
            (last, _) => Err(Stopped::broken(&format!("the claims are {claims:?} and {last:?} instead of one"))),
        }
    }

    async fn remove(&self) -> Outcome {
        self.cluster.delete_stateful_set(&self.key, false, &fence()).await?;
        self.until_no_pods().await?;
        Ok(())
    }

    async fn until_claims_are_gone(&self) -> Outcome {
        until(self.harness, "that the claims are gone", || async { Ok(self.claims().await?.is_empty()) }).await?;
        ensure_eq!(self.cluster.claims_now(&self.key).await?.len(), 0, "how many claims there are now");
        Ok(())
    }
}

pub(super) async fn a_server_has_the_claim_of_its_template(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness).storage("3Gi")).await?;
    played.until_ready().await?;
    let claim = played.only_claim().await?;
    ensure_eq!(claim.name, played.desired.key.name.claim_name(0), "the claim's name");
    ensure_eq!(claim.identity, Some(played.desired.request.identity.clone()), "whose data it holds");
    ensure_eq!(claim.size.map(|size| size.bytes()), Some(size("3Gi").bytes()), "its size");
    ensure_eq!(claim.phase, "Bound", "its phase");
    Ok(())
}

pub(super) async fn claims_outlive_their_server(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.claims().await?;
    played.remove().await?;
    ensure_eq!(played.claims().await?, before, "the claims");
    ensure_eq!(played.cluster.claims_now(&played.key).await?, before, "the claims as they are now");
    Ok(())
}

/// A claim tells whose data it holds, not whose pod uses it now.
pub(super) async fn a_claim_is_taken_over_with_its_identity(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    played.remove().await?;
    let mut other = fresh_request(harness).desired();
    (other.key, other.server) = (played.desired.key.clone(), played.desired.server.clone());
    played.write(&other).await?;
    played.until_ready().await?;
    let claim = played.only_claim().await?;
    ensure_eq!(claim.identity, Some(played.desired.request.identity.clone()), "whose data it holds");
    Ok(())
}

pub(super) async fn deleted_claims_are_gone(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    played.remove().await?;
    let claim = played.only_claim().await?;
    played.cluster.delete_claims(&played.key, std::slice::from_ref(&claim.name), &fence()).await?;
    played.until_claims_are_gone().await?;
    played.cluster.delete_claims(&played.key, &[claim.name], &fence()).await?;
    Ok(())
}

pub(super) async fn a_deleted_claim_is_terminating_until_its_pod_is_gone(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let claim = played.only_claim().await?;
    ensure!(!claim.terminating, "a claim in use is terminating: {claim:?}");
    played.cluster.delete_claims(&played.key, &[claim.name], &fence()).await?;
    for claims in [played.claims().await?, played.cluster.claims_now(&played.key).await?] {
        ensure!(claims.len() == 1 && claims[0].terminating, "a deleted claim in use is {claims:?}");
    }
    played.remove().await?;
    played.until_claims_are_gone().await
}

pub(super) async fn absent_claims_count_as_deleted(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    played.cluster.delete_claims(&played.key, &[played.desired.key.name.claim_name(0)], &fence()).await?;
    played.cluster.delete_claims(&played.key, &[], &fence()).await?;
    Ok(())
}

pub(super) async fn only_the_named_claims_of_this_server_are_deleted(harness: &dyn ClusterHarness) -> Outcome {
    let (played, other) = (Played::ready(harness).await?, Played::ready(harness).await?);
    played.remove().await?;
    let claim = played.only_claim().await?;
    played.cluster.delete_claims(&played.key, &[played.desired.key.name.claim_name(1)], &fence()).await?;
    ensure_eq!(played.only_claim().await?, claim, "the claim that was not named");
    played.cluster.delete_claims(&played.key, &[claim.name], &fence()).await?;
    played.until_claims_are_gone().await?;
    other.only_claim().await?;
    Ok(())
}

pub(super) async fn claims_grow(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    played.cluster.grow_claims(&played.key, &size("5Gi"), &fence()).await?;
    let wanted = size("5Gi").bytes();
    until(harness, "the larger claim", || async { Ok(played.only_claim().await?.size.map(|size| size.bytes()) == Some(wanted)) }).await?;
    played.cluster.grow_claims(&played.key, &size("5Gi"), &fence()).await?;
    Ok(())
}

pub(super) async fn a_larger_claim_stays(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness).storage("3Gi")).await?;
    played.until_ready().await?;
    played.cluster.grow_claims(&played.key, &size("2Gi"), &fence()).await?;
    ensure_eq!(played.only_claim().await?.size.map(|size| size.bytes()), Some(size("3Gi").bytes()), "the claim's size");
    Ok(())
}

pub(super) async fn a_claim_that_cannot_grow_is_refused(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    harness.forbid_growth(&played.key).await.or_skip("forbid_growth")?;
    match played.cluster.grow_claims(&played.key, &size("5Gi"), &fence()).await {
        Err(ClusterError::Refused(words)) => ensure!(!words.is_empty(), "the cluster's words are missing"),
        other => return Err(Stopped::broken(&format!("{other:?} instead of Refused"))),
    }
    ensure_eq!(played.only_claim().await?.size.map(|size| size.bytes()), Some(size("1Gi").bytes()), "the claim's size");
    Ok(())
}

pub(super) async fn the_secret_of_a_warehouse_is_found(harness: &dyn ClusterHarness) -> Outcome {
    let (cluster, namespace) = (harness.cluster(), harness.namespace());
    for warehouse in [Warehouse::Snowflake, Warehouse::Redshift] {
        for exists in [true, false, true] {
            harness.set_warehouse_secret(&namespace, warehouse, exists).await.or_skip("set_warehouse_secret")?;
            let has = || async { Ok(cluster.has_warehouse_secret(&namespace, warehouse).await? == exists) };
            until(harness, "the change of the Secret", has).await?;
        }
    }
    harness.set_warehouse_secret(&namespace, Warehouse::Snowflake, false).await.or_skip("set_warehouse_secret")?;
    ensure!(cluster.has_warehouse_secret(&namespace, Warehouse::Redshift).await?, "another warehouse's Secret is missing");
    harness.set_warehouse_secret(&namespace, Warehouse::Snowflake, true).await.or_skip("set_warehouse_secret")?;
    Ok(())
}

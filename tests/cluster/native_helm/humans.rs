//! Humans with Helm on releases of ours, and we on theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_domain::model::{ReleaseStatus, RevisionNumber};
use dbt_controller_domain::ports::{ChartInstaller as _, InstallerError};
use dbt_controller_port_contracts::fixtures::fence;
use dbt_controller_tests::Namespace;
use serde_json::{Value, json};

use super::{Stage, installer_of, next};
use crate::support::role;
use crate::support::site::chart;

/// What a record holds, as Helm unpacks it.
async fn payload(stage: &Stage, release: &str, revision: u32) -> Value {
    let secret = stage.namespace.get("secret", &format!("sh.helm.release.v1.{release}.v{revision}")).await;
    let packed = BASE64.decode(secret["data"]["release"].as_str().unwrap()).unwrap();
    let mut json = String::new();
    let gzip = BASE64.decode(packed).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(gzip.as_slice()), &mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[tokio::test]
async fn both_helms_show_our_releases() {
    let stage = Stage::new().await;
    let desired = stage.desired("shown");
    stage.deploy(&desired).await;
    stage.deploy(&next(&desired, 11)).await;
    let release = desired.key.name.as_str();
    for helm in &stage.helms {
        let list = helm.list().await;
        let listed: Vec<_> =
            list.iter().map(|entry| ["name", "revision", "status"].map(|field| entry[field].as_str().unwrap().to_owned())).collect();
        assert_eq!(listed, [[release.to_owned(), "2".to_owned(), "deployed".to_owned()]]);
        let history = helm.history(release).await;
        let told: Vec<_> =
            history.iter().map(|entry| (entry["status"].as_str().unwrap(), entry["description"].as_str().unwrap())).collect();
        assert_eq!(told, [("superseded", "Install complete"), ("deployed", "Upgrade complete")]);
        let status = helm.status(release).await;
        assert_eq!((&status["version"], &status["info"]["status"]), (&json!(2), &json!("deployed")));
        let values = helm.values(release).await;
        assert_eq!(values["manifests"].as_array().unwrap().len(), 5);
        assert_eq!(helm.manifest(release).await.trim_end(), payload(&stage, release, 2).await["manifest"].as_str().unwrap().trim_end());
    }
}

#[tokio::test]
async fn both_helms_write_our_releases_without_a_restart_and_we_go_on() {
    let stage = Stage::new().await;
    let desired = stage.desired("shared");
    let release = desired.key.name.as_str();
    stage.deploy(&desired).await;
    stage.deploy(&next(&desired, 11)).await;
    let mut newest = 2;
    for helm in &stage.helms {
        let before = stage.namespace.get("statefulset", release).await;
        helm.run(&["upgrade", release, &chart(), "--reuse-values"]).await;
        let after = stage.namespace.get("statefulset", release).await;
        assert_eq!(
            after["metadata"]["generation"], before["metadata"]["generation"],
            "an upgrade that changes nothing restarts the server"
        );

        helm.run(&["rollback", release, &newest.to_string()]).await;
        let read = stage.newest(&desired.key).await.unwrap();
        assert_eq!((read.summary.revision, read.summary.status), (RevisionNumber(newest + 2), ReleaseStatus::Deployed));
        stage.deploy(&next(&desired, 12)).await;
        helm.run(&["rollback", release, "1"]).await;
        stage.namespace.until_ready(release).await;
        stage.deploy(&next(&desired, 13)).await;
        newest += 5;
    }
    assert_eq!(stage.newest(&desired.key).await.unwrap().summary.revision, RevisionNumber(newest));
}

#[tokio::test]
async fn both_helms_uninstall_our_releases_whole() {
    let stage = Stage::new().await;
    for (helm, project) in stage.helms.iter().zip(["gone-a", "gone-b"]) {
        let desired = stage.desired(project);
        let release = desired.key.name.as_str();
        stage.deploy(&desired).await;
        helm.run(&["uninstall", release, "--wait"]).await;
        let left = stage.namespace.run(&["get", "all,secrets,configmaps,serviceaccounts,ingresses", "-o", "name"]).await.unwrap();
        assert!(!left.contains(release), "{left}");
        assert!(stage.newest(&desired.key).await.is_none());
        assert_eq!(stage.deploy(&next(&desired, 11)).await.revision, RevisionNumber(1));
    }
}

/// Helm 3 and the replaced service write by `Update`, and what such an entry owns would survive our apply.
#[tokio::test]
async fn what_a_human_added_with_either_helm_goes_with_our_next_revision() {
    let stage = Stage::new().await;
    for (helm, project) in stage.helms.iter().zip(["added-a", "added-b"]) {
        let desired = stage.desired(project);
        let release = desired.key.name.as_str();
        stage.deploy(&desired).await;
        let mut values = helm.values(release).await;
        for object in values["manifests"].as_array_mut().unwrap() {
            match object["kind"].as_str().unwrap() {
                "Service" => object["spec"]["publishNotReadyAddresses"] = json!(true),
                "ConfigMap" => object["data"]["added"] = json!("by a human"),
                "StatefulSet" => {
                    let environment = object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
                    environment.push(json!({"name": "ADDED", "value": "by a human"}));
                }
                _ => {}
            }
        }
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("values.json");
        std::fs::write(&file, values.to_string()).unwrap();
        helm.run(&["upgrade", release, &chart(), "--values", file.to_str().unwrap()]).await;
        assert_eq!(stage.namespace.get("service", release).await["spec"]["publishNotReadyAddresses"], json!(true));

        stage.deploy(&next(&desired, 11)).await;
        assert_eq!(stage.namespace.get("service", release).await["spec"].get("publishNotReadyAddresses"), None);
        assert_eq!(stage.namespace.get("configmap", &desired.key.name.config_map_name()).await["data"].get("added"), None);
        let set = stage.namespace.get("statefulset", release).await;
        assert!(!set["spec"]["template"].to_string().contains("ADDED"));
        assert_eq!(stage.installer.repair(&desired.key, &fence()).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_record_of_a_human_keeps_what_we_do_not_write() {
    let stage = Stage::new().await;
    for (helm, project) in stage.helms.iter().zip(["kept-a", "kept-b"]) {
        let desired = stage.desired(project);
        let release = desired.key.name.as_str();
        stage.deploy(&desired).await;
        helm.run(&["upgrade", release, &chart(), "--reuse-values", "--description", "by hand", "--labels", "team=data"]).await;
        let mut before = payload(&stage, release, 2).await;
        stage.deploy(&next(&desired, 11)).await;
        before["info"]["status"] = json!("superseded");
        assert_eq!(payload(&stage, release, 2).await, before);
        for revision in [2, 3] {
            let secret = stage.namespace.get("secret", &format!("sh.helm.release.v1.{release}.v{revision}")).await;
            assert_eq!(secret["metadata"]["labels"]["team"], "data", "the label of revision {revision}");
        }
    }
}

#[tokio::test]
async fn the_list_looks_into_an_old_revision_that_became_the_newest() {
    let stage = Stage::new().await;
    let desired = stage.desired("bared");
    stage.deploy(&desired).await;
    stage.deploy(&next(&desired, 11)).await;
    let record = format!("sh.helm.release.v1.{}.v2", desired.key.name);
    stage.namespace.delete("secret", &record).await;
    let listed = dbt_controller_tests::until("the list shows revision 1", async || {
        let list = stage.installer.list().await.unwrap();
        list.into_iter().find(|summary| summary.revision == RevisionNumber(1) && summary.unreadable.is_none())
    });
    let listed = listed.await;
    assert_eq!((listed.status, listed.standing.deployed), (ReleaseStatus::Superseded, None));
    assert_eq!(*listed, stage.newest(&desired.key).await.unwrap().summary);
}

/// What we leave half removed is in other words than what Helm leaves so.
#[tokio::test]
async fn a_removal_of_ours_is_not_taken_for_a_humans() {
    let namespace = Namespace::create().await;
    let account = role::account(&namespace, role::essential_without(&namespace, "delete", "services").await).await;
    let stage = Stage::with(namespace, account.kubeconfig()).await;
    let desired = stage.desired("leaving");
    let (key, release) = (&desired.key, desired.key.name.as_str());
    stage.deploy(&desired).await;
    let refused = stage.installer.uninstall(key, &fence()).await.unwrap_err();
    assert!(matches!(refused, InstallerError::Forbidden(_)), "{refused:?}");

    let summary = stage.newest(key).await.unwrap().summary;
    assert_eq!((summary.status, summary.helm_uninstalls_since), (ReleaseStatus::Uninstalling, None));
    for helm in &stage.helms {
        assert_eq!(helm.status(release).await["info"]["status"], "uninstalling");
    }
    let allowed = installer_of(&stage.namespace, stage.namespace.plane().kubeconfig()).await;
    allowed.uninstall(key, &fence()).await.unwrap();
    assert!(allowed.get(key, None).await.unwrap().is_none());
}

//! Helm as the oracle: what the native engine writes is what helm makes of the same chart and values.

use dbt_controller_domain::model::{DesiredRelease, ManifestHash};
use dbt_controller_domain::ports::ChartInstaller;
use dbt_controller_port_contracts::fixtures::{self, fence};
use dbt_controller_tests::{HelmVersion, Namespace, until};
use serde_json::{Value, json};

use super::engine;
use crate::native_helm::{installer_of, next};

const KINDS: [&str; 6] = ["serviceaccounts", "secrets", "configmaps", "services", "statefulsets", "ingresses"];
/// The one annotation that tells of a moment.
const CREATED_AT: &str = "dbt-controller.fast.bi/created-at";

/// What a deployment is when it is ready.
#[derive(Debug, PartialEq)]
struct Picture {
    objects: Vec<Value>,
    manifest: Option<ManifestHash>,
}

/// An object without what differs between any two deployments of one request: who, when, and the addresses that the cluster chose.
fn comparable(mut object: Value) -> Value {
    let managers = owned_by_helm(&object);
    for (path, fields) in [
        ("", &["status"][..]),
        ("/metadata", &["uid", "resourceVersion", "creationTimestamp", "managedFields"]),
        ("/spec", &["clusterIP", "clusterIPs"]),
        ("/metadata/annotations", &[CREATED_AT]),
        ("/spec/volumeClaimTemplates/0/metadata/annotations", &[CREATED_AT]),
    ] {
        if let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) {
            map.retain(|field, _| !fields.contains(&field.as_str()));
        }
    }
    json!({"object": object, "owned": managers})
}

/// The fields of which helm is the manager, and by which operation.
fn owned_by_helm(object: &Value) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap().iter();
    let helms = entries.filter(|entry| entry["manager"] == "helm");
    helms.map(|entry| json!([entry["operation"], entry["fieldsV1"]])).collect()
}

async fn picture(installer: &dyn ChartInstaller, namespace: &Namespace, desired: &DesiredRelease) -> Picture {
    let selector = format!("app.kubernetes.io/instance={}", desired.key.name);
    let mut objects = Vec::new();
    for kind in KINDS {
        let arguments = ["get", kind, "--selector", &selector, "--show-managed-fields", "--output", "json"];
        let shown: Value = serde_json::from_str(&namespace.run(&arguments).await.unwrap()).unwrap();
        objects.extend(shown["items"].as_array().unwrap().iter().cloned().map(comparable));
    }
    let facts = installer.get(&desired.key, None).await.unwrap().unwrap().summary.deployment.unwrap();
    assert_eq!(facts.manifest_hash, Some(installer.manifest_hash(desired).await.unwrap()));
    Picture { objects, manifest: facts.manifest_hash }
}

/// Deploys, and takes a picture of it.
async fn deploy(installer: &dyn ChartInstaller, namespace: &Namespace, desired: &DesiredRelease) -> Picture {
    let after = installer.get(&desired.key, None).await.unwrap().map(|newest| newest.summary.revision);
    let handle = installer.begin(&DesiredRelease { after, ..desired.clone() }, &fence()).await.unwrap();
    installer.apply(&handle, &fence()).await.unwrap();
    namespace.until_ready(desired.server.as_str()).await;
    installer.commit(&handle, &fence()).await.unwrap();
    assert_eq!(installer.repair(&desired.key, &fence()).await.unwrap(), Vec::<String>::new(), "something was to be mended");
    picture(installer, namespace, desired).await
}

/// Deploys and changes, and leaves nothing.
async fn pictures(installer: &dyn ChartInstaller, namespace: &Namespace, [first, second]: &[DesiredRelease; 2]) -> [Picture; 2] {
    let pictures = [deploy(installer, namespace, first).await, deploy(installer, namespace, second).await];
    installer.uninstall(&first.key, &fence()).await.unwrap();
    until("the pod is gone", async || namespace.list("pods", "").await.is_empty().then_some(())).await;
    namespace.run(&["delete", "persistentvolumeclaims", "--all"]).await.unwrap();
    pictures
}

async fn agrees_with(version: HelmVersion) {
    let namespace = Namespace::create().await;
    let native = installer_of(&namespace, namespace.plane().kubeconfig()).await;
    let (by_helm, _home) = engine(&namespace, namespace.plane().kubeconfig(), version).await;
    let request = fixtures::request("oracle", Some("feature/x")).namespace(namespace.name()).https().storage("3Gi");
    // Characters that YAML, Helm or Go's templates could take for something else.
    let first = request.package_token("tok\u{85}en: {{ a }} #1\u{2028}\u{feff}😀").desired();
    let mut second = next(&first, 11);
    second.request.https_enabled = false;
    let requests = [first, second];
    let ours = pictures(&native, &namespace, &requests).await;
    let helms = pictures(&by_helm, &namespace, &requests).await;
    for (ours, helms) in ours.into_iter().zip(helms) {
        assert_eq!(ours.manifest, helms.manifest);
        assert_eq!(ours.objects.len(), helms.objects.len());
        for (ours, helms) in ours.objects.iter().zip(&helms.objects) {
            assert_eq!(ours, helms);
        }
    }
}

#[tokio::test]
async fn helm_3_makes_the_same_objects() {
    agrees_with(HelmVersion::V3).await;
}

#[tokio::test]
async fn helm_4_makes_the_same_objects() {
    agrees_with(HelmVersion::V4).await;
}

/// What is recorded and shown by helm itself is the same, too.
#[tokio::test]
async fn both_engines_record_the_same_manifest_and_values() {
    let namespace = Namespace::create().await;
    let native = installer_of(&namespace, namespace.plane().kubeconfig()).await;
    for (version, project) in HelmVersion::ALL.into_iter().zip(["same-a", "same-b"]) {
        let (by_helm, _home) = engine(&namespace, namespace.plane().kubeconfig(), version).await;
        let first = fixtures::request(project, Some("main")).namespace(namespace.name()).https().desired();
        let second = next(&first, 11);
        let release = first.key.name.as_str();
        deploy(&native, &namespace, &first).await;
        deploy(&by_helm, &namespace, &second).await;
        let helm = dbt_controller_tests::Helm::new(version, &namespace);
        // The third has the content of the second, written by the other.
        deploy(&native, &namespace, &next(&second, 11)).await;
        let told = async |part: &str, revision: &str| helm.run(&["get", part, release, "--revision", revision, "--output", "json"]).await;
        let values = async |revision: &str| {
            let mut values: Value = serde_json::from_str(&told("values", revision).await).unwrap();
            values["controller"].as_object_mut().unwrap().remove("operation");
            values
        };
        assert_eq!(values("2").await, values("3").await);
        let manifest = async |revision: &str| helm.run(&["get", "manifest", release, "--revision", revision]).await;
        let (theirs, ours) = (manifest("2").await, manifest("3").await);
        let sources = |text: &str| text.matches("# Source: dbt-server/templates/manifests.yaml").count();
        assert_eq!((sources(&theirs), sources(&ours)), (6, 6), "{theirs}\n{ours}");
    }
}

use std::collections::BTreeSet;

use dbt_controller_domain::model::{CloudProvider, DesiredRelease, RevisionNumber, Warehouse};
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_port_contracts::fixtures;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::annotations::{CHECKSUM_CONFIG, CHECKSUM_SECRET};
use crate::content::{Content, Inherited, release_content};
use crate::json::{at, items_at, text_at};
use crate::manifest::Manifest;
use crate::{Gateway, Overlay, PullPolicy, Security, ServerSettings};

/// What the container of the server gets beside the request's own variable; http-api refuses these as the name of that one.
const OWN_VARIABLES: [&str; 14] = [
    "DBT_PROJECT_NAME",
    "GIT_BRANCH",
    "DBT_REPO_NAME",
    "GITLINK_SECRET",
    "GITLINK_DEPLOY_KEY",
    "SECRET_DBT_PACKAGE_REPO_TOKEN",
    "SECRET_PACKAGE_REPO_TOKEN_NAME",
    "DATA_WAREHOUSE_PLATFORM",
    "DBT_SERVER_WORKER_NUM",
    "DBT_SERVER_MAX_REQUESTS",
    "DBT_SERVER_ENABLE_DDTRACE",
    "DEBUG",
    "CELERYD_LOG_LEVEL",
    "APP_VERSION",
];

fn content(desired: &DesiredRelease, settings: &ServerSettings) -> Content {
    let created_at: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
    release_content(desired, &Inherited { htpasswd: None, created_at }, settings).unwrap()
}

fn manifest(desired: &DesiredRelease) -> Manifest {
    content(desired, &ServerSettings::default()).manifest
}

fn bare() -> DesiredRelease {
    fixtures::request("test-project", Some("main")).desired()
}

#[track_caller]
fn find<'a>(manifest: &'a Manifest, kind: &str) -> &'a Value {
    let object = manifest.objects().iter().find(|object| object.kind() == kind);
    object.unwrap_or_else(|| panic!("no {kind}")).value()
}

fn pod(manifest: &Manifest) -> &Value {
    at(find(manifest, "StatefulSet"), &["spec", "template"]).unwrap()
}

#[track_caller]
fn container<'a>(manifest: &'a Manifest, name: &str) -> &'a Value {
    items_at(pod(manifest), &["spec", "containers"]).iter().find(|container| container["name"] == name).unwrap()
}

fn environment(manifest: &Manifest) -> Vec<(&str, &str)> {
    let variables = items_at(container(manifest, "dbt-server"), &["env"]).iter();
    variables.filter_map(|variable| Some((variable["name"].as_str()?, variable.get("value")?.as_str()?))).collect()
}

// === the whole of it ===

#[test]
fn a_bare_release() {
    insta::assert_snapshot!(manifest(&bare()).to_text());
}

#[test]
fn a_release_with_bigquery_on_gcp_published_by_an_ingress() {
    let request = fixtures::request("Test Project", Some("feature/x"))
        .warehouse(Warehouse::Bigquery)
        .https()
        .git_url("https://bot:token@git.example.com/p.git");
    let desired = request.with(|request| request.service_account = Some("dbt@acme.iam.gserviceaccount.com".to_owned())).desired();
    insta::assert_snapshot!(manifest(&desired).to_text());
}

#[test]
fn a_release_with_snowflake_as_the_replaced_service_ran_it() {
    let desired = fixtures::request("test-project", None).warehouse(Warehouse::Snowflake).desired();
    let settings = ServerSettings { security: Security::Legacy, ..ServerSettings::default() };
    insta::assert_snapshot!(content(&desired, &settings).manifest.to_text());
}

#[test]
fn other_gateways() {
    let desired = fixtures::request("test-project", Some("main")).https().desired();
    for (gateway, kind) in [(Gateway::IngressRoute, "IngressRoute"), (Gateway::HttpRoute, "HTTPRoute")] {
        let manifest = content(&desired, &ServerSettings { gateway, ..ServerSettings::default() }).manifest;
        assert_eq!(manifest.kinds(), ["ServiceAccount", "Secret", "ConfigMap", "Service", "StatefulSet", kind]);
        insta::assert_snapshot!(gateway.as_str(), crate::yaml::write(find(&manifest, kind)));
    }
}

#[test]
fn a_release_with_an_overlay() {
    let overlay = Overlay::parse(include_str!("../overlay/tests.yaml")).unwrap();
    let desired = fixtures::request("test-project", Some("main")).https().desired();
    insta::assert_snapshot!(content(&desired, &ServerSettings { overlay, ..ServerSettings::default() }).manifest.to_text());
}

#[test]
fn the_values_of_a_release() {
    let content = content(
        &DesiredRelease { operation: "op-1".parse().unwrap(), after: Some(RevisionNumber(2)), ..bare() },
        &ServerSettings::default(),
    );
    let values = content.values();
    assert_eq!(values["manifests"], content.manifest.to_values());
    insta::assert_snapshot!(crate::yaml::write(&values["controller"]));
}

// === names and identity ===

#[test]
fn an_adopted_release_keeps_the_names_of_its_objects() {
    let release: ReleaseName = "dbt-shop-1a2b3c4d".parse().unwrap();
    let mut desired = fixtures::request("shop", Some("main")).https().desired();
    desired.key.name = release;
    desired.server = "dbt-server-dbt-shop-1a2b3c4d".parse().unwrap();
    let manifest = manifest(&desired);
    let titles: Vec<_> = manifest.objects().iter().map(|object| object.title()).collect();
    let expected = [
        "ServiceAccount/dbt-server-dbt-shop-1a2b3c4d",
        "Secret/dbt-server-secret-dbt-shop-1a2b3c4d",
        "ConfigMap/dbt-server-dbt-shop-1a2b3c4d-nginx-cm",
        "Service/dbt-server-dbt-shop-1a2b3c4d",
        "StatefulSet/dbt-server-dbt-shop-1a2b3c4d",
        "Ingress/dbt-server-dbt-shop-1a2b3c4d",
    ];
    assert_eq!(titles, expected);
    let spec = &find(&manifest, "StatefulSet")["spec"];
    assert_eq!(spec["serviceName"], "dbt-server-dbt-shop-1a2b3c4d");
    assert_eq!(spec["volumeClaimTemplates"][0]["metadata"]["name"], "dbt-server-dbt-shop-1a2b3c4d");
    assert_eq!(find(&manifest, "Ingress")["spec"]["tls"][0]["secretName"], "dbt-server-tls-dbt-shop-1a2b3c4d");
}

#[test]
fn the_service_selects_the_pods_of_its_release_only() {
    let selectors: Vec<_> = ["main", "develop"]
        .map(|branch| {
            let manifest = manifest(&fixtures::request("shop", Some(branch)).desired());
            let selector = find(&manifest, "Service")["spec"]["selector"].clone();
            assert_eq!(selector, find(&manifest, "StatefulSet")["spec"]["selector"]["matchLabels"]);
            let labels = &pod(&manifest)["metadata"]["labels"];
            assert!(selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value));
            selector
        })
        .to_vec();
    assert_ne!(selectors[0], selectors[1]);
    assert_eq!(selectors[0], json!({ "app.kubernetes.io/instance": "dbt-server-shop-main" }));
}

#[test]
fn what_can_change_is_neither_on_the_claim_nor_on_the_pod() {
    let desired = bare();
    let mut other = DesiredRelease { connection_id: None, ..desired.clone() };
    other.request.customer = "other".parse().unwrap();
    let (one, two) = (manifest(&desired), manifest(&other));
    assert_ne!(find(&one, "StatefulSet")["metadata"], find(&two, "StatefulSet")["metadata"]);
    assert_eq!(find(&one, "StatefulSet")["spec"], find(&two, "StatefulSet")["spec"]);
    let claim = &find(&one, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["metadata"]["annotations"];
    assert_eq!(*claim, json!({ "dbt-controller.fast.bi/project": "test-project", "dbt-controller.fast.bi/branch": "main" }));
}

proptest! {
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
    #[test]
    fn labels_are_valid_and_identities_come_back(project in "\\PC{1,63}", branch in proptest::option::of("\\PC{1,255}")) {
        let desired = fixtures::request(&project, branch.as_deref()).https().desired();
        let manifest = manifest(&desired);
        let claim = &find(&manifest, "StatefulSet")["spec"]["volumeClaimTemplates"][0];
        let objects = manifest.objects().iter().map(|object| object.value());
        for object in objects.chain([pod(&manifest), claim]) {
            for (key, value) in object["metadata"]["labels"].as_object().unwrap() {
                let value = value.as_str().unwrap();
                let is_edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
                prop_assert!(value.len() <= 63 && is_edge(value.chars().next()) && is_edge(value.chars().last()), "{key}: {value}");
                prop_assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{key}: {value}");
            }
        }
        for object in manifest.objects().iter().map(|object| object.value()).chain([claim]) {
            let annotations = serde_json::from_value(object["metadata"]["annotations"].clone()).unwrap();
            let identity = dbt_controller_kube_access::identity_of(&annotations);
            prop_assert_eq!(identity.as_ref(), Some(&desired.request.identity));
        }
        prop_assert_eq!(Manifest::from_text(&manifest.to_text()).unwrap(), manifest);
    }

    #[test]
    fn values_of_the_request_stay_values(text in any::<String>().prop_filter("no NUL", |text| !text.contains('\0'))) {
        let desired = fixtures::request("p", None).with(|request| {
            request.options.cicd_env_value = text.clone();
            request.git.gitlink_secret = text.clone().into();
        }).desired();
        let manifest = manifest(&desired);
        let read = Manifest::from_text(&manifest.to_text()).unwrap();
        prop_assert_eq!(&read, &manifest);
        let value = environment(&read).into_iter().find(|(name, _)| *name == "ENV").unwrap().1;
        prop_assert_eq!(expand(value), text);
    }
}

/// What Kubernetes makes of a variable's value when no other variable exists:
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/third_party/forked/golang/expansion/expand.go>
fn expand(value: &str) -> String {
    let mut expanded = String::new();
    let mut rest = value.chars().peekable();
    while let Some(character) = rest.next() {
        expanded.push(character);
        if character == '$' && rest.peek() == Some(&'$') {
            rest.next();
        } else if character == '$' && rest.peek() == Some(&'(') {
            expanded.push_str("a reference ");
        }
    }
    expanded
}

// === the pod ===

#[test]
fn references_to_variables_in_values_are_not_followed() {
    let desired = fixtures::request("$(HOME)", Some("a$$b"))
        .with(|request| request.options.cicd_env_value = "$(GITLINK_SECRET) $x $".to_owned())
        .desired();
    let manifest = manifest(&desired);
    let environment = environment(&manifest);
    for expected in [("DBT_PROJECT_NAME", "$$(HOME)"), ("GIT_BRANCH", "a$$$$b"), ("ENV", "$$(GITLINK_SECRET) $$x $$")] {
        assert!(environment.contains(&expected), "{environment:?}");
    }
}

#[test]
fn the_variables_are_those_that_a_request_cannot_name() {
    let of = |branch| {
        let manifest = manifest(&fixtures::request("p", branch).desired());
        let variables = items_at(container(&manifest, "dbt-server"), &["env"]);
        variables.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let with_branch = of(Some("develop"));
    let own: BTreeSet<_> = with_branch.iter().map(String::as_str).filter(|name| *name != "ENV").collect();
    assert_eq!(own, BTreeSet::from(OWN_VARIABLES));
    assert_eq!(with_branch.len(), OWN_VARIABLES.len() + 1, "no variable is there twice");
    assert!(!of(Some("main")).contains(&"GIT_BRANCH".to_owned()));
    assert!(!of(None).contains(&"GIT_BRANCH".to_owned()));
}

#[test]
fn the_image_is_pulled_each_time_only_if_its_tag_moves() {
    let policy = |tag: &str, image_pull_policy| {
        let desired = fixtures::request("p", None).tag(tag).desired();
        let manifest = content(&desired, &ServerSettings { image_pull_policy, ..ServerSettings::default() }).manifest;
        container(&manifest, "dbt-server")["imagePullPolicy"].clone()
    };
    assert_eq!(policy("1.0.0", None), "IfNotPresent");
    assert_eq!(policy("latest", None), "Always");
    assert_eq!(policy("latest", Some(PullPolicy::Never)), "Never");
}

#[test]
fn settings_reach_the_objects() {
    let settings = ServerSettings {
        proxy_timeout: std::time::Duration::from_secs(900),
        termination_grace: std::time::Duration::from_secs(3600),
        ephemeral_storage_limit: Some("3Gi".parse().unwrap()),
        ..ServerSettings::default()
    };
    let manifest = content(&bare(), &settings).manifest;
    let configuration = text_at(find(&manifest, "ConfigMap"), &["data", "default.conf"]).unwrap();
    assert_eq!(configuration.matches("900s;").count(), 3);
    assert!(!configuration.contains('@'));
    assert_eq!(pod(&manifest)["spec"]["terminationGracePeriodSeconds"], 3600);
    assert_eq!(container(&manifest, "dbt-server")["resources"]["limits"]["ephemeral-storage"], "3Gi");
}

#[test]
fn a_google_account_is_named_on_gcp_only() {
    for (cloud, expected) in [(CloudProvider::Gcp, Some("a@b.example.com")), (CloudProvider::Aws, None)] {
        let desired = fixtures::request("p", None)
            .with(|request| {
                request.cloud_provider = cloud;
                request.service_account = Some("a@b.example.com".to_owned());
            })
            .desired();
        let manifest = manifest(&desired);
        assert_eq!(text_at(find(&manifest, "ServiceAccount"), &["metadata", "annotations", "iam.gke.io/gcp-service-account"]), expected);
    }
}

#[test]
fn each_warehouse_brings_its_volumes() {
    for (warehouse, scratch) in [
        (Warehouse::Bigquery, Some("/usr/src/secret")),
        (Warehouse::Snowflake, Some("/snowsql/secrets")),
        (Warehouse::Redshift, None),
        (Warehouse::Fabric, None),
    ] {
        let manifest = manifest(&fixtures::request("p", None).warehouse(warehouse).desired());
        let mounts = items_at(container(&manifest, "dbt-server"), &["volumeMounts"]).iter();
        let paths: BTreeSet<_> = mounts.map(|mount| mount["mountPath"].as_str().unwrap()).collect();
        let expected: BTreeSet<_> = ["/data", "/usr/src/app/working-dir", "/fastbi/secrets"].into_iter().chain(scratch).collect();
        assert_eq!(paths, expected);
        let volumes = items_at(pod(&manifest), &["spec", "volumes"]);
        let secrets: Vec<_> = volumes.iter().filter_map(|volume| text_at(volume, &["secret", "secretName"])).collect();
        assert!(secrets.contains(&warehouse.secret_name().as_str()));
    }
}

/// A mount without its volume is refused by the cluster only when the pod is made, long after the apply.
#[test]
fn every_mount_has_its_volume_and_every_volume_a_mount() {
    for security in Security::ALL {
        for warehouse in [None, Some(Warehouse::Bigquery), Some(Warehouse::Redshift)] {
            let desired = fixtures::request("p", None).with(|request| request.warehouse = warehouse).desired();
            let manifest = content(&desired, &ServerSettings { security: *security, ..ServerSettings::default() }).manifest;
            let volumes = items_at(pod(&manifest), &["spec", "volumes"]).iter().map(|volume| volume["name"].as_str().unwrap());
            let claims = items_at(find(&manifest, "StatefulSet"), &["spec", "volumeClaimTemplates"]);
            let claims = claims.iter().map(|claim| claim["metadata"]["name"].as_str().unwrap());
            let containers = items_at(pod(&manifest), &["spec", "containers"]).iter();
            let mounts =
                containers.flat_map(|container| items_at(container, &["volumeMounts"])).map(|mount| mount["name"].as_str().unwrap());
            assert_eq!(volumes.chain(claims).collect::<BTreeSet<_>>(), mounts.collect::<BTreeSet<_>>());
        }
    }
}

#[test]
fn nothing_is_privileged_unless_asked_for() {
    let manifest = manifest(&bare());
    let spec = &pod(&manifest)["spec"];
    assert_eq!(spec["securityContext"], json!({ "seccompProfile": { "type": "RuntimeDefault" } }));
    for name in ["dbt-server", "dbt-server-nginx-proxy"] {
        let security = &container(&manifest, name)["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security.get("privileged"), None, "{name}");
    }
    let proxy = &container(&manifest, "dbt-server-nginx-proxy")["securityContext"];
    assert_eq!((&proxy["runAsUser"], &proxy["runAsGroup"], &proxy["readOnlyRootFilesystem"]), (&json!(101), &json!(101), &json!(true)));
}

#[test]
fn the_number_of_pods_is_not_in_the_manifest() {
    assert!(!manifest(&bare()).to_text().contains("replicas"));
}

// === what restarts a pod, and what makes a revision ===

#[test]
fn the_pod_restarts_when_what_it_reads_changes() {
    let checksum = |desired: &DesiredRelease, settings: &ServerSettings, key: &str| {
        text_at(pod(&content(desired, settings).manifest), &["metadata", "annotations", key]).unwrap().to_owned()
    };
    let (desired, settings) = (bare(), ServerSettings::default());
    let other_login = DesiredRelease { credentials: fixtures::credentials("second"), ..desired.clone() };
    assert_ne!(checksum(&desired, &settings, CHECKSUM_SECRET), checksum(&other_login, &settings, CHECKSUM_SECRET));
    assert_eq!(checksum(&desired, &settings, CHECKSUM_CONFIG), checksum(&other_login, &settings, CHECKSUM_CONFIG));
    let overlay = Overlay::parse("apiVersion: v1\nkind: ConfigMap\ndata: {extra.conf: '# more'}\n").unwrap();
    let other_config = ServerSettings { overlay, ..ServerSettings::default() };
    assert_ne!(checksum(&desired, &settings, CHECKSUM_CONFIG), checksum(&desired, &other_config, CHECKSUM_CONFIG));
    assert_eq!(checksum(&desired, &settings, CHECKSUM_SECRET), checksum(&desired, &other_config, CHECKSUM_SECRET));
}

#[test]
fn equal_wishes_have_equal_hashes_whenever_and_by_whomever() {
    let desired = bare();
    let later: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let other = DesiredRelease { operation: fixtures::operation_id(), after: Some(RevisionNumber(4)), ..desired.clone() };
    let first = content(&desired, &ServerSettings::default());
    let second = release_content(&other, &Inherited { htpasswd: None, created_at: later }, &ServerSettings::default()).unwrap();
    assert_eq!(first.manifest_hash(), second.manifest_hash());
    assert_ne!(first.manifest, second.manifest, "the age is told all the same");
    // As it is read back.
    assert_eq!(Manifest::from_text(&first.manifest.to_text()).unwrap().hash(), *second.manifest_hash());
}

#[test]
fn a_kept_line_of_the_password_file_is_written_again() {
    let desired = bare();
    let password = secrecy::ExposeSecret::expose_secret(&desired.credentials.password).to_owned();
    let line = format!("{}:{}", desired.credentials.user, bcrypt::hash(password, 4).unwrap());
    let inherited = Inherited { htpasswd: Some(&line), created_at: Timestamp::UNIX_EPOCH };
    let kept = release_content(&desired, &inherited, &ServerSettings::default()).unwrap();
    let key = fixtures::release_key(&fixtures::namespace(), &desired.request.identity);
    let values = kept.values();
    let recorded = crate::facts::Recorded { key: &key, revision: RevisionNumber(1), values: &values, manifest: &kept.manifest };
    assert_eq!(recorded.htpasswd(), Some(line));
    assert_ne!(kept.manifest_hash(), content(&desired, &ServerSettings::default()).manifest_hash());
}

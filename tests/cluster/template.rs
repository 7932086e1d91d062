//! `helm template` of the chart with the values that a release records prints the objects that it records, in their order.
//!
//! So does an upgrade with `--reuse-values`. What Helm prints and what is recorded is read by Helm's own reader of YAML: to Go, a text
//! that was not quoted with care is a number, a date or a flag.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_adapters_helm::{Gateway, NativeInstaller, Overlay, Security, ServerSettings};
use dbt_controller_domain::model::{CloudProvider, Credentials, Warehouse};
use dbt_controller_domain::ports::ChartInstaller as _;
use dbt_controller_port_contracts::fixtures::{self, RequestBuilder, fence};
use dbt_controller_tests::{Helm, HelmVersion, Namespace};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installer::installer;
use crate::support::site::chart;

/// Texts that some reader of YAML, some template or some shell takes for something else.
#[rustfmt::skip] // A line for each would be a hundred lines.
const HOSTILE: &[&str] = &[
    "", " ", "\t", "\n", "\n\n", " a", "a ", "a\n", "\na", "a\n\n", " a\nb", "\ta\nb", "a\n\tb", "a\r\nb", "a\n b\n", "on", "Off", "yes", "n",
    "Y", "true", "False", "null", "~", "1", "-1", "007", "0755", "0o17", "0x1F", "0b11", "1_000", "1e3", "1E3", "1e21", ".5", "1.", ".inf",
    ".NaN", "12:30", "12:30:45", "190:20:30", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "<<", "=", "-", "- a", "? a", ": a", "a: b", "a:",
    "a #b", "#a", "&a", "*a", "!a", "!!str a", "|", ">", "%a", "@a", "`a", "'", "\"", "'a'", "\"a\"", "\\", "\\n", "{", "}", "{a}", "[a]", "a, b",
    "---", "--- a", "...", "a\n---\nb", "\n---\n", "a\n...\nb", "# Source: x", "{{ .Values.controller }}", "{{", "}}", "{{- /* a */ -}}",
    "$(X)", "$$(X)", "${X}", "<a & b>", "\u{1}", "\u{1b}[0m", "\u{7f}", "\u{85}", "a\u{85}b", "\u{a0}", "a\u{2028}b", "\u{2029}", "\u{feff}a",
    "\u{fffe}", "\u{ffff}", "\u{fffd}", "\u{10ffff}", "ü", "проект", "日本", "🦀", "e\u{301}", "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n",
    "  indented\nless\n", "key: |\n  text\n",
];

#[tokio::test]
async fn any_warehouse_cloud_and_publication() {
    let stage = Stage::new().await;
    let installer = installer(&stage.namespace, ServerSettings::default()).await;
    let warehouses = Warehouse::ALL.iter().copied().map(Some).chain([None]);
    let mut count = 0;
    for warehouse in warehouses {
        for &cloud in CloudProvider::ALL {
            for https in [false, true] {
                count += 1;
                let request = fixtures::request(&format!("project-{count}"), Some("main")).with(|request| {
                    request.warehouse = warehouse;
                    request.cloud_provider = cloud;
                    request.https_enabled = https;
                    request.service_account = Some("dbt@acme.iam.gserviceaccount.com".to_owned());
                });
                stage.record(&installer, request).await;
            }
        }
    }
    assert_eq!(stage.assert_templates_agree().await, count);
}

#[tokio::test]
async fn hostile_texts_of_requests() {
    let stage = Stage::new().await;
    let installer = installer(&stage.namespace, ServerSettings::default()).await;
    let all_lines: String = HOSTILE.iter().filter(|text| !text.contains(char::is_control)).copied().collect::<Vec<_>>().join(" ");
    let long: String = "日本/feature-".chars().cycle().take(255).collect();
    for (project, branch) in
        [("on", "1e3"), ("12:30", "0x1F"), ("{{ .Values }}", "$(X)"), ("it's \"a\" \\ test", "a: b #c"), ("проект", &long)]
    {
        stage.record(&installer, hostile_request(project, branch, branch, branch)).await;
    }
    stage.record(&installer, hostile_request("all", "main", &all_lines, &HOSTILE.join("\n"))).await;
    // What ends the manifest's own way of writing a text of several lines.
    stage.record(&installer, hostile_request("tab", "main", " a ", "\ta\n\n b\n")).await;
    assert_eq!(stage.assert_templates_agree().await, 7);
}

/// A request with a line, or any text, in each field that takes one.
fn hostile_request(project: &str, branch: &str, line: &str, text: &str) -> RequestBuilder {
    fixtures::request(project, Some(branch)).https().git_url(text).package_token(text).with(|request| {
        request.git.gitlink_deploy_key = text.into();
        request.git.dbt_repo_name = line.to_owned();
        request.git.package_repo_token_name = line.to_owned();
        request.options.cicd_env_value = text.to_owned();
        request.options.app_version = line.to_owned();
    })
}

#[tokio::test]
async fn any_setting_and_overlay() {
    let stage = Stage::new().await;
    let legacy = ServerSettings { security: Security::Legacy, ..ServerSettings::default() };
    let overlaid = ServerSettings { overlay: overlay(), ..ServerSettings::default() };
    let gateways = Gateway::ALL.iter().map(|gateway| ServerSettings { gateway: *gateway, ..ServerSettings::default() });
    let overlaid_gateways = Gateway::ALL.iter().map(|gateway| ServerSettings { gateway: *gateway, ..overlaid.clone() });
    let mut count = 0;
    for settings in gateways.chain(overlaid_gateways).chain([legacy]) {
        count += 1;
        let installer = installer(&stage.namespace, settings).await;
        stage.record(&installer, fixtures::request(&format!("project-{count}"), None).warehouse(Warehouse::Snowflake).https()).await;
    }
    assert_eq!(stage.assert_templates_agree().await, count);
}

#[tokio::test]
async fn an_upgrade_that_reuses_hostile_values() {
    let stage = Stage::new().await;
    let installer = installer(&stage.namespace, ServerSettings { overlay: overlay(), ..ServerSettings::default() }).await;
    stage.record(&installer, hostile_request("all", "main", "{{ . }}", &HOSTILE.join("\n"))).await;
    assert_eq!(stage.assert_upgrades_agree().await, 1);
}

/// Numbers that Go may print in another way, and texts that look like them.
fn overlay() -> Overlay {
    let texts: Value =
        HOSTILE.iter().enumerate().map(|(index, text)| (format!("key-{index}"), json!(text))).collect::<serde_json::Map<_, _>>().into();
    let keys: Value = HOSTILE.iter().map(|text| ((*text).to_owned(), json!(text))).collect::<serde_json::Map<_, _>>().into();
    let free = json!({
        "numbers": [0, -1, 0.5, 3_000_000, 1_000_650_000, 9_007_199_254_740_991_i64, 1e20, 1e21, -2.5e-7, 1e300],
        "flags": [true, false],
        "nothing": null,
        "empty": [{}, [], ""],
        "texts": HOSTILE,
    });
    let pod = json!({
        "securityContext": {"runAsUser": 3_000_000, "runAsGroup": 1_000_650_000, "fsGroup": 2_147_483_647, "runAsNonRoot": false},
        "priority": 1_000_000_000,
        "activeDeadlineSeconds": 100_000_000_000_000_i64,
        "hostNetwork": false,
        "nodeSelector": {"a": "1e21", "b": "true", "c": "null", "d": "3000000"},
    });
    let documents = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": keys, "metadata": {"annotations": texts}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"minReadySeconds": 1_000_000, "template": {"metadata": {"annotations": texts}, "spec": pod}}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"publishNotReadyAddresses": false, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": {"rules": [{"filters": [free]}]}}),
    ];
    Overlay::parse(&documents.map(|document| format!("---\n{}\n", plain(&document))).concat()).unwrap()
}

/// A namespace with releases, and both Helms.
struct Stage {
    namespace: Namespace,
    helms: [Helm; 2],
}

/// A release as Helm's record has it.
struct Recorded {
    name: String,
    values: Value,
    manifest: String,
}

impl Stage {
    async fn new() -> Self {
        let namespace = Namespace::create().await;
        let helms = HelmVersion::ALL.map(|version| Helm::new(version, &namespace));
        Self { namespace, helms }
    }

    /// Records a release as deployed, without its objects.
    async fn record(&self, installer: &NativeInstaller, request: RequestBuilder) {
        let mut desired = request.namespace(self.namespace.name()).desired();
        desired.credentials = Credentials { user: "o'hara".to_owned(), password: "1e3: \"{{ . }}\" $(X) ü".into() };
        let revision = installer.begin(&desired, &fence()).await.unwrap();
        installer.commit(&revision, &fence()).await.unwrap();
    }

    /// What is recorded here.
    async fn recorded(&self) -> Vec<Recorded> {
        self.namespace.list("secrets", "owner=helm").await.iter().map(Recorded::of).collect()
    }

    /// Both Helms print the recorded objects from the recorded values. Returns how many releases that were.
    async fn assert_templates_agree(&self) -> usize {
        let recorded = self.recorded().await;
        let templates = async |helm: &Helm| {
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("values.yaml");
            let mut texts = Vec::new();
            for release in &recorded {
                std::fs::write(&file, plain(&release.values)).unwrap();
                texts.push(helm.run(&["template", &release.name, &chart(), "--values", file.to_str().unwrap()]).await);
            }
            self.assert_agree(helm, &recorded, &texts).await;
        };
        tokio::join!(templates(&self.helms[0]), templates(&self.helms[1]));
        recorded.len()
    }

    /// Both Helms would upgrade to the recorded objects when they reuse the recorded values. Returns how many releases that were.
    async fn assert_upgrades_agree(&self) -> usize {
        let recorded = self.recorded().await;
        let upgrades = async |helm: &Helm| {
            let mut texts = Vec::new();
            for release in &recorded {
                let arguments = ["upgrade", &release.name, &chart(), "--reuse-values", "--dry-run=client", "--output", "json"];
                let shown: Value = serde_json::from_str(&helm.run(&arguments).await).unwrap();
                texts.push(shown["manifest"].as_str().unwrap().to_owned());
            }
            self.assert_agree(helm, &recorded, &texts).await;
        };
        tokio::join!(upgrades(&self.helms[0]), upgrades(&self.helms[1]));
        recorded.len()
    }

    /// The recorded values, the recorded manifests and what Helm printed hold the same objects in the same order.
    async fn assert_agree(&self, helm: &Helm, recorded: &[Recorded], printed: &[String]) {
        let texts: Vec<_> = recorded.iter().map(|release| release.manifest.as_str()).chain(printed.iter().map(String::as_str)).collect();
        let read = read(helm, &texts).await;
        let (of_manifests, of_helm) = read.split_at(recorded.len());
        for ((release, manifest), printed) in recorded.iter().zip(of_manifests).zip(of_helm) {
            assert!(manifest.len() >= 5, "{}: {manifest:?}", release.name);
            assert_same(&release.name, &release.values["manifests"], manifest);
            assert_same(&release.name, &release.values["manifests"], printed);
        }
    }
}

impl Recorded {
    /// <https://github.com/helm/helm/blob/v4.3.1/pkg/storage/driver/util.go>
    fn of(secret: &Value) -> Self {
        let text = BASE64.decode(secret["data"]["release"].as_str().unwrap()).unwrap();
        let mut json = Vec::new();
        GzDecoder::new(BASE64.decode(text).unwrap().as_slice()).read_to_end(&mut json).unwrap();
        let mut record: Value = serde_json::from_slice(&json).unwrap();
        let text = |field: &str| record[field].as_str().unwrap().to_owned();
        Self { name: text("name"), manifest: text("manifest"), values: record["config"].take() }
    }
}

/// Compares piece by piece, for whole manifests are hard to read.
#[track_caller]
fn assert_same(release: &str, expected: &Value, found: &[Value]) {
    let expected = expected.as_array().unwrap();
    let titles =
        |objects: &[Value]| objects.iter().map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"])).collect::<Vec<_>>();
    assert_eq!(titles(expected), titles(found), "{release}");
    for (expected, found) in expected.iter().zip(found) {
        assert_eq!(expected, found, "{release}");
    }
}

/// The documents of these manifests, as this Helm reads them.
///
/// Texts go in and out in base64, so that nothing else than `fromYaml` reads them.
async fn read(helm: &Helm, manifests: &[&str]) -> Vec<Vec<Value>> {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    write("Chart.yaml", "apiVersion: v2\nname: reader\nversion: 0.1.0\n");
    write(
        "templates/read.yaml",
        "{{ $read := list }}{{ range .Values.documents }}{{ $read = append $read (fromYaml (b64dec .)) }}{{ end }}read: {{ toJson $read | b64enc }}",
    );
    let documents: Vec<_> = manifests.iter().map(|manifest| split(manifest)).collect();
    let encoded: Vec<_> = documents.iter().flatten().map(|document| BASE64.encode(document)).collect();
    write("values.yaml", &json!({ "documents": encoded }).to_string());
    let shown = helm.run(&["template", "reader", folder.path().to_str().unwrap()]).await;
    let json = BASE64.decode(shown.trim().rsplit_once("read: ").unwrap().1).unwrap();
    let mut read: std::vec::IntoIter<Value> = serde_json::from_slice::<Vec<_>>(&json).unwrap().into_iter();
    documents.iter().map(|documents| read.by_ref().take(documents.len()).collect()).collect()
}

/// The documents of a manifest, cut where Helm cuts it.
fn split(manifest: &str) -> Vec<String> {
    let mut documents = Vec::new();
    for line in manifest.lines() {
        if line.starts_with("---") {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        } else {
            assert_eq!(line, "", "a document without a separator: {manifest}");
        }
    }
    documents
}

/// JSON that is YAML, too: what a reader of YAML would take for line breaks or refuse is written as escapes.
fn plain(value: &Value) -> String {
    let is_special = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    value.to_string().chars().map(|c| if is_special(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

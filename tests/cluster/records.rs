//! Release records that nobody can read.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_tests::{Namespace, until};
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::support::site::{Site, body, body_with, inventory, path, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// A record of Helm in a Secret, of revision 1.
async fn record(namespace: &Namespace, release: &str, kind: &str, payload: &[u8]) {
    record_of(namespace, (1, release, 1), kind, payload).await;
}

/// The same in this storage format, of this revision. Made as a file, because it may be too large for a command line.
async fn record_of(namespace: &Namespace, (format, release, revision): (u32, &str, u32), kind: &str, payload: &[u8]) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {
            "name": format!("sh.helm.release.v{format}.{release}.v{revision}"),
            "labels": {"name": release, "owner": "helm", "status": "deployed", "version": revision.to_string()},
        },
        "data": {"release": BASE64.encode(BASE64.encode(payload))},
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret.to_string()).unwrap();
    namespace.run(&["create", "--filename", file.path().to_str().unwrap()]).await.unwrap();
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Unpacks to 256 MiB. The parts of a stream of deflate that end in a full flush stand for themselves, so one can be repeated; the sum at
/// the end of gzip is missing, but who looks for it has unpacked all.
fn bomb() -> Vec<u8> {
    let mut part = Vec::with_capacity(1 << 20);
    Compress::new(Compression::best(), false).compress_vec(&[b' '; 1 << 20], &mut part, FlushCompress::Full).unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    [header.as_slice(), &part.repeat(256)].concat()
}

/// The largest release that somebody's chart can have, just below the limit of a Secret: values that cannot be packed.
fn giant(namespace: &Namespace) -> Vec<u8> {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        // A generator of pseudorandom numbers; <https://en.wikipedia.org/wiki/Xorshift>.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(740_000).collect();
    let at = "2026-01-01T00:00:00Z";
    let release = json!({
        "name": "giant", "namespace": namespace.name(), "version": 1, "manifest": "",
        "info": {"first_deployed": at, "last_deployed": at, "deleted": "", "description": "Install complete", "status": "deployed"},
        "chart": {"metadata": {"name": "giant", "version": "1.0.0", "apiVersion": "v2"}, "templates": [], "values": {}},
        "config": {"noise": BASE64.encode(noise)},
    });
    packed(&release.to_string())
}

#[tokio::test]
async fn records_that_cannot_be_read_are_told_one_by_one_and_cost_no_memory() {
    let site = Site::open().await;
    drop(site.deploy(&body("healthy")).await);
    let (namespace, service) = (&site.namespace, &site.service);
    let before = service.peak_memory();
    let kind = "helm.sh/release.v1";
    record(namespace, RELEASE, kind, &[1, 2, 3]).await;
    record(namespace, "dbt-server-future-main", "helm.sh/release.v2", &packed("{}")).await;
    record(namespace, "dbt-server-other-main", kind, &packed(r#"{"name": 1}"#)).await;
    let bomb = bomb();
    for number in 1..=2 {
        record(namespace, &format!("dbt-server-bomb-{number}"), kind, &bomb).await;
    }
    record(namespace, "giant", kind, &giant(namespace)).await;
    // The watch shows them in their order.
    let all = async || {
        let all = service.get("/api/v1/projects/all").await.expect(200).json();
        let of = |name: &str| all.as_array().unwrap().iter().find(|release| release["name"] == name).cloned();
        of("giant")
    };
    let giant = until("the largest release is listed", all).await;
    assert_eq!((&giant["status"], &giant["chart"]), (&json!("deployed"), &json!("giant-1.0.0")), "{giant:#}");

    for (release, project, branch, reason) in [
        (RELEASE, PROJECT, Some("main"), "cannot be read"),
        ("dbt-server-future-main", "future", Some("main"), "helm.sh/release.v2"),
        ("dbt-server-other-main", "other", Some("main"), "cannot be read"),
        ("dbt-server-bomb-1", "bomb-1", None, "unpacks to more than"),
    ] {
        let body = json!({"project_name": project, "git_branch": branch});
        for answer in [service.get(&path(release)).await, service.post("/api/v1/deployments", &body).await] {
            let failed = answer.expect(500).json();
            assert_eq!(failed["details"]["code"], "release_unreadable", "{failed:#}");
            let message = failed["message"].as_str().unwrap();
            assert!(message.contains(release) && message.contains(reason), "{message}");
        }
    }
    // The others are as they were.
    let listed = service.get("/api/v1/deployments").await.expect(200).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("dbt-server-healthy-main")), "{listed:#}");
    assert_eq!(site.deploy(&body_with("healthy", &json!({"tag": "2.0.0"}))).await["revision"], 2);
    drop(service.delete(&path("dbt-server-healthy-main")).await.expect(200));
    let grown = (service.peak_memory() - before) >> 20;
    println!("the service has grown by {grown} MiB");
    assert!(grown < 128, "{grown} MiB");
}

#[tokio::test]
async fn a_deployment_whose_record_was_broken_can_be_deleted() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    drop(site.deploy(&body(PROJECT)).await);
    let secret = format!("sh.helm.release.v1.{RELEASE}.v1");
    site.namespace.patch("secret", &secret, &json!({"data": {"release": BASE64.encode("broken")}})).await;
    let told = async || (site.service.get(&path(RELEASE)).await.status == 500).then_some(());
    until("GET tells that the record cannot be read", told).await;
    // A second server for the same project would be worse than none.
    let failed = site.service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "release_unreadable", "{failed:#}");
    let deleted = site.service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["pvc_deleted"].as_array().unwrap().len(), 1, "{deleted:#}");
    until_nothing_is_left(&site.namespace, &before).await;
    assert_eq!(site.deploy(&body(PROJECT)).await["revision"], 1);
}

/// A later Helm stores its records in a later format, which the name of the Secret tells.
#[tokio::test]
async fn a_release_of_a_later_format_is_told_and_can_be_deleted() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    drop(site.deploy(&body("healthy")).await);
    let with_healthy = inventory(&site.namespace).await;
    drop(site.deploy(&body(PROJECT)).await);
    drop(site.deploy(&body("later")).await);
    // A revision that came after, told by name and type; and one in place of ours, told by the name alone.
    record_of(&site.namespace, (2, RELEASE, 2), "helm.sh/release.v2", &packed("{}")).await;
    let later = "dbt-server-later-main";
    record_of(&site.namespace, (3, later, 1), "helm.sh/release.v1", &packed("{}")).await;
    site.namespace.delete("secret", &format!("sh.helm.release.v1.{later}.v1")).await;
    for (release, project, reason) in [(RELEASE, PROJECT, "helm.sh/release.v2"), (later, "later", "storage format 3")] {
        let told = async || (site.service.get(&path(release)).await.status == 500).then_some(());
        until("GET tells that the record cannot be read", told).await;
        let posted = site.service.post("/api/v1/deployments", &body(project)).await.expect(500).json();
        let message = posted["message"].as_str().unwrap();
        assert_eq!(posted["details"]["code"], "release_unreadable", "{posted:#}");
        assert!(message.contains(release) && message.contains(reason), "{message}");
    }
    assert_eq!(site.deploy(&body_with("healthy", &json!({"tag": "2.0.0"}))).await["revision"], 2);

    for release in [RELEASE, later] {
        let deleted = site.service.delete(&path(release)).await.expect(200).json();
        assert_eq!(deleted["details"]["pvc_deleted"].as_array().unwrap().len(), 1, "{deleted:#}");
        drop(site.service.get(&path(release)).await.expect(404));
    }
    // A claim goes when the controllers have let go of it.
    until("only the healthy one is left", async || {
        let mut left = inventory(&site.namespace).await;
        (left.remove("Secret/sh.helm.release.v1.dbt-server-healthy-main.v2") && left == with_healthy).then_some(())
    })
    .await;
    drop(site.service.delete(&path("dbt-server-healthy-main")).await.expect(200));
    until_nothing_is_left(&site.namespace, &before).await;
}

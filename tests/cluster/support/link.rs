//! A way to the API server that can be cut.

use std::process::Stdio;
use std::time::{Duration, Instant};

use dbt_controller_tests::{ControlPlane, Kubectl, Link, Mode, Namespace};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

const VERSION: [&str; 3] = ["get", "--raw", "/version"];

/// A link, and the administrator's kubectl through it.
fn link() -> (Link, Kubectl, TempDir) {
    let plane = ControlPlane::find();
    let link = Link::to(plane.kubeconfig().address());
    let folder = TempDir::new().unwrap();
    let kubectl = plane.kubectl_with(&link.kubeconfig(plane.kubeconfig()).write(&folder));
    (link, kubectl, folder)
}

#[tokio::test]
async fn it_is_cut_and_mended() {
    let (link, kubectl, _folder) = link();
    kubectl.run(&VERSION).await.unwrap();
    link.set(Mode::Down);
    let begin = Instant::now();
    kubectl.run(&VERSION).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    link.set(Mode::Answers);
    kubectl.run(&VERSION).await.unwrap();
}

#[tokio::test]
async fn it_hangs_and_goes_on() {
    let (link, kubectl, _folder) = link();
    link.set(Mode::Hangs);
    let mut call = Box::pin(kubectl.run(&VERSION));
    assert!(timeout(Duration::from_secs(2), &mut call).await.is_err(), "it answers");
    link.set(Mode::Answers);
    timeout(Duration::from_secs(20), call).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_watch_hangs_goes_on_and_is_cut() {
    let namespace = Namespace::create().await;
    let plane = namespace.plane();
    let link = Link::to(plane.kubeconfig().address());
    let folder = TempDir::new().unwrap();
    let kubeconfig = link.kubeconfig(plane.kubeconfig()).write(&folder);
    let mut watch = tokio::process::Command::new(plane.tool("kubectl"));
    watch.env_clear().env("HOME", folder.path()).arg("--kubeconfig").arg(&kubeconfig).kill_on_drop(true);
    watch.args(["get", "configmaps", "--watch-only", "--output", "name", "--namespace", namespace.name()]);
    // The cluster makes a ConfigMap of its own in every new namespace, when it comes to it.
    watch.args(["--selector", "test=watch"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let make = async |name: &str| {
        let metadata = json!({"name": name, "labels": {"test": "watch"}});
        namespace.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await;
    };
    let mut seen = async |time| timeout(time, lines.next_line()).await.map(|line| line.unwrap());

    // A watch shows what is made after its begin only, and nobody tells when that is.
    let mut count = 0;
    let first = loop {
        count += 1;
        make(&format!("begin-{count}")).await;
        if let Ok(line) = seen(Duration::from_millis(500)).await {
            break line.unwrap();
        }
    };
    assert!(first.starts_with("configmap/begin-"), "{first}");
    link.set(Mode::Hangs);
    make("meanwhile").await;
    while let Ok(line) = seen(Duration::from_secs(1)).await {
        assert!(line.unwrap().starts_with("configmap/begin-"), "a watch that hangs shows what was made meanwhile");
    }
    link.set(Mode::Answers);
    assert_eq!(seen(Duration::from_secs(10)).await.unwrap().unwrap(), "configmap/meanwhile");
    link.set(Mode::Down);
    assert_eq!(seen(Duration::from_secs(10)).await.unwrap(), None, "the watch goes on");
}

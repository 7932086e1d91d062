//! nginx as a server's pod runs it: with the generated configuration and login, and exactly the rights that the pod gives it.
//!
//! kwok runs nothing, so the nginx of Debian is started on this machine in namespaces that are built from what the API server has:
//! user, groups, capabilities, the read-only image, and the volumes with their owners and modes.

mod pod;
mod spec;
mod volume;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dbt_controller_adapters_helm::{Security, ServerSettings};
use dbt_controller_domain::model::Credentials;
use dbt_controller_domain::ports::ChartInstaller as _;
use dbt_controller_port_contracts::fixtures::{self, fence};
use dbt_controller_tests::{Namespace, until};
use rustix::process::Signal;
use serde_json::{Value, json};

use self::pod::{PASSWD, Pod};
use self::spec::Container;
use crate::installer::installer;

/// The container's name.
const NAME: &str = "dbt-server-nginx-proxy";

/// Where the image's nginx writes its process id, today and in earlier versions.
const PID_FILES: [&str; 2] = ["/run/nginx.pid", "/var/run/nginx.pid"];

/// How long nginx waits for the dbt server here.
const PROXY_TIMEOUT: Duration = Duration::from_secs(2);

/// User and password as they are generated.
const GENERATED: (&str, &str) = ("dbt_server_agent_k3x9q", "Zb7Qh2LxT9vKc4RwN8sYf1GdM6pJ0eUa");

/// User and password as a person may choose them.
const CHOSEN: (&str, &str) = ("o'hara $USER", r#"pä:ß "q" 'x' $HOME \ %41 {{ . }} 日本 #1"#);

/// More bytes than nginx takes by itself, or keeps in memory.
const LARGE: usize = 8 << 20;
/// Of that many `x`.
const SHA256_OF_LARGE: &str = "0c77bc0a0795a93612d45256897456d0fcb24f151c44c150d07ecd03f4ef5168";

const READY: &str = "http://127.0.0.1:8080/ready";
const INVOCATIONS: &str = "http://127.0.0.1:8080/invocations";
/// Past nginx: the seconds of the slow requests that the dbt server is at work on.
const WAITING: &str = "http://127.0.0.1:8585/waiting";

#[tokio::test]
async fn hardened_nginx_serves_with_a_generated_login() {
    let namespace = Namespace::create().await;
    let container = container(Security::Hardened, GENERATED, &namespace).await;
    let mut pod = Pod::start(&container, PID_FILES[0], &namespace).await;
    assert_serves(&pod, GENERATED).await;
    assert_has_only_its_rights(&pod, &container).await;
    // What the image asks to be stopped by.
    assert_ends_after_its_requests(&mut pod, GENERATED, Signal::QUIT).await;
}

#[tokio::test]
async fn hardened_nginx_serves_with_a_chosen_login_and_the_older_pid_file() {
    let namespace = Namespace::create().await;
    let container = container(Security::Hardened, CHOSEN, &namespace).await;
    let mut pod = Pod::start(&container, PID_FILES[1], &namespace).await;
    assert_serves(&pod, CHOSEN).await;
    pod.signal(Signal::TERM);
    assert_eq!(pod.ended().await.code(), Some(0), "{}", pod.log());
}

#[tokio::test]
async fn legacy_nginx_serves_and_is_root() {
    let namespace = Namespace::create().await;
    let container = container(Security::Legacy, CHOSEN, &namespace).await;
    let mut pod = Pod::start(&container, PID_FILES[0], &namespace).await;
    assert_serves(&pod, CHOSEN).await;
    let users = pod.processes().iter().map(|process| status(process)["Uid"].clone()).collect::<Vec<_>>();
    assert_eq!(users[0], four(0));
    assert!(users.len() > 1 && users[1..].iter().all(|user| *user == four(101)), "the workers are not nginx: {users:?}");
    assert!(pod.writable().await.contains(&"/etc/nginx".to_owned()), "the image is read-only, which nobody asked for");
    assert_ends_after_its_requests(&mut pod, CHOSEN, Signal::QUIT).await;
}

/// Shows that the others can fail.
#[tokio::test]
async fn without_its_scratch_volumes_hardened_nginx_does_not_start() {
    let namespace = Namespace::create().await;
    let container = container(Security::Hardened, GENERATED, &namespace).await;
    for path in ["/var/cache/nginx", "/var/run"] {
        let mut without = container.clone();
        without.mounts.retain(|mount| mount.path != path);
        assert_eq!(without.mounts.len(), container.mounts.len() - 1, "nothing is mounted at {path}");
        let mut pod = Pod::launch(&without, PID_FILES[0], &namespace).await;
        assert_eq!(pod.ended().await.code(), Some(1), "{path}");
        assert!(pod.log().contains("Read-only file system"), "{path}: {}", pod.log());
    }
}

/// The container of a release that was made with these settings, as the API server has it.
async fn container(security: Security, (user, password): (&str, &str), namespace: &Namespace) -> Container {
    let settings = ServerSettings { security, proxy_timeout: PROXY_TIMEOUT, ..ServerSettings::default() };
    let mut desired = fixtures::request("proxied", Some("main")).namespace(namespace.name()).desired();
    desired.credentials = Credentials { user: user.to_owned(), password: password.into() };
    let installer = installer(namespace, settings).await;
    until("everything was read once", async || installer.synced().ok()).await;
    let revision = installer.begin(&desired, &fence()).await.unwrap();
    installer.apply(&revision, &fence()).await.unwrap();
    Container::of(&namespace.get("statefulset", desired.server.as_str()).await, NAME, PASSWD)
}

/// Everything that a caller can see of nginx.
async fn assert_serves(pod: &Pod, (user, password): (&str, &str)) {
    tokio::join!(
        assert_asks_for_the_login(pod, user, password),
        assert_hands_on(pod, user, password),
        assert_waits_as_long_as_it_should(pod, user, password),
    );
}

async fn assert_asks_for_the_login(pod: &Pod, user: &str, password: &str) {
    let ready = pod.curl(&["--request", "POST", "--header", "Content-Type: application/json", "--data", "{}", READY]).await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "{}"));

    let anonymous = pod.curl(&[INVOCATIONS]).await;
    assert_eq!((anonymous.status, anonymous.challenge.as_str()), (401, r#"Basic realm="dbt server""#));
    let cut = &password[..password.len() - 1];
    for wrong in [format!("{user}:{cut}"), format!("{user}:{password}x"), format!("x{user}:{password}"), format!("{user}:")] {
        assert_eq!(pod.curl(&["--user", &wrong, INVOCATIONS]).await.status, 401, "{wrong}");
    }
    // Only this one path is open.
    for path in ["/ready/", "/ready/x", "/", "/invocations/ready"] {
        assert_eq!(pod.curl(&[&format!("http://127.0.0.1:8080{path}")]).await.status, 401, "{path}");
    }
    let right = pod.curl(&["--user", &format!("{user}:{password}"), INVOCATIONS]).await;
    assert_eq!(right.status, 200, "{}", pod.log());
}

async fn assert_hands_on(pod: &Pod, user: &str, password: &str) {
    let login = format!("{user}:{password}");
    let body = format!("@{}", pod.file_of(LARGE));
    let headers = ["--header", "Host: server.example.com", "--header", "X-Forwarded-For: 192.0.2.7"];
    let posted = pod.curl(&[&["--user", &login, "--data-binary", &body, INVOCATIONS], headers.as_slice()].concat()).await;
    assert_eq!(posted.status, 200, "{}", pod.log());
    let arrived = parsed(&posted.body);
    assert_eq!((&arrived["method"], &arrived["path"], &arrived["bytes"]), (&json!("POST"), &json!("/invocations"), &json!(LARGE)));
    assert_eq!(arrived["sha256"], SHA256_OF_LARGE);
    for (name, value) in [
        ("host", "server.example.com"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "192.0.2.7, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(arrived["headers"][name], value, "{name}");
    }
    let answer = pod.curl(&["--user", &login, &format!("{INVOCATIONS}?padding={LARGE}")]).await;
    assert_eq!(parsed(&answer.body)["padding"].as_str().map(str::len), Some(LARGE));
}

async fn assert_waits_as_long_as_it_should(pod: &Pod, user: &str, password: &str) {
    let login = format!("{user}:{password}");
    let answer_after = async |seconds: u64| {
        let begin = Instant::now();
        let answer = pod.curl(&["--user", &login, &format!("{INVOCATIONS}?seconds={seconds}")]).await;
        (answer.status, begin.elapsed())
    };
    let ((status, _), (late, after)) = tokio::join!(answer_after(1), answer_after(30));
    assert_eq!((status, late), (200, 504));
    assert!((PROXY_TIMEOUT..5 * PROXY_TIMEOUT).contains(&after), "{after:?}");
    // One server that was late once is not a server that is gone.
    assert_eq!(answer_after(0).await.0, 200);
}

/// What nginx may do is what the pod's security context leaves, and that is nothing.
async fn assert_has_only_its_rights(pod: &Pod, container: &Container) {
    assert!(container.user != 0 && !container.writes_to_image, "{container:?}");
    let processes = pod.processes();
    assert!(processes.len() > 1, "there is no worker: {}", pod.log());
    for process in processes {
        let status = status(&process);
        assert_eq!((&status["Uid"], &status["Gid"]), (&four(container.user), &four(container.group)), "{process}");
        assert_eq!(status["Groups"], container.more_groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" "), "{process}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}: {process}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{process}");
    }
    let scratch = container.mounts.iter().filter(|mount| mount.is_scratch()).map(|mount| pod.resolved(&mount.path)).collect::<Vec<_>>();
    let writable = pod.writable().await;
    for path in &scratch {
        assert!(writable.contains(path), "{path} is a place to write to, and nginx may not");
    }
    let is_scratch = |path: &String| scratch.iter().any(|scratch| path == scratch || path.starts_with(&format!("{scratch}/")));
    let others: Vec<_> = writable.iter().filter(|path| !is_scratch(path)).collect();
    assert!(others.is_empty(), "nginx may write to {others:?}");
}

/// Told to end, nginx finishes what it has begun.
async fn assert_ends_after_its_requests(pod: &mut Pod, (user, password): (&str, &str), signal: Signal) {
    let login = format!("{user}:{password}");
    let url = format!("{INVOCATIONS}?seconds=1");
    let arguments = ["--user", &login, &url];
    let (answer, ()) = tokio::join!(pod.curl(&arguments), async {
        let at_work = async || parsed(&pod.curl(&[WAITING]).await.body);
        until("the request has arrived", async || at_work().await.as_array().unwrap().contains(&json!(1)).then_some(())).await;
        pod.signal(signal);
    });
    assert_eq!(answer.status, 200);
    assert_eq!(pod.ended().await.code(), Some(0), "{}", pod.log());
}

/// The fields of `/proc/<id>/status`. Users and groups are four: the real, the effective, the saved one, and that for files.
fn status(text: &str) -> BTreeMap<String, String> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, words)| (name.to_owned(), words.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// The same user or group four times.
fn four(id: u32) -> String {
    [id; 4].map(|id| id.to_string()).join(" ")
}

#[track_caller]
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:.200}"))
}

//! How the service gets to its cluster: by the token that is mounted into its pod, or by a context of a kubeconfig.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dbt_controller_tests::{Answer, HelmVersion, Namespace, TOKEN, until, until_within};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::command_engine::{home, search_path};
use crate::support::role;
use crate::support::site::{admin, body, body_with, deploy, serve};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// Becomes a program for which a folder is where Kubernetes mounts the credentials of a pod.
const IN_POD: &str = r#"set -eu
mount -t tmpfs tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$1" /var/run/secrets/kubernetes.io/serviceaccount
shift
exec "$@""#;

/// How long a client may go on with a token whose file was replaced: it reads it once a minute.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(75);

/// A service in a mount namespace of its own. It ends with this.
struct Pod {
    process: Child,
    client: Client,
    url: String,
    log: PathBuf,
}

impl Pod {
    /// Starts one with the credentials in a folder, and waits until it is ready.
    async fn start(namespace: &Namespace, credentials: &Path, logs: &TempDir) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes a mount namespace: run it as root");
        let direct = namespace.plane().kubeconfig();
        let (host, port) = direct.address().rsplit_once(':').unwrap();
        let own_port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let log = logs.path().join("log");
        let file = File::create(&log).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig=KILL", "unshare", "--mount", "sh", "-c", IN_POD, "sh"]).arg(credentials);
        command.arg(program()).arg("serve").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port), ("KUBERNETES_NAMESPACE", namespace.name())]);
        command.envs([("HOST", "127.0.0.1"), ("PORT", &own_port), ("SECRET_KEY", TOKEN), ("DEFAULT_TAG", "1.0.0")]);
        command.envs([("DEFAULT_CUSTOMER", "acme"), ("DEFAULT_DOMAIN", "example.com")]);
        let process = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).kill_on_drop(true).spawn().unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        let mut pod = Self { process, client, url: format!("http://127.0.0.1:{own_port}"), log };
        until("the service is ready", async || {
            if let Some(status) = pod.process.try_wait().unwrap() {
                panic!("it ended with {status}: {}", pod.log());
            }
            let answer = pod.client.get(format!("{}/health/readiness", pod.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        pod
    }

    async fn post(&self, body: &Value) -> Answer {
        Answer::to(self.client.post(format!("{}/api/v1/deployments", self.url)).bearer_auth(TOKEN).json(body)).await
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

/// The program under test, as `cargo xtask cluster test` hands it over.
#[expect(clippy::disallowed_methods, reason = "the tests have no settings but these")]
fn program() -> PathBuf {
    std::env::var_os("TIER_SERVICE").expect("TIER_SERVICE is set by `cargo xtask cluster test`").into()
}

/// Puts credentials into a folder, or others in their place, as a kubelet does: a link to all of them is replaced at once.
fn mount(folder: &TempDir, version: &str, namespace: &Namespace, token: &str) {
    let data = folder.path().join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token"), token).unwrap();
    fs::write(data.join("namespace"), namespace.name()).unwrap();
    fs::copy(namespace.plane().kubeconfig().authority(), data.join("ca.crt")).unwrap();
    symlink(version, folder.path().join("..next")).unwrap();
    fs::rename(folder.path().join("..next"), folder.path().join("..data")).unwrap();
    for file in ["token", "namespace", "ca.crt"] {
        // They are there from the first time on.
        let _ = symlink(format!("..data/{file}"), folder.path().join(file));
    }
}

/// A token of the service's account that ends with the Secret that it is bound to.
async fn bound_token(namespace: &Namespace, secret: &str) -> String {
    namespace.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}})).await;
    let bound = ["create", "token", "controller", "--bound-object-kind", "Secret", "--bound-object-name", secret];
    namespace.run(&bound).await.unwrap().trim().to_owned()
}

#[tokio::test]
async fn in_a_pod_it_goes_by_the_mounted_token_and_takes_up_the_next_one() {
    let namespace = Namespace::create().await;
    let _account = role::account(&namespace, role::shipped(&namespace).await).await;
    let (credentials, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = bound_token(&namespace, "first").await;
    mount(&credentials, "..1", &namespace, &first);
    let pod = Pod::start(&namespace, credentials.path(), &logs).await;
    let deployed = pod.post(&body(PROJECT)).await.expect(200).json();
    assert_eq!((&deployed["details"]["release_name"], &deployed["details"]["revision"]), (&json!(RELEASE), &json!(1)), "{deployed:#}");

    mount(&credentials, "..2", &namespace, &bound_token(&namespace, "second").await);
    namespace.delete("secret", "first").await;
    let folder = TempDir::new().unwrap();
    let outdated = namespace.plane().kubeconfig().with_token(&first).write(&folder);
    let outdated = namespace.plane().kubectl_with(&outdated).in_namespace(namespace.name());
    let is_refused =
        async || outdated.run(&["get", "pods"]).await.is_err_and(|refusal| refusal.message.contains("Unauthorized")).then_some(());
    until("the first token is not taken any more", is_refused).await;
    let changed = body_with(PROJECT, &json!({"tag": "2.0.0"}));
    let is_deployed = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (pod.post(&changed).await.status == 200).then_some(())
    };
    until_within(TAKEN_UP_WITHIN, "the second token is taken up", is_deployed).await;
}

/// A kubeconfig whose current context leads to nobody, and that has another one.
fn with_two_contexts(kubeconfig: &Path, folder: &TempDir) -> PathBuf {
    let mut both: Value = serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
    let context = both["contexts"][0].clone();
    let nowhere = json!({"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}});
    both["clusters"].as_array_mut().unwrap().push(nowhere);
    let contexts = json!([
        {"name": "lost", "context": {"cluster": "nowhere", "user": context["context"]["user"]}},
        {"name": "the-right-one", "context": context["context"]},
    ]);
    both["contexts"] = contexts;
    both["current-context"] = json!("lost");
    let file = folder.path().join("two-contexts");
    fs::write(&file, both.to_string()).unwrap();
    file
}

#[tokio::test]
async fn a_context_that_is_not_the_current_one_can_be_chosen() {
    let namespace = Namespace::create().await;
    let folder = TempDir::new().unwrap();
    let kubeconfig = with_two_contexts(&admin(&namespace, &folder), &folder);
    let home = home(&namespace, HelmVersion::V4);
    let (context, path) = (("KUBERNETES_CONTEXT", "the-right-one"), search_path(&home));
    let by_helm = [context, ("HELM_ENGINE", "command"), ("PATH", &path), ("HOME", home.path().to_str().unwrap())];
    for (at, settings) in [&[context][..], &by_helm].into_iter().enumerate() {
        let service = serve(&namespace, &kubeconfig, settings).await;
        let body = body_with(PROJECT, &json!({"tag": format!("{at}.0.0")}));
        assert_eq!(deploy(&service, &body).await["revision"], at + 1);
    }
}

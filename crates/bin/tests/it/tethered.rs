//! `tethered`: a program that does not outlive the process that started it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dbt-api-service-controller");

/// Whether a process is there and does something.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // `<pid> (<name>) <state> …`; one that has ended and whose parent has not looked is a zombie.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn assert_ends(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_is_killed_with_the_process_that_started_it() {
    let script = format!("'{PROGRAM}' tethered $$ sh -c 'echo $$; exec sleep 600' & wait");
    let mut parent = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let pid = pid.trim();
    assert!(is_alive(pid));

    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_ends(pid);
}

#[test]
fn it_does_not_begin_when_that_process_is_gone_already() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let output = Command::new(PROGRAM).args(["tethered", &gone.id().to_string(), "echo", "begun"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(127), [].as_slice()));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, format!("error: `echo` cannot be started: the process {} that started this one has ended\n", gone.id()));
}

#[test]
fn the_program_gets_its_arguments_and_its_exit_code_is_told() {
    let own = std::process::id().to_string();
    let output =
        Command::new(PROGRAM).args(["tethered", &own, "sh", "-c", "echo \"$0 $@\"; exit 7", "a", "--help", "-x"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), b"a --help -x\n".as_slice()));
    let output = Command::new(PROGRAM).args(["tethered", &own, "no-such-program"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let wanted = "error: `no-such-program` cannot be started: No such file or directory (os error 2)\n";
    assert_eq!((output.status.code(), told.as_str()), (Some(127), wanted));
}

/// A kubeconfig of a cluster that is nowhere.
const NOWHERE: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "a",
    "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}"#;

#[test]
fn the_service_starts_its_helm_so() {
    let home = tempfile::TempDir::new().unwrap();
    // A link: a program that was just written cannot be started while another thread starts one.
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hanging-helm.sh");
    std::os::unix::fs::symlink(script, home.path().join("helm")).unwrap();
    let kubeconfig = home.path().join("kubeconfig");
    std::fs::write(&kubeconfig, NOWHERE).unwrap();
    let search_path = format!("{}:/usr/bin:/bin", home.path().display());
    let settings = [
        ("HELM_ENGINE", "command"),
        ("PATH", &search_path),
        ("HOME", home.path().to_str().unwrap()),
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("SECRET_KEY", "a-token-of-the-tests"),
        ("DEFAULT_CUSTOMER", "acme"),
        ("DEFAULT_DOMAIN", "example.com"),
        ("DEFAULT_TAG", "1.0.0"),
        ("PORT", "0"),
    ];
    let mut service =
        Command::new(PROGRAM).arg("serve").env_clear().envs(settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let noted = loop {
        match std::fs::read_to_string(home.path().join("pid")) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => assert!(Instant::now() < deadline && service.try_wait().unwrap().is_none(), "helm was not started"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    service.kill().unwrap();
    service.wait().unwrap();
    assert_ends(noted.trim());
}

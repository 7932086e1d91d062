//! What a run of helm gets, and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dbt_controller_domain::model::Redactor;
use tokio::time::{Instant, sleep, timeout};

use super::super::process::KEPT_OUTPUT;
use super::*;

fn fence() -> Fence {
    Fence::new(Duration::from_secs(30), Instant::now())
}

fn upgrade(helm_chart: &Path) -> Arguments {
    arguments::upgrade(&release(), helm_chart, "not yet", Version { major: 3, minor: 22 })
}

async fn run(helm: &Helm, input: &str) -> Result<(), InstallerError> {
    helm.run(&upgrade("/tmp/chart".as_ref()), input, str::to_owned, &fence()).await
}

/// Whether a process is there and does something.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // `<pid> (<name>) <state> …`; one that has ended and whose parent has not looked is a zombie.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for a note of the program that plays helm.
async fn noted(fake: &Fake, name: &str) -> String {
    loop {
        match std::fs::read_to_string(fake.0.path().join(name)) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// A helm that has started a child and never ends.
const HANGS: &str = "sleep 600 &\necho $! >\"$HOME/child\"\necho $$ >\"$HOME/self\"\nwait\n";

async fn assert_both_end(fake: &Fake) {
    for pid in [noted(fake, "self").await, noted(fake, "child").await] {
        let ended = timeout(Duration::from_secs(10), async {
            while is_alive(&pid) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        ended.await.expect("it goes on");
    }
}

#[tokio::test]
async fn it_gets_arguments_without_a_shell_and_values_on_standard_input() {
    let fake = Fake::new("v3.22.0").plan("exit 0");
    let helm = fake.helm().await;
    let awkward = "a 'b' \"c\" $HOME `d` ; e *";
    let arguments = arguments::upgrade(&release(), "/tmp/chart".as_ref(), awkward, Version { major: 3, minor: 22 });
    helm.run(&arguments, r#"{"a":"$HOME"}"#, str::to_owned, &fence()).await.unwrap();
    assert_eq!(fake.noted("arguments"), arguments.0.join("\n") + "\n");
    assert_eq!(fake.noted("input"), r#"{"a":"$HOME"}"#);
}

#[tokio::test]
async fn it_gets_the_context_and_no_more_of_the_environment_than_it_needs() {
    let fake = Fake::new("v3.22.0").plan("exit 0");
    let mut access = fake.access();
    access.environment.push(("KUBECONFIG".to_owned(), "/tmp/kubeconfig".to_owned()));
    access.context = Some("staging".to_owned());
    run(&Helm::find(access).await.unwrap(), "").await.unwrap();
    assert!(fake.noted("arguments").ends_with("\n--kube-context=staging\n"));
    let environment = fake.noted("environment");
    let names: Vec<_> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // A shell adds some of its own.
    let names: Vec<_> = names.into_iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    assert_eq!(names, ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME", "KUBECACHEDIR", "KUBECONFIG", "PATH"]);
}

#[tokio::test]
async fn its_chart_is_in_a_folder_that_nobody_else_may_look_into_and_that_goes() {
    let folder = super::super::folder::Folder::create().unwrap();
    let path = folder.chart().parent().unwrap().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let chart = std::fs::read_to_string(folder.chart().join("Chart.yaml")).unwrap();
    assert!(chart.contains("name: dbt-server"), "{chart}");
    assert!(folder.chart().join("templates/manifests.yaml").is_file());
    drop(folder);
    assert!(!path.exists());
}

#[tokio::test]
async fn it_ends_with_its_children_when_nobody_waits_any_more() {
    let fake = Fake::new("v3.22.0").plan(HANGS);
    let helm = fake.helm().await;
    tokio::select! {
        ended = run(&helm, "{}") => panic!("{ended:?}"),
        _ = noted(&fake, "self") => {}
    }
    assert_both_end(&fake).await;
}

#[tokio::test]
async fn it_ends_with_its_children_when_the_fence_falls() {
    let fake = Fake::new("v3.22.0").plan(HANGS);
    let (helm, fence) = (fake.helm().await, fence());
    let arguments = upgrade("/tmp/chart".as_ref());
    let (ended, _) = tokio::join!(helm.run(&arguments, "", str::to_owned, &fence), async {
        noted(&fake, "self").await;
        fence.take_down();
    });
    assert!(matches!(ended, Err(InstallerError::Fenced(_))), "{ended:?}");
    assert_both_end(&fake).await;
}

#[tokio::test]
async fn it_is_not_started_behind_a_fence_that_is_down() {
    let fake = Fake::new("v3.22.0").plan("exit 0");
    let (helm, fence) = (fake.helm().await, fence());
    fence.take_down();
    let ended = helm.run(&upgrade("/tmp/chart".as_ref()), "", str::to_owned, &fence).await;
    assert!(matches!(ended, Err(InstallerError::Fenced(_))), "{ended:?}");
    assert!(!fake.0.path().join("arguments").exists());
}

/// While it is replaced on the disk, for example.
#[tokio::test]
async fn a_helm_that_cannot_be_started_is_tried_again_also_through_another_program() {
    for starter in [vec![], vec!["env".to_owned()]] {
        let fake = Fake::new("v3.22.0").plan("exit 0");
        let helm = Helm::find(HelmAccess { starter, ..fake.access() }).await.unwrap();
        run(&helm, "").await.unwrap();
        std::fs::remove_file(fake.0.path().join("helm")).unwrap();
        let ended = run(&helm, "").await;
        assert!(matches!(ended, Err(InstallerError::Unavailable(_))), "{ended:?}");
    }
}

#[tokio::test]
async fn it_is_given_up_after_some_calls_worth_of_time() {
    let fake = Fake::new("v3.22.0").plan(HANGS);
    let helm = fake.helm().await;
    let fence = Fence::new(Duration::from_millis(600), Instant::now());
    let renewed = async {
        loop {
            fence.renewed(Instant::now());
            sleep(Duration::from_millis(50)).await;
        }
    };
    let arguments = upgrade("/tmp/chart".as_ref());
    let ended = tokio::select! {
        ended = helm.run(&arguments, "", str::to_owned, &fence) => ended,
        () = renewed => unreachable!(),
    };
    assert!(matches!(ended, Err(InstallerError::Unavailable(_))), "{ended:?}");
    assert_both_end(&fake).await;
}

#[tokio::test]
async fn only_the_end_of_what_it_writes_is_kept() {
    let plan = "i=0; while [ $i -lt 40000 ]; do echo 'WARNING: nothing of note' >&2; i=$((i+1)); done; echo 'Error: at last' >&2; exit 1";
    let fake = Fake::new("v3.22.0").plan(plan);
    let words = std::sync::Mutex::new(String::new());
    let clean = |text: &str| {
        text.clone_into(&mut words.lock().unwrap());
        text.to_owned()
    };
    let ended = fake.helm().await.run(&upgrade("/tmp/chart".as_ref()), "", clean, &fence()).await;
    assert_eq!(ended.unwrap_err().to_string(), "unexpected: helm: at last");
    let kept = words.lock().unwrap().clone();
    assert!(kept.len() <= KEPT_OUTPUT && kept.len() > KEPT_OUTPUT - 100, "{}", kept.len());
    assert!(kept.starts_with("WARNING: nothing"), "no half of a line: {kept:.60}");
}

#[tokio::test]
async fn its_words_are_redacted_before_they_become_an_error() {
    let fake = Fake::new("v3.22.0").plan("echo 'Error: hunter2-hunter2 is wrong' >&2; exit 1");
    let redactor = Redactor::new(["hunter2-hunter2".into()]);
    let helm = fake.helm().await;
    let ended = helm.run(&upgrade("/tmp/chart".as_ref()), "", |words| redactor.redact(words), &fence()).await;
    let error = ended.unwrap_err();
    assert_eq!(error.to_string(), "unexpected: helm: *** is wrong");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_helm_that_does_not_read_its_input_to_the_end_says_why() {
    let fake = Fake::new("v3.22.0").plan("echo 'Error: no' >&2; exit 1");
    let error = run(&fake.helm().await, &"x".repeat(1 << 20)).await.unwrap_err();
    assert_eq!(error.to_string(), "unexpected: helm: no");
}

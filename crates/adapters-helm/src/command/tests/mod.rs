//! The engine's side of helm, with a program that plays it.

mod faults;
mod running;

use std::path::PathBuf;

use dbt_controller_domain::model::ReleaseKey;
use tempfile::TempDir;

use super::arguments::{self, Arguments};
use super::version::Version;
use super::*;

/// A folder with a `helm`, which is at the same time its home.
struct Fake(TempDir);

impl Fake {
    fn new(version: &str) -> Self {
        let folder = TempDir::new().unwrap();
        // A link: a program that was just written cannot be started while another thread starts one.
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/command/tests/helm.sh");
        std::os::unix::fs::symlink(script, folder.path().join("helm")).unwrap();
        let fake = Self(folder);
        fake.write("version", version);
        fake
    }

    /// What it does when it is called.
    fn plan(self, plan: &str) -> Self {
        self.write("plan", plan);
        self
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn access(&self) -> HelmAccess {
        let home = self.0.path().to_str().unwrap();
        let environment = [("HOME", home.to_owned()), ("PATH", format!("{home}:/usr/bin:/bin"))];
        HelmAccess { environment: environment.map(|(name, value)| (name.to_owned(), value)).into(), ..HelmAccess::default() }
    }

    async fn helm(&self) -> Helm {
        Helm::find(self.access()).await.unwrap()
    }
}

fn release() -> ReleaseKey {
    ReleaseKey { namespace: "team-a".parse().unwrap(), name: "dbt-server-a".parse().unwrap() }
}

fn texts(arguments: &Arguments) -> Vec<&str> {
    arguments.0.iter().map(String::as_str).collect()
}

#[test]
fn helm_4_is_told_to_apply_by_the_server_and_helm_3_knows_no_such_flag() {
    let [three, four] = [(3, 22), (4, 3)].map(|(major, minor)| Version { major, minor });
    let upgrade = |version| arguments::upgrade(&release(), "/tmp/x/chart".as_ref(), "not yet", version);
    let common = [
        "upgrade",
        "dbt-server-a",
        "/tmp/x/chart",
        "--install",
        "--values=-",
        "--description=not yet",
        "--history-max=10",
        "--no-hooks",
        "--namespace=team-a",
    ];
    assert_eq!(texts(&upgrade(three)), common);
    assert_eq!(texts(&upgrade(four)), [common.as_slice(), &["--server-side=true", "--force-conflicts"]].concat());

    let roll_back = |version| arguments::roll_back(&release(), RevisionNumber(7), version);
    let common = ["rollback", "dbt-server-a", "7", "--history-max=10", "--no-hooks", "--namespace=team-a"];
    assert_eq!(texts(&roll_back(three)), common);
    assert_eq!(texts(&roll_back(four)), [common.as_slice(), &["--server-side=true", "--force-conflicts"]].concat());

    let uninstall = arguments::uninstall(&release());
    let wanted = ["uninstall", "dbt-server-a", "--ignore-not-found", "--cascade=background", "--no-hooks", "--namespace=team-a"];
    assert_eq!(texts(&uninstall), wanted);
}

#[tokio::test]
async fn the_version_is_asked_first() {
    assert_eq!(Fake::new("v4.3.1\n").helm().await.version(), "4.3");
    let refused = Helm::find(Fake::new("v3.2.0\n").access()).await.unwrap_err();
    let told = "the program `helm` cannot be used: it is Helm 3.2; put Helm 3.14 or later, or Helm 4, on the PATH as `helm`, \
                or set HELM_ENGINE=native";
    assert_eq!(refused.to_string(), told);
}

#[tokio::test]
async fn a_missing_program_is_told_with_its_remedy() {
    let empty = TempDir::new().unwrap();
    let environment = vec![("PATH".to_owned(), empty.path().to_str().unwrap().to_owned())];
    let access = HelmAccess { environment, ..HelmAccess::default() };
    let told = Helm::find(access).await.unwrap_err().to_string();
    assert!(told.starts_with("the program `helm` cannot be run: `helm` cannot be started: "), "{told}");
    assert!(told.ends_with("or set HELM_ENGINE=native"), "{told}");
}

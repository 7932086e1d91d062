//! What helm is called with.

use std::path::Path;

use dbt_controller_domain::model::{ReleaseKey, RevisionNumber};

use super::version::Version;

/// As many revisions as the native engine keeps.
const HISTORY: &str = "--history-max=10";
/// Releases of ours have no hooks. Those of others may wait for Jobs, and the native engine does not run them either.
const NO_HOOKS: &str = "--no-hooks";
/// Ownership as the native engine takes it, also of what Helm 3 has written. Without the first, Helm 4 goes on as the release began.
const BY_THE_SERVER: [&str; 2] = ["--server-side=true", "--force-conflicts"];

/// The arguments of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments(pub(super) Vec<String>);

/// Writes a revision with values that come on standard input. Not `--wait`: readiness is this service's business.
pub(super) fn upgrade(release: &ReleaseKey, chart: &Path, description: &str, version: Version) -> Arguments {
    let chart = chart.to_string_lossy();
    let description = format!("--description={description}");
    let mut arguments = Arguments::of("upgrade", release, &[&chart, "--install", "--values=-", &description, HISTORY, NO_HOOKS]);
    arguments.apply_by_the_server(version);
    arguments
}

/// Takes the content of an earlier revision back.
pub(super) fn roll_back(release: &ReleaseKey, to: RevisionNumber, version: Version) -> Arguments {
    let mut arguments = Arguments::of("rollback", release, &[&to.to_string(), HISTORY, NO_HOOKS]);
    arguments.apply_by_the_server(version);
    arguments
}

/// Removes objects and records. The pods go by themselves.
pub(super) fn uninstall(release: &ReleaseKey) -> Arguments {
    Arguments::of("uninstall", release, &["--ignore-not-found", "--cascade=background", NO_HOOKS])
}

/// Prints the version. Asks no cluster.
pub(super) fn version() -> Arguments {
    Arguments(["version", "--template={{.Version}}"].map(str::to_owned).into())
}

impl Arguments {
    fn of(command: &str, release: &ReleaseKey, more: &[&str]) -> Self {
        // Names of releases and namespaces begin with a letter or digit, so none is taken for a flag.
        let namespace = format!("--namespace={}", release.namespace);
        let all = [command, release.name.as_str()].into_iter().chain(more.iter().copied()).chain([namespace.as_str()]);
        Self(all.map(str::to_owned).collect())
    }

    fn apply_by_the_server(&mut self, version: Version) {
        if version.applies_on_the_server() {
            self.0.extend(BY_THE_SERVER.map(str::to_owned));
        }
    }
}

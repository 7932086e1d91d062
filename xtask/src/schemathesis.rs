//! `schemathesis`: does the service do what its published document says, and nothing that the document does not say?

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::probe::Probe;
use crate::project::{self, Profile};
use crate::python;
use crate::service::Service;

/// The version from PyPI.
const VERSION: &str = "4.32.5";

/// What keeps a run short, and (the one worker) clear of an error of CPython 3.11 when two threads parse at once. What stands later on the
/// command line wins, so that a caller can ask for more.
const BOUNDS: [&str; 8] = ["--max-examples", "25", "--max-failures", "20", "--request-timeout", "15", "--workers", "1"];

/// Servers get ready at once and nothing is held back: the API is what is looked at. Refused requests are what is wanted, so no warnings.
const SETTINGS: [(&str, &str); 6] = [
    ("LOG_LEVEL", "error"),
    ("EMBEDDED_READY_AFTER", "0"),
    ("PULL_ERROR_WINDOW", "0"),
    ("REQUESTS_PER_SECOND", "1000000"),
    ("MAX_QUEUED_OPERATIONS", "100000"),
    // hooks.py asks for this size.
    (
        "SERVER_SIZES",
        r#"{"small": {"cpu_request": "1", "cpu_limit": "1", "memory_request": "1Gi", "memory_limit": "1Gi", "storage_size": "1Gi"}}"#,
    ),
];

/// Runs all checks with a token, then without one, while somebody keeps deploying.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let schemathesis = python::install("schemathesis", VERSION)?;
    let program = project::build_service(Profile::Dev)?;
    // Each run has a service of its own, so that a finding can be seen again. Both are run, whatever the first one finds.
    let with_token = check(&schemathesis, &program, arguments, true).context("schemathesis found something with a token");
    let without_token = check(&schemathesis, &program, arguments, false).context("schemathesis found something without a token");
    with_token.and(without_token)
}

fn check(schemathesis: &Path, program: &Path, arguments: &[String], with_token: bool) -> anyhow::Result<()> {
    let service = Service::start(program, &SETTINGS)?;
    let mut command = Command::new(schemathesis);
    // The configuration is found in the folder, and its hooks beside it.
    command.current_dir(project::root().join("xtask/schemathesis"));
    // What it would leave behind there stays away, or in the ignored folder.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("HYPOTHESIS_STORAGE_DIRECTORY", project::tools().join("hypothesis"));
    command.args(["run", &format!("{}/openapi.json", service.url)]).args(BOUNDS);
    command.args(["--generation-deterministic", "--no-color"]);
    if with_token {
        command.args(["--header", &format!("Authorization: Bearer {}", service.token)]);
    } else {
        // Who has no token is told so (401) before anything is said about the method (405), also where reading needs none.
        command.args(["--exclude-checks", "unsupported_method"]);
    }
    let probe = Probe::start(&service);
    let found = project::run(command.args(arguments));
    let rounds = probe.end();
    found?;
    let rounds = rounds?;
    #[expect(clippy::print_stdout, reason = "what a developer wants to know")]
    let () = println!("meanwhile a deployment was made, read and deleted {rounds} times");
    Ok(())
}

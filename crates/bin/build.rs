//! Tells the program which build it is: `/info` and `--version` show it, and its tests read the dependencies of the same target.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    // A commit is the only thing that changes what is told; without the file there is nothing to look at again.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit =
        variable("BUILD_COMMIT").or_else(|| git(&["log", "-1", "--format=%h of %cs"])).unwrap_or_else(|| "unknown commit".to_owned());
    let target = variable("TARGET").unwrap_or_default();
    let compiler = variable("RUSTC").and_then(|rustc| output(Command::new(rustc).arg("--version"))).unwrap_or_default();
    println!("cargo::rustc-env=BUILD={commit}, {compiler}, {target}");
    println!("cargo::rustc-env=BUILD_TARGET={target}");
}

#[expect(clippy::disallowed_methods, reason = "cargo and the maker of an image talk to a build script by variables")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

//! `prove fuzz`: AFL++, which is guided by coverage and works with the stable compiler (`cargo afl`).
//!
//! The targets are in `fuzz/`, a workspace of its own, since everything in it is built with instrumentation. What is worth keeping of a
//! run goes into `fuzz/corpus/<target>` by hand; `cargo test` replays every file there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::project;

/// The version from crates.io; `fuzz/Cargo.toml` asks for the same.
const VERSION: &str = "0.18.2";

/// What is fuzzed.
const TARGETS: [&str; 4] = ["names", "record", "manifest", "body"];

/// How long, and what.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seconds each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Only this one of names, record, manifest and body
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// Builds the targets and runs each. Fails when one crashed or hung.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let afl = install()?;
    let folder = project::root().join("fuzz");
    // Not `--locked`: what a crate of ours needs anew is not in the lock file of this workspace, which keeps the rest as it is.
    project::run(afl.command(&folder).args(["afl", "build", "--release"]))?;
    let mut found = Vec::new();
    for target in TARGETS.iter().filter(|target| arguments.target.as_deref().is_none_or(|wanted| wanted == **target)) {
        found.extend(fuzz(&afl, &folder, target, arguments.seconds)?);
    }
    if !found.is_empty() {
        bail!("inputs that crash or hang:\n{}", found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

fn fuzz(afl: &Afl, folder: &Path, target: &str, seconds: u64) -> anyhow::Result<Vec<PathBuf>> {
    let output = project::root().join(".tools/fuzz").join(target);
    if output.exists() {
        fs::remove_dir_all(&output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    fs::create_dir_all(&output)?;
    let mut command = afl.command(folder);
    command.args(["afl", "fuzz", "-i"]).arg(folder.join("corpus").join(target)).arg("-o").arg(&output);
    // Bodies and records of the size of a Secret.
    command.args(["-V", &seconds.to_string(), "-G", "1048576", "-t", "2000"]);
    command.arg(folder.join("target/release").join(target));
    project::run(&mut command)?;
    #[expect(clippy::print_stdout, reason = "what a developer wants to know")]
    let () = println!("{target}: {}", figures(&output.join("default/fuzzer_stats"))?);
    let mut found = Vec::new();
    for kind in ["crashes", "hangs"] {
        for entry in fs::read_dir(output.join("default").join(kind))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("id:")) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// How far a run came, in AFL's words.
fn figures(stats: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(stats).with_context(|| format!("cannot read {}", stats.display()))?;
    let wanted = ["execs_done", "corpus_count", "edges_found", "saved_crashes", "saved_hangs"];
    let figure = |line: &str| {
        let (name, value) = line.split_once(':')?;
        wanted.contains(&name.trim()).then(|| format!("{} {}", name.trim(), value.trim()))
    };
    Ok(text.lines().filter_map(figure).collect::<Vec<_>>().join(", "))
}

/// An installed `cargo afl`.
struct Afl {
    folder: PathBuf,
}

impl Afl {
    /// Cargo, which finds `cargo afl`, in this folder.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join("bin/cargo-afl"));
        command.current_dir(folder);
        // AFL++ installs its runtime where XDG says.
        command.env("XDG_DATA_HOME", self.folder.join("data"));
        // The machine is not ours to tune: how it stores core dumps and governs its processors.
        command.env("AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES", "1").env("AFL_SKIP_CPUFREQ", "1").env("AFL_NO_UI", "1");
        command.env("AFL_NO_AFFINITY", "1");
        command
    }
}

/// Installs it, unless it is there. It builds AFL++ with the C compiler of the machine.
fn install() -> anyhow::Result<Afl> {
    let afl = Afl { folder: project::root().join(".tools").join(format!("cargo-afl-{VERSION}")) };
    let complete = afl.folder.join("complete");
    if complete.exists() {
        return Ok(afl);
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["install", "--locked", "--force", "--version", VERSION, "--root"]).arg(&afl.folder).arg("cargo-afl");
    project::run(&mut cargo)?;
    project::run(afl.command(project::root()).args(["afl", "config", "--build", "--force"]))?;
    fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    Ok(afl)
}

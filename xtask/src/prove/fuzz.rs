//! `prove fuzz`: AFL++, which is guided by coverage and works with the stable compiler (`cargo afl`).
//!
//! The targets are in `fuzz/`, a workspace of its own, since everything in it is built with instrumentation. What is worth keeping of a
//! run goes into `fuzz/corpus/<target>` by hand; `cargo test` replays every file there. What a run found is moved to
//! `.tools/fuzz/findings/<target>/<when>` by the next one, and is never deleted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::ScopedJoinHandle;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;

use crate::project;

/// The version from crates.io; `fuzz/Cargo.toml` asks for the same.
const VERSION: &str = "0.18.2";

/// What is fuzzed.
const TARGETS: [&str; 5] = ["names", "record", "manifest", "operations", "body"];

/// The folders in which AFL++ keeps inputs that crash or hang.
const KINDS: [&str; 2] = ["crashes", "hangs"];

/// How long, and what.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seconds each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// What AFL++'s choices depend on; how far it comes depends on the machine too
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this one of names, record, manifest, operations and body
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
    /// Writes the figures into docs/reliability.md
    #[arg(long, conflicts_with = "target")]
    record: bool,
}

/// How one target's run ended.
struct Run {
    target: &'static str,
    /// The names and values of AFL++'s `fuzzer_stats`.
    stats: BTreeMap<String, String>,
    /// The inputs that crash or hang.
    found: Vec<PathBuf>,
}

/// Builds the targets and runs each, as many at a time as there are cores. Fails when one crashed or hung.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let afl = install()?;
    let folder = project::root().join("fuzz");
    // Not `--locked`: what a crate of ours needs anew is not in the lock file of this workspace, which keeps the rest as it is.
    project::run(afl.command(&folder).args(["afl", "build", "--release"]))?;
    let targets: Vec<_> = TARGETS.into_iter().filter(|target| options.target.as_deref().is_none_or(|wanted| wanted == *target)).collect();
    let mut runs = Vec::new();
    for targets in targets.chunks(std::thread::available_parallelism()?.get()) {
        runs.extend(std::thread::scope(|scope| {
            let (afl, folder) = (&afl, &folder);
            let threads: Vec<_> = targets.iter().map(|target| scope.spawn(move || fuzz(afl, folder, target, options))).collect();
            threads.into_iter().map(joined).collect::<anyhow::Result<Vec<_>>>()
        })?);
    }
    let table = table(&runs, options);
    #[expect(clippy::print_stdout, reason = "what a developer wants to know")]
    let () = println!("{table}");
    let found: Vec<_> = runs.iter().flat_map(|run| run.found.iter().map(|path| advice(run.target, path))).collect();
    if !found.is_empty() {
        bail!("inputs that crash or hang:\n{}", found.join("\n"));
    }
    if options.record {
        super::record("prove fuzz", &table)?;
    }
    Ok(())
}

/// What to do with an input that crashes or hangs.
fn advice(target: &str, path: &Path) -> String {
    format!("{}\n  when it is mended, add it to fuzz/corpus/{target}, which `cargo test` replays", path.display())
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("whoever ran a target has panicked"))?
}

fn fuzz(afl: &Afl, folder: &Path, target: &'static str, options: &Options) -> anyhow::Result<Run> {
    let tools = project::root().join(".tools/fuzz");
    let output = tools.join(target);
    if output.exists() {
        put_aside(&output, &tools.join("findings").join(target).join(now()))?;
        fs::remove_dir_all(&output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    fs::create_dir_all(&output)?;
    let mut command = afl.command(folder);
    command.args(["afl", "fuzz", "-i"]).arg(folder.join("corpus").join(target)).arg("-o").arg(&output);
    // Bodies and records of the size of a Secret.
    command.args(["-V", &options.seconds.to_string(), "-s", &options.seed.to_string(), "-G", "1048576", "-t", "2000"]);
    command.arg(folder.join("target/release").join(target));
    project::run(&mut command)?;
    Ok(Run { target, stats: stats(&output.join("default/fuzzer_stats"))?, found: findings(&output)? })
}

/// The inputs that crash or hang, of a run that wrote there. One that was stopped early may have no folders for them.
fn findings(output: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in KINDS.map(|kind| output.join("default").join(kind)).iter().filter(|folder| folder.exists()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("id:")) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Moves what an earlier run found to where no run deletes it.
#[expect(clippy::print_stdout, reason = "whoever looks for a finding has to know where it went")]
fn put_aside(output: &Path, folder: &Path) -> anyhow::Result<()> {
    for path in findings(output)? {
        let to = folder.join(path.strip_prefix(output.join("default"))?);
        let kind = to.parent().context("a finding lies in a folder")?;
        fs::create_dir_all(kind).with_context(|| format!("cannot make {}", kind.display()))?;
        fs::rename(&path, &to).with_context(|| format!("cannot move {} to {}", path.display(), to.display()))?;
        println!("found by an earlier run, and kept: {}", to.display());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what is put aside tells when")]
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// What AFL++ writes of a run: a name, a colon and a value in each line.
fn stats(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let stat = |(name, value): (&str, &str)| (name.trim().to_owned(), value.trim().to_owned());
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(stat).collect())
}

/// How far the runs came, in Markdown.
fn table(runs: &[Run], Options { seconds, seed, .. }: &Options) -> String {
    let mut text = format!("{seconds} s each on one core, from `fuzz/corpus`, seed {seed}.\n\n");
    text.push_str(
        "| Target | Inputs tried | Inputs kept | Edges reached | Crashes | Hangs |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Run { target, stats, .. } in runs {
        let figure = |name: &str| stats.get(name).map_or("unknown", String::as_str);
        let figures = ["execs_done", "corpus_count", "edges_found", "saved_crashes", "saved_hangs"].map(figure);
        text.push_str(&format!("| {target} | {} |\n", figures.join(" | ")));
    }
    text
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{findings, put_aside};

    #[test]
    fn what_an_earlier_run_found_is_kept() {
        let tools = TempDir::new().unwrap();
        let (output, folder) = (tools.path().join("body"), tools.path().join("findings/body/then"));
        put_aside(&output, &folder).unwrap();
        assert!(!folder.exists(), "nothing was found");
        for (kind, text) in [("crashes", "crash"), ("hangs", "hang")] {
            fs::create_dir_all(output.join("default").join(kind)).unwrap();
            fs::write(output.join("default").join(kind).join("id:000000"), text).unwrap();
            fs::write(output.join("default").join(kind).join("README.txt"), "").unwrap();
        }
        assert_eq!(findings(&output).unwrap().len(), 2);
        put_aside(&output, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("crashes/id:000000")).unwrap(), "crash");
        assert_eq!(fs::read_to_string(folder.join("hangs/id:000000")).unwrap(), "hang");
        assert!(findings(&output).unwrap().is_empty() && !folder.join("hangs/README.txt").exists());
    }
}

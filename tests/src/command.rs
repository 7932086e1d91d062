//! Programs that are run to their end.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A program that ended with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub message: String,
}

/// Runs a program and returns what it wrote to standard output.
pub(crate) async fn run(command: &mut Command, input: Option<&str>) -> Result<String, Refusal> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    if let (Some(mut stdin), Some(text)) = (process.stdin.take(), input) {
        // A program that does not read it to its end says why by itself.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let output = process.wait_with_output().await.unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(Refusal { code: output.status.code(), message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

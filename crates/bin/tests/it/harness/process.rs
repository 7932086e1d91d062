//! The program, run to its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with these settings in its environment and nothing else.
pub(crate) fn program(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbt-api-service-controller"));
    command.args(arguments).env_clear().envs(settings.iter().copied()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Outcome {
    let mut process = program(arguments, settings).spawn().unwrap();
    let stdout = read(process.stdout.take().unwrap());
    let stderr = read(process.stderr.take().unwrap());
    let begin = Instant::now();
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() < DEADLINE => std::thread::sleep(Duration::from_millis(5)),
            None => {
                process.kill().unwrap();
                panic!("{arguments:?} does not end; it wrote {:?} and {:?}", stdout.join(), stderr.join());
            }
        }
    };
    Outcome { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Reads a stream to its end, so that the program never waits for a reader.
fn read(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
}

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{GRACE, last_lines, runs, start, start_again, stop, was_started, writers};

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    folder
}

#[test]
fn a_program_runs_until_it_is_stopped() {
    let folder = folder();
    assert!(!was_started(folder.path(), "sleep"));
    assert!(!runs(folder.path(), "sleep"));
    start(Command::new("/bin/sleep").arg("60"), folder.path(), "sleep").unwrap();
    assert!(was_started(folder.path(), "sleep"));
    assert!(runs(folder.path(), "sleep"));
    assert!(stop(folder.path(), "sleep", GRACE).unwrap());
    assert!(!runs(folder.path(), "sleep"));
    assert!(!stop(folder.path(), "sleep", GRACE).unwrap(), "stopped twice");
}

#[test]
fn a_program_is_started_again_with_the_same_words() {
    let folder = folder();
    start(Command::new("/bin/sleep").args(["30", "31"]), folder.path(), "sleep").unwrap();
    let first = writers(folder.path(), "sleep");
    start_again(folder.path(), "sleep").unwrap();
    let second = writers(folder.path(), "sleep");
    assert_ne!(first, second);
    let line = fs::read_to_string(format!("/proc/{}/cmdline", second[0].as_raw_nonzero())).unwrap();
    assert_eq!(line, "/bin/sleep\x0030\x0031\0");
    stop(folder.path(), "sleep", GRACE).unwrap();
}

#[test]
fn what_a_program_leaves_behind_is_stopped_too() {
    let folder = folder();
    start(Command::new("/bin/sh").args(["-c", "setsid sleep 60 & echo ended"]), folder.path(), "sh").unwrap();
    while last_lines(folder.path(), "sh") != "ended" {}
    assert!(runs(folder.path(), "sh"));
    assert!(stop(folder.path(), "sh", GRACE).unwrap());
    assert!(!runs(folder.path(), "sh"));
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let folder = folder();
    start(Command::new("/bin/sh").args(["-c", "trap '' TERM; echo started; sleep 60; sleep 60"]), folder.path(), "sh").unwrap();
    while last_lines(folder.path(), "sh") != "started" {}
    assert!(stop(folder.path(), "sh", Duration::from_millis(100)).unwrap());
    assert!(!runs(folder.path(), "sh"));
}

#[test]
fn a_program_gets_the_variables_that_it_was_given_and_no_others() {
    let folder = folder();
    start(Command::new("/usr/bin/env").env("GIVEN", "yes"), folder.path(), "env").unwrap();
    while runs(folder.path(), "env") {}
    let shown = last_lines(folder.path(), "env");
    let mut names: Vec<_> = shown.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["GIVEN", "HOME", "PATH"]);
}

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{GRACE, last_lines, runs, start, stop, was_started};

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

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{find, start, stop};

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for part in ["logs", "pids"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    folder
}

#[test]
fn a_program_is_found_until_it_is_stopped() {
    let folder = folder();
    assert_eq!(find(folder.path(), "sleep"), None);
    start(Command::new("/bin/sleep").arg("60"), folder.path(), "sleep").unwrap();
    assert!(find(folder.path(), "sleep").is_some());
    assert!(stop(folder.path(), "sleep").unwrap());
    assert_eq!(find(folder.path(), "sleep"), None);
    assert!(!stop(folder.path(), "sleep").unwrap(), "stopped twice");
}

#[test]
fn another_program_that_got_the_id_later_is_not_taken_for_it() {
    let folder = folder();
    let own = format!("{} 1", std::process::id());
    fs::write(folder.path().join("pids/sleep"), own).unwrap();
    assert_eq!(find(folder.path(), "sleep"), None);
    assert!(!stop(folder.path(), "sleep").unwrap());
}

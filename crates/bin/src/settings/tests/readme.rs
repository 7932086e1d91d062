use std::path::Path;

use super::super::help::{help, markdown};
use super::super::table::TABLE;

const BEGIN: &str = "<!-- settings: begin -->\n";
const END: &str = "<!-- settings: end -->";

#[test]
fn the_table_of_the_readme_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&path).unwrap_or_default();
    let between = readme.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table.trim());
    let expected = markdown();
    assert!(between == Some(expected.trim()), "the README must hold this between its markers:\n{BEGIN}{expected}{END}");
}

#[test]
fn the_help_shows_every_setting_within_the_width_of_a_terminal() {
    let help = help();
    for setting in TABLE {
        assert!(help.contains(setting.name), "{}", setting.name);
    }
    let too_long: Vec<_> = help.lines().filter(|line| line.chars().count() > 110 && line.contains(' ')).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

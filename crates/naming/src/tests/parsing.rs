use std::collections::{BTreeSet, HashSet};
use std::fmt::{Debug, Display};
use std::str::FromStr;

use crate::{ConnectionId, GitBranch, Identity, NameError, ProjectName, ReleaseName};

#[track_caller]
fn accept<N>(value: &str)
where
    N: FromStr<Err = NameError> + TryFrom<String, Error = NameError> + Debug + Display + PartialEq,
{
    let parsed = value.parse::<N>().unwrap();
    assert_eq!(parsed.to_string(), value);
    assert_eq!(N::try_from(value.to_owned()), Ok(parsed));
}

#[track_caller]
fn refuse<N>(value: &str, message: &str)
where
    N: FromStr<Err = NameError> + TryFrom<String, Error = NameError> + Debug + PartialEq,
{
    let error = value.parse::<N>().unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(N::try_from(value.to_owned()), Err(error));
}

#[test]
fn projects_have_1_to_63_characters_of_any_script() {
    for value in ["a", " ", "Ünï/ç_ø.dé 🦀", &"a".repeat(62), &"a".repeat(63), &"я".repeat(63)] {
        accept::<ProjectName>(value);
    }
    refuse::<ProjectName>("", "must not be empty");
    let message = "must have at most 63 characters, but has 64";
    refuse::<ProjectName>(&"a".repeat(64), message);
    refuse::<ProjectName>(&"я".repeat(64), message);
}

#[test]
fn branches_have_1_to_255_characters_of_any_script() {
    for value in ["a", "feature/ünï", &"a".repeat(255), &"я".repeat(255)] {
        accept::<GitBranch>(value);
    }
    refuse::<GitBranch>("", "must not be empty");
    refuse::<GitBranch>(&"я".repeat(256), "must have at most 255 characters, but has 256");
}

#[test]
fn control_characters_are_refused() {
    let message = "must not contain control characters, but character 2 is U+000A";
    refuse::<ProjectName>("я\n", message);
    refuse::<GitBranch>("я\nforged line", message);
    for character in ["\0", "\t", "\r", "\u{1b}", "\u{7f}", "\u{85}"] {
        assert!(character.parse::<ProjectName>().is_err(), "{character:?}");
        assert!(character.parse::<GitBranch>().is_err(), "{character:?}");
    }
}

#[test]
fn messages_hide_characters_that_cannot_be_seen() {
    for (value, end) in [
        ("a_", "character 2 is `_`"),
        ("a ", "character 2 is a space"),
        ("a`", "character 2 is a backtick"),
        ("a\u{202e}", "character 2 is U+202E"),
        ("a\u{1f980}", "character 2 is U+1F980"),
    ] {
        let message = value.parse::<ReleaseName>().unwrap_err().to_string();
        assert!(message.ends_with(end), "{message}");
    }
}

#[test]
fn releases_are_those_that_helm_accepts() {
    for value in ["a", "7", "dbt-server-a-b", "a.b", "a--b", "1.2.3-x", &"a".repeat(52), &"a".repeat(53)] {
        accept::<ReleaseName>(value);
    }
    refuse::<ReleaseName>("", "must not be empty");
    refuse::<ReleaseName>(&"a".repeat(54), "must have at most 53 characters, but has 54");
    for (value, shown) in [("aB", "`B`"), ("a_b", "`_`"), ("a/b", "`/`"), ("aé", "U+00E9"), ("a\n", "U+000A")] {
        let message = format!("may contain only lower case letters, digits, dashes and dots, but character 2 is {shown}");
        refuse::<ReleaseName>(value, &message);
    }
    for value in ["-", "-a", "a-", ".", ".a", "a.", "a..b", "a.-b", "a-.b"] {
        let message = "must begin and end with a letter or digit, and so must each part between dots";
        refuse::<ReleaseName>(value, message);
    }
}

#[test]
fn connection_ids_are_those_that_both_airflows_accept() {
    for value in ["a", "A", "_", "-", "...", "a.b-c_D9", &"a".repeat(199), &"a".repeat(200)] {
        accept::<ConnectionId>(value);
    }
    refuse::<ConnectionId>("", "must not be empty");
    refuse::<ConnectionId>(&"a".repeat(201), "must have at most 200 characters, but has 201");
    for value in [".", ".."] {
        refuse::<ConnectionId>(value, "must not be `.` or `..`, which have a meaning of their own in a URL");
    }
    for (value, shown) in [("a/b", "`/`"), ("a b", "a space"), ("aé", "U+00E9"), ("a%2F", "`%`")] {
        let message = format!("may contain only letters and digits of ASCII, `_`, `.` and `-`, but character 2 is {shown}");
        refuse::<ConnectionId>(value, &message);
    }
}

#[test]
fn messages_never_repeat_the_value() {
    let errors = [
        "hunter2".repeat(50).parse::<ProjectName>().unwrap_err(),
        "hunter2\n".parse::<GitBranch>().unwrap_err(),
        "hunter2-".parse::<ReleaseName>().unwrap_err(),
        "hunter2\n".parse::<ConnectionId>().unwrap_err(),
    ];
    for error in errors {
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn an_identity_says_whose_it_is() {
    let identity = Identity::parse("a", Some("b")).unwrap();
    assert_eq!(identity.to_string(), "project `a`, branch `b`");
    assert_eq!(identity.project().as_str(), "a");
    assert_eq!(identity.branch().map(GitBranch::as_str), Some("b"));
    let identity = Identity::parse("a", Some("")).unwrap();
    assert_eq!(identity.to_string(), "project `a` without a branch");
    assert_eq!(identity.branch(), None);
}

#[test]
fn an_identity_needs_a_valid_project_and_a_valid_branch() {
    assert_eq!(Identity::parse("", Some("b")), Err(NameError::Empty));
    assert_eq!(Identity::parse("a", Some(&"b".repeat(256))), Err(NameError::TooLong { max: 255, actual: 256 }));
    assert!(Identity::parse("a\n", None).is_err());
    assert!(Identity::parse("a", Some("b\n")).is_err());
}

#[test]
fn sets_of_names_are_searched_by_text() {
    let releases = Identity::parse("a", None).unwrap().release_names();
    let sorted = releases.iter().cloned().collect::<BTreeSet<ReleaseName>>();
    let hashed = releases.into_iter().collect::<HashSet<ReleaseName>>();
    assert!(sorted.contains("dbt-server-a") && !sorted.contains("dbt-server-b"));
    assert!(hashed.contains("dbt-server-a") && !hashed.contains("dbt-server-b"));
}

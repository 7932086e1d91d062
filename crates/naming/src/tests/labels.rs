use crate::{Identity, LabelValue};

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(LabelValue::sanitise(text).as_str(), expected);
}

#[test]
fn a_valid_value_is_kept() {
    for text in ["", "a", "7", "Main", "a-b_c.D", "a--b", &"a".repeat(63)] {
        check(text, text);
    }
}

#[test]
fn other_characters_become_a_dash_and_bring_the_hash() {
    check("feature/x", "feature-x-217d2bf5");
    check("Feature/X_1.y", "Feature-X_1.y-8c291659");
    check("a b", "a-b-c8687a08");
    check("a  b", "a-b-6e12db73");
}

#[test]
fn both_ends_are_letters_or_digits() {
    check("_a", "a-34fb7160");
    check("a_", "a-571fb0e3");
    check("-.a.-", "a-aff005d8");
    check("a/", "a-b3dda5b6");
}

#[test]
fn the_hash_stands_alone_when_nothing_is_left() {
    check("проект", "dfb992e6");
    check("/", "8a5edab2");
    check("...", "ab5df625");
}

#[test]
fn a_long_value_is_cut_to_63_characters_and_not_at_a_separator() {
    check(&"a".repeat(64), &format!("{}-ffe054fe", "a".repeat(54)));
    let long = format!("{}{}", "a".repeat(53), "_.b".repeat(10));
    check(&long, &format!("{}-f94cc35b", "a".repeat(53)));
}

#[test]
fn branches_of_one_project_have_one_project_label() {
    let with = |branch| Identity::parse("my project", branch).unwrap();
    assert_eq!(with(Some("main")).project_label(), with(None).project_label());
    assert_eq!(with(Some("main")).branch_label().unwrap().as_str(), "main");
    assert_eq!(with(None).branch_label(), None);
}

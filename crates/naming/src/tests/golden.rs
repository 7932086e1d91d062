//! Names that were worked out by another program (Python's `hashlib`). They are recorded in
//! clusters, so none may ever change.

use crate::{Identity, NameForm};

#[track_caller]
fn check(project: &str, branch: Option<&str>, releases: &[&str], connections: &[&str]) {
    let identity = Identity::parse(project, branch).unwrap();
    let actual = identity.release_names();
    assert_eq!(actual.iter().map(|name| name.as_str()).collect::<Vec<_>>(), releases);
    let actual = identity.connection_ids();
    assert_eq!(actual.iter().map(|id| id.as_str()).collect::<Vec<_>>(), connections);
}

/// The first and preferred release name.
#[track_caller]
fn check_release(project: &str, branch: Option<&str>, expected: &str) {
    let identity = Identity::parse(project, branch).unwrap();
    assert_eq!(identity.release_name(NameForm::Plain).as_str(), expected);
}

#[track_caller]
fn check_connection(project: &str, branch: Option<&str>, expected: &str) {
    let identity = Identity::parse(project, branch).unwrap();
    assert_eq!(identity.connection_id(NameForm::Plain).as_str(), expected);
}

#[test]
fn project_and_branch_make_the_names_of_the_convention() {
    check(
        "test-project",
        Some("main"),
        &["dbt-server-test-project-main", "dbt-server-test-project-main-7679bf0a", "dbt-server-test-project-main-7679bf0a8227cc61"],
        &["test_project_main", "test_project_main_7679bf0a", "test_project_main_7679bf0a8227cc61"],
    );
}

#[test]
fn without_a_branch_the_project_stands_alone() {
    let releases = ["dbt-server-test-project", "dbt-server-test-project-2376b170", "dbt-server-test-project-2376b1704f83ef87"];
    let connections = ["test_project", "test_project_2376b170", "test_project_2376b1704f83ef87"];
    check("test-project", None, &releases, &connections);
    check("test-project", Some(""), &releases, &connections);
}

#[test]
fn look_alikes_share_the_plain_name_only() {
    check(
        "a",
        Some("b-c"),
        &["dbt-server-a-b-c", "dbt-server-a-b-c-760edd92", "dbt-server-a-b-c-760edd92dfdbd88a"],
        &["a_b_c", "a_b_c_760edd92", "a_b_c_760edd92dfdbd88a"],
    );
    check(
        "a-b",
        Some("c"),
        &["dbt-server-a-b-c", "dbt-server-a-b-c-92355612", "dbt-server-a-b-c-92355612db4adb79"],
        &["a_b_c", "a_b_c_92355612", "a_b_c_92355612db4adb79"],
    );
    check(
        "x_y",
        None,
        &["dbt-server-x-y", "dbt-server-x-y-7a2346cc", "dbt-server-x-y-7a2346cc659a55d5"],
        &["x_y", "x_y_7a2346cc", "x_y_7a2346cc659a55d5"],
    );
    check(
        "x-y",
        None,
        &["dbt-server-x-y", "dbt-server-x-y-58f1c023", "dbt-server-x-y-58f1c023e179520b"],
        &["x_y", "x_y_58f1c023", "x_y_58f1c023e179520b"],
    );
}

#[test]
fn every_run_of_other_characters_becomes_one_separator() {
    check(
        "Test.Project",
        Some("Feature/ABC_1"),
        &[
            "dbt-server-test-project-feature-abc-1",
            "dbt-server-test-project-feature-abc-1-d3aa07c7",
            // The 16 digits leave 35 characters for the rest, which has 37.
            "dbt-server-test-project-feature-abc-d3aa07c730f2d349",
        ],
        &["test_project_feature_abc_1", "test_project_feature_abc_1_d3aa07c7", "test_project_feature_abc_1_d3aa07c730f2d349"],
    );
    check_release("a _./-b", Some("c"), "dbt-server-a-b-c");
    check_connection("a _./-b", Some("c"), "a_b_c");
}

#[test]
fn separators_at_the_ends_are_dropped() {
    check(
        "--a--",
        Some("__b__"),
        &["dbt-server-a-b", "dbt-server-a-b-d1a41cfd", "dbt-server-a-b-d1a41cfd1736fae2"],
        &["a_b", "a_b_d1a41cfd", "a_b_d1a41cfd1736fae2"],
    );
}

#[test]
fn letters_that_are_not_ascii_are_separators() {
    check_release("Ünï", Some("main"), "dbt-server-n-main");
    check_connection("Ünï", Some("main"), "n_main");
}

/// Unicode's lower case of the Kelvin sign is the ASCII `k`, that of `İ` begins with an ASCII `i`.
#[test]
fn only_ascii_letters_change_their_case() {
    check_release("\u{212a}ey", Some("x"), "dbt-server-ey-x");
    check_release("\u{0130}d", Some("x"), "dbt-server-d-x");
    check_release("\u{212a}", Some("main"), "dbt-server-main-5e5fb64f");
}

#[test]
fn a_part_with_an_empty_slug_brings_the_hash() {
    check(
        "проект",
        Some("ветка"),
        &["dbt-server-3c4aeecc", "dbt-server-3c4aeecc79b33147"],
        &["dbt_server_3c4aeecc", "dbt_server_3c4aeecc79b33147"],
    );
    check("проект", None, &["dbt-server-2c1bfb2e", "dbt-server-2c1bfb2e69afc25b"], &["dbt_server_2c1bfb2e", "dbt_server_2c1bfb2e69afc25b"]);
    check("x", Some("ветка"), &["dbt-server-x-6ffc4672", "dbt-server-x-6ffc46726237d0b4"], &["x_6ffc4672", "x_6ffc46726237d0b4"]);
    check("ветка", Some("x"), &["dbt-server-x-e7520b09", "dbt-server-x-e7520b097ef478ee"], &["x_e7520b09", "x_e7520b097ef478ee"]);
}

#[test]
fn release_names_have_at_most_52_characters() {
    let p = |length: usize| "p".repeat(length);
    // Plain names of 51 and 52 characters.
    check_release(&p(40), None, &format!("dbt-server-{}", p(40)));
    check_release(&p(41), None, &format!("dbt-server-{}", p(41)));
    check_release(&p(20), Some(&"q".repeat(20)), &format!("dbt-server-{}-{}", p(20), "q".repeat(20)));
    // Of 53, 54, 62, 63 and 64; all are cut to 43 and the hash.
    check_release(&p(42), None, &format!("dbt-server-{}-3be79456", p(32)));
    check_release(&p(43), None, &format!("dbt-server-{}-c70c359a", p(32)));
    check_release(&p(51), None, &format!("dbt-server-{}-a26007a2", p(32)));
    check_release(&p(52), None, &format!("dbt-server-{}-d32547d3", p(32)));
    check_release(&p(53), None, &format!("dbt-server-{}-726d568a", p(32)));
    // The longest projects there are.
    check_release(&p(62), None, &format!("dbt-server-{}-1942f646", p(32)));
    check_release(&p(63), None, &format!("dbt-server-{}-fe3e5afb", p(32)));
    let (branch, cut) = ("q".repeat(21), "q".repeat(11));
    check_release(&p(20), Some(&branch), &format!("dbt-server-{}-{cut}-7c7e470b", p(20)));
}

#[test]
fn a_name_that_fits_plain_is_cut_for_its_hash() {
    let project = "p".repeat(41);
    check(
        &project,
        None,
        &[
            &format!("dbt-server-{project}"),
            &format!("dbt-server-{}-544ca10e", "p".repeat(32)),
            &format!("dbt-server-{}-544ca10e03e33ec8", "p".repeat(24)),
        ],
        &[&project, &format!("{project}_544ca10e"), &format!("{project}_544ca10e03e33ec8")],
    );
}

#[test]
fn a_cut_never_ends_in_a_separator() {
    let q = "q".repeat(20);
    // The 43rd character is a dash, then the last of the project.
    check_release(&format!("{}-{q}", "p".repeat(31)), None, &format!("dbt-server-{}-c7d5ae30", "p".repeat(31)));
    check_release(&format!("{}-{q}", "p".repeat(32)), None, &format!("dbt-server-{}-dd91ed4d", "p".repeat(32)));
    // The 35th, for 16 digits.
    let identity = Identity::parse(&format!("{}-q", "p".repeat(23)), None).unwrap();
    let expected = format!("dbt-server-{}-3665b64b3eb60e61", "p".repeat(23));
    assert_eq!(identity.release_name(NameForm::LongHashed).as_str(), expected);
    // The 191st of a connection id.
    let (p, q) = ("p".repeat(63), "q".repeat(126));
    let id = format!("{p}_{q}_{}", "r".repeat(50));
    assert_eq!(&id[190..191], "_");
    check_connection(&p, Some(&format!("{q}/{}", "r".repeat(50))), &format!("{p}_{q}_1160c8df"));
}

#[test]
fn connection_ids_have_at_most_200_characters() {
    let p = "p".repeat(63);
    let q = |length: usize| "q".repeat(length);
    check_connection(&p, Some(&q(136)), &format!("{p}_{}", q(136)));
    check_connection(&p, Some(&q(137)), &format!("{p}_{}_222bf5b9", q(127)));
    check_connection(&p, Some(&q(255)), &format!("{p}_{}_9ea04e48", q(127)));
    let identity = Identity::parse(&p, Some(&q(255))).unwrap();
    let expected = format!("{p}_{}_9ea04e48ce0bfb3e", q(119));
    assert_eq!(identity.connection_id(NameForm::LongHashed).as_str(), expected);
}

#[test]
fn the_longest_identity_in_bytes_has_names() {
    let (project, branch) = ("я".repeat(63), "ж".repeat(255));
    check_release(&project, Some(&branch), "dbt-server-24ddad2a");
}

#[test]
fn hashes_are_those_of_the_design() {
    let hash = |project, branch| Identity::parse(project, branch).unwrap().hash();
    assert_eq!(hash("test-project", Some("main")).short(), "7679bf0a");
    assert_eq!(hash("a", Some("b-c")).short(), "760edd92");
    assert_eq!(hash("test-project", None).short(), "2376b170");
    assert_eq!(hash("проект", Some("ветка")).short(), "3c4aeecc");
    assert_eq!(hash("test-project", Some("main")).long(), "7679bf0a8227cc61");
}

#[test]
fn objects_are_named_after_the_release() {
    let release = Identity::parse("a", Some("b")).unwrap().release_name(NameForm::Plain);
    assert_eq!(release.pod_name(0), "dbt-server-a-b-0");
    assert_eq!(release.claim_name(0), "dbt-server-a-b-dbt-server-a-b-0");
    assert_eq!(release.claim_name(12), "dbt-server-a-b-dbt-server-a-b-12");
    assert_eq!(release.config_map_name(), "dbt-server-a-b-nginx-cm");
    assert_eq!(release.secret_name(), "dbt-server-secret-dbt-server-a-b");
    assert_eq!(release.tls_secret_name(), "dbt-server-tls-dbt-server-a-b");
    assert_eq!(release.operation_object_name(), "dbt-controller-op.dbt-server-a-b");
}

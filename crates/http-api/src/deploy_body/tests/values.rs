//! What each field takes and refuses. Amounts and sizes are in `resources`.

use dbt_controller_domain::model::Warehouse;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::deploy_body::fields;

const LINE: &str = "must not contain control characters";
const TEXT: &str = "must not contain the character U+0000";

/// A field takes texts up to this length, counted in characters, and none longer.
#[track_caller]
fn takes_at_most(field: &str, max: usize) {
    read(&body_with(json!({ field: "a".repeat(max) }))).unwrap();
    refused(field, "a".repeat(max + 1), &format!("must have at most {max} characters"));
}

/// The same with characters of four bytes.
#[track_caller]
fn takes_characters(field: &str, max: usize) {
    takes_at_most(field, max);
    read(&body_with(json!({ field: "𝕏".repeat(max) }))).unwrap();
    refused(field, "𝕏".repeat(max + 1), &format!("must have at most {max} characters"));
}

#[test]
fn texts_have_the_lengths_of_the_contract() {
    takes_characters("project_name", 63);
    takes_characters("git_branch", 255);
    takes_characters("dbt_repo_name", 255);
    takes_characters("gitlink_secret", 2048);
    takes_characters("gitlink_deploy_key", 255);
    takes_characters("secret_dbt_package_repo_token", 255);
    takes_characters("secret_package_repo_token_name", 255);
    takes_characters("basic_auth", 255);
    takes_characters("basic_auth_user", 63);
    takes_characters("cicd_env_value", 255);
    takes_characters("app_version", 255);
    takes_at_most("customer", 63);
    takes_at_most("domain", 63);
    takes_at_most("repository", 255);
    takes_at_most("image", 255);
    takes_at_most("cicd_env_key", 255);
    takes_at_most("basic_auth_password", 63);
}

#[test]
fn a_longer_tag_is_refused_with_the_reason() {
    accepted(json!({ "tag": "a".repeat(128) }));
    let message = "must have at most 128 characters, because no registry knows longer tags";
    refused("tag", "a".repeat(129), message);
    refused("tag", "a".repeat(255), message);
}

#[test]
fn what_must_not_be_empty_is_not() {
    for field in [
        "project_name",
        "namespace",
        "customer",
        "domain",
        "tag",
        "repository",
        "image",
        "basic_auth_user",
        "basic_auth_password",
        "service_account",
        "cicd_env_key",
        "size",
    ] {
        refused(field, "", "must not be empty");
    }
    for field in [
        "git_branch",
        "dbt_repo_name",
        "gitlink_secret",
        "gitlink_deploy_key",
        "secret_dbt_package_repo_token",
        "secret_package_repo_token_name",
        "basic_auth",
        "cicd_env_value",
        "app_version",
        "datawarehouse_type",
        "data_warehouse_platform",
    ] {
        accepted(json!({ field: "" }));
    }
}

#[test]
fn only_strings_are_texts() {
    for field in fields::ALL {
        if let fields::Field::Text(_) | fields::Field::Word(_) = field {
            for wrong in [json!(1), json!(1.5), json!(true), json!([]), json!({})] {
                refused(field.name(), wrong, "must be a string");
            }
        }
    }
}

#[test]
fn names_are_one_line() {
    for field in ["project_name", "git_branch", "dbt_repo_name", "secret_package_repo_token_name", "app_version", "size"] {
        for wrong in ["a\nb", "a\tb", "a\u{7f}", "\u{85}b", "a\0"] {
            refused(field, wrong, LINE);
        }
    }
    let request = accepted(json!({ "project_name": "Отчёты / \"q\" {x}", "git_branch": "feature/x_y#1" }));
    assert_eq!(request.identity.to_string(), "project `Отчёты / \"q\" {x}`, branch `feature/x_y#1`");
}

#[test]
fn values_are_any_text_without_a_nul() {
    for field in ["gitlink_secret", "gitlink_deploy_key", "secret_dbt_package_repo_token", "basic_auth", "cicd_env_value"] {
        refused(field, "a\0b", TEXT);
        read(&body_with(json!({ field: "a\r\n\t\u{1}b" }))).unwrap();
    }
}

#[test]
fn an_empty_branch_is_none() {
    for body in [json!({}), json!({ "git_branch": "" }), json!({ "git_branch": null })] {
        assert!(accepted(body).identity.branch().is_none());
    }
    assert_eq!(accepted(json!({ "git_branch": " " })).identity.branch().unwrap().as_str(), " ");
}

#[test]
fn only_allowed_namespaces_are_taken() {
    assert_eq!(accepted(json!({ "namespace": "dbt-other" })).namespace.as_str(), "dbt-other");
    refused("namespace", "kube-system", "must be a namespace that this service may use: `dbt-server`, `dbt-other`");
    let form = "must be a namespace name: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit";
    refused("namespace", "DBT-server", form);
}

#[test]
fn customer_and_domain_are_host_names() {
    let request = accepted(json!({ "customer": "ACME-1", "domain": "Data.Example.COM" }));
    assert_eq!((request.customer.as_str(), request.domain.as_str()), ("acme-1", "data.example.com"));
    for wrong in ["a.b", "-a", "a-", "a_b", "ä", "a b"] {
        refused("customer", wrong, "must be one part of a host name: 1 to 63 letters, digits and `-`, no `-` at the ends");
    }
    for wrong in [".a", "a.", "a..b", "a_b.c", "a/b", "a:80", "http://a"] {
        refused("domain", wrong, "must be a DNS name of at most 63 characters, such as `example.com`");
    }
}

#[test]
fn images_have_names_that_can_be_pulled() {
    for tag in ["1", "v1.2.3", "_x", "1.0-rc.1", "A"] {
        assert_eq!(accepted(json!({ "tag": tag })).image.tag, tag);
    }
    for wrong in [".1", "-1", "a/b", "a:b", "a@sha256", "a b", "ä", "a\n"] {
        refused("tag", wrong, "must be an image tag: letters, digits, `_`, `.` and `-`, the first neither `.` nor `-`");
    }
    let rest = "lower-case letters and digits, with single `.`, `_` or `/` or with `-` between them";
    for repository in ["a", "ghcr.io/a/b", "localhost:5000", "registry.example.com:5000/a_b/c--d/e__f"] {
        assert_eq!(accepted(json!({ "repository": repository })).image.repository, repository);
    }
    for wrong in ["A", "a/", "/a", "a//b", "a:", "a:b/c", "a:123456/b", "a/b:1", "http://a", "a..b", "a___b", "a@b", "-a", "a b"] {
        let example = "must be an image repository such as `4fastbi` or `registry.example.com:5000/team`: ";
        refused("repository", wrong, &format!("{example}{rest}"));
    }
    for image in ["a", "a/b", "dbt.x_y--z"] {
        assert_eq!(accepted(json!({ "image": image })).image.name, image);
    }
    for wrong in ["A", "a:1", "a/", "a@b", "_a", "a_"] {
        refused("image", wrong, &format!("must be an image name such as `dbt-api-server-core`: {rest}"));
    }
}

#[test]
fn words_are_taken_as_they_are_written_and_no_others() {
    for (field, words) in [
        ("environment", vec!["e2e", "prod"]),
        ("cloud_provider", vec!["aws", "gcp", "azure", "self-managed"]),
        ("celery_log_level", vec!["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
    ] {
        let message = words.iter().map(|word| format!(" `{word}`")).collect::<String>();
        for word in &words {
            accepted(json!({ field: word }));
        }
        for wrong in ["", "Prod", "debug", "GCP", "other", " prod"] {
            refused(field, wrong, &format!("must be one of{message}"));
        }
    }
}

#[test]
fn the_two_names_of_the_warehouse_are_one_field() {
    let (one, two) = ("datawarehouse_type", "data_warehouse_platform");
    for (body, expected) in [
        (json!({}), None),
        (json!({ one: "", two: "" }), None),
        (json!({ one: "snowflake" }), Some(Warehouse::Snowflake)),
        (json!({ two: "redshift" }), Some(Warehouse::Redshift)),
        (json!({ one: "", two: "fabric" }), Some(Warehouse::Fabric)),
        (json!({ one: "bigquery", two: null }), Some(Warehouse::Bigquery)),
        (json!({ one: "bigquery", two: "bigquery" }), Some(Warehouse::Bigquery)),
    ] {
        assert_eq!(accepted(body).warehouse, expected);
    }
    let errors = errors_of(read(&body_with(json!({ one: "bigquery", two: "snowflake" }))));
    assert_eq!(errors[one], ["must not differ from `data_warehouse_platform`, which is its other name"]);
    assert_eq!(errors[two], ["must not differ from `datawarehouse_type`, which is its other name"]);
    for field in [one, two] {
        refused(field, "Oracle", "must be one of `bigquery` `snowflake` `redshift` `fabric`, or empty");
    }
}

#[test]
fn an_empty_deploy_key_is_no_deploy_key() {
    for (given, expected) in [("", "EMPTY"), ("EMPTY", "EMPTY"), ("empty", "empty"), ("key", "key")] {
        let request = accepted(json!({ "gitlink_deploy_key": given }));
        assert_eq!(request.git.gitlink_deploy_key.expose_secret(), expected);
    }
}

#[test]
fn a_login_is_one_that_nginx_and_bcrypt_take() {
    let user = "must not contain `:` or control characters, nor begin with `#`";
    for wrong in ["a:b", ":", "#a", "a\nb", "a\0"] {
        refused("basic_auth_user", wrong, user);
    }
    assert_eq!(accepted(json!({ "basic_auth_user": "a #b" })).credentials.user.as_deref(), Some("a #b"));

    refused("basic_auth_password", "1234567", "must have at least 8 characters");
    for wrong in ["1234567\0", "1234567\n", "\t1234567"] {
        refused("basic_auth_password", wrong, LINE);
    }
    let bytes = "must have at most 71 bytes in UTF-8";
    let seventy_one = format!("{}{}", "é".repeat(35), "x");
    read(&body_with(json!({ "basic_auth_password": seventy_one }))).unwrap();
    refused("basic_auth_password", "é".repeat(36), bytes);
    refused("basic_auth_password", "𝕏".repeat(18), bytes);
    let password = accepted(json!({ "basic_auth_password": "a:b#c\"d{e}" })).credentials.password.unwrap();
    assert_eq!(password.expose_secret(), "a:b#c\"d{e}");
}

#[test]
fn a_service_account_is_an_address() {
    for good in ["a@b.c", "x.y+z_%1@p-1.iam.gserviceaccount.com"] {
        assert_eq!(accepted(json!({ "service_account": good })).service_account.as_deref(), Some(good));
    }
    let longest = format!("{}@{}", "a".repeat(250), "b.c");
    accepted(json!({ "service_account": longest }));
    refused("service_account", format!("a{longest}"), "must have at most 254 characters");
    for wrong in ["a", "@b.c", "a@", "a@b", "a@b.", "a@.b", "a@b..c", "a@-b.c", "a@b@c.d", "a b@c.d", "a@b.c\n", "ä@b.c", "a@b_c.d"] {
        let message = "must be an e-mail address such as `name@project.iam.gserviceaccount.com`";
        refused("service_account", wrong, message);
    }
}

#[test]
fn an_extra_variable_has_a_name_of_its_own() {
    for good in ["ENV", "_", "a1", "GITLINK", "debug", "GIT_BRANCH_2"] {
        assert_eq!(accepted(json!({ "cicd_env_key": good })).options.cicd_env_key, good);
    }
    for wrong in ["1A", "A-B", "A B", "A=B", "Ä", "A\n", "A.B", "$A"] {
        refused("cicd_env_key", wrong, "must be the name of a variable: letters, digits and `_`, the first no digit");
    }
    for own in [
        "DBT_PROJECT_NAME",
        "GIT_BRANCH",
        "DBT_REPO_NAME",
        "GITLINK_SECRET",
        "GITLINK_DEPLOY_KEY",
        "SECRET_PACKAGE_REPO_TOKEN_NAME",
        "SECRET_DBT_PACKAGE_REPO_TOKEN",
        "DATA_WAREHOUSE_PLATFORM",
        "DBT_SERVER_WORKER_NUM",
        "DBT_SERVER_MAX_REQUESTS",
        "DBT_SERVER_ENABLE_DDTRACE",
        "DEBUG",
        "CELERYD_LOG_LEVEL",
        "APP_VERSION",
    ] {
        refused("cicd_env_key", own, "must not be a variable that the service sets itself");
    }
}

#[test]
fn numbers_have_their_ranges() {
    for (field, max) in [("worker_num", 20), ("max_requests", 100)] {
        let message = format!("must be a whole number from 1 to {max}");
        accepted(json!({ field: 1 }));
        accepted(json!({ field: max }));
        for wrong in [
            json!(0),
            json!(max + 1),
            json!(-1),
            json!(257),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(3.0),
            json!(1e0),
            json!(0.5),
            json!(true),
            json!([1]),
            json!({}),
            json!(""),
            json!("0"),
            json!("-1"),
            json!("x"),
            json!("1.0"),
            json!("1e1"),
            json!("0x5"),
            json!(" 5"),
            json!("5 "),
            json!("+5"),
            json!("1_0"),
            json!("٣"),
            json!("9".repeat(100)),
        ] {
            refused(field, wrong, &message);
        }
    }
}

#[test]
fn booleans_have_their_words() {
    for field in ["https_enabled", "enable_ddtrace", "debug"] {
        accepted(json!({ field: true }));
        for wrong in
            [json!(2), json!(-1), json!(1.0), json!(0.0), json!(""), json!("2"), json!("yess"), json!(" true"), json!([]), json!({})]
        {
            refused(field, wrong, "must be `true` or `false`");
        }
    }
    assert!(accepted(json!({ "https_enabled": true })).https_enabled);
    assert!(!accepted(json!({ "https_enabled": false })).https_enabled);
}

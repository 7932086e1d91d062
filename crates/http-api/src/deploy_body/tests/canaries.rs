//! No value of a body leaves by an error or a warning.

use serde_json::json;

use super::*;
use crate::deploy_body::fields;

/// Looks like nothing that a message says by itself.
const CANARY: &str = "Zq7-Canary";

#[track_caller]
fn says_nothing(result: Result<ParsedBody, BodyError>) {
    let said = match &result {
        Ok(parsed) => format!("{:?} {parsed:?}", parsed.warnings.clone()),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!said.contains("Zq7"), "{said}");
}

#[test]
fn no_wrong_value_is_repeated() {
    for field in fields::ALL {
        for value in [
            json!(format!("{CANARY}\0")),
            json!(format!("{CANARY}:\n/ #")),
            json!(CANARY.repeat(300)),
            json!([CANARY]),
            json!({ "k": CANARY }),
            json!({ CANARY: 1 }),
        ] {
            let result = read(&body_with(json!({ field.name(): value.clone() })));
            match &result {
                Ok(parsed) => assert!(!format!("{:?}", parsed.warnings).contains("Zq7")),
                Err(_) => says_nothing(result),
            }
        }
    }
}

#[test]
fn no_value_is_repeated_when_every_field_is_wrong() {
    let mut body = json!({});
    for field in fields::ALL {
        merge(&mut body, json!({ field.name(): format!("{CANARY}\0") }));
    }
    says_nothing(read(&body));
}

#[test]
fn no_value_of_an_ignored_field_is_repeated() {
    let members = json!({ "password": CANARY, "nested": { CANARY: [CANARY] }, "basic_auth": CANARY });
    says_nothing(read(&body_with(members)));
}

#[test]
fn no_part_of_a_malformed_body_is_repeated() {
    for body in [
        format!(r#"{{"gitlink_secret": "{CANARY}"#),
        format!(r#"{{"gitlink_secret": {CANARY}}}"#),
        format!(r#"{{"gitlink_secret": '{CANARY}'}}"#),
        format!(r#"{{"gitlink_secret": "{CANARY}" "x"}}"#),
        format!(r#"{{"gitlink_secret": "{CANARY}\x"}}"#),
        format!(r#"{{"a": 1, "a": "{CANARY}"}}"#),
        format!(r#"{{"{CANARY}": 1, "{CANARY}": 2}}"#),
        format!(r#"{{"gitlink_secret": "{CANARY}", "gitlink_secret": "{CANARY}"}}"#),
        format!(r#""{CANARY}""#),
        format!(r#"["{CANARY}"]"#),
        format!(r#"{{}}{CANARY}"#),
        CANARY.to_owned(),
    ] {
        let result = parse(body.as_bytes(), &defaults());
        assert!(matches!(result, Err(BodyError::Malformed(_))), "{body}");
        says_nothing(result);
    }
}

#[test]
fn secrets_do_not_print_themselves() {
    let members = json!({
        "gitlink_secret": CANARY, "gitlink_deploy_key": CANARY, "secret_dbt_package_repo_token": CANARY,
        "basic_auth_password": CANARY, "basic_auth": CANARY,
    });
    says_nothing(read(&body_with(members)));
}

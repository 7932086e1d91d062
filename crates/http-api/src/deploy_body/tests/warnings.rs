//! What callers are told about bodies that are taken.

use serde_json::json;

use super::*;
use crate::deploy_body::fields::{self, Field};

#[test]
fn numbers_are_read_from_texts() {
    for (text, number) in [("1", 1), ("20", 20), ("007", 7)] {
        let (request, warning) = warned(json!({ "worker_num": text }));
        assert_eq!(request.options.worker_num, number);
        assert_eq!(warning, "`worker_num` should be a JSON number, and was read from a text");
    }
}

#[test]
fn booleans_are_read_from_other_spellings() {
    for (value, expected) in [(json!(1), true), (json!(0), false)] {
        assert_eq!(warned(json!({ "debug": value })).0.options.debug, expected);
    }
    for word in ["true", "TRUE", "True", "t", "T", "yes", "YES", "y", "on", "On", "1"] {
        assert!(warned(json!({ "debug": word })).0.options.debug, "{word}");
    }
    for word in ["false", "FALSE", "f", "no", "No", "n", "off", "OFF", "0"] {
        let (request, warning) = warned(json!({ "debug": word }));
        assert!(!request.options.debug, "{word}");
        assert_eq!(warning, "`debug` should be `true` or `false`, and was read from another spelling");
    }
}

#[test]
fn an_unused_password_line_is_told() {
    let (request, warning) = warned(json!({ "basic_auth": "u:$2y$05$x" }));
    assert_eq!(warning, "`basic_auth` is not used: the line is made from `basic_auth_user` and `basic_auth_password`");
    assert_eq!(request.hash(), accepted(json!({})).hash());
}

#[test]
fn a_login_beyond_ascii_is_told() {
    let (_, warning) = warned(json!({ "basic_auth_user": "jürgen" }));
    let rest = "has characters beyond ASCII, which Airflow may send in another encoding";
    assert_eq!(warning, format!("`basic_auth_user` {rest}"));
    let (_, warning) = warned(json!({ "basic_auth_password": "pässword" }));
    assert_eq!(warning, format!("`basic_auth_password` {rest}"));
}

#[test]
fn unknown_fields_are_ignored_and_named() {
    let (request, warning) = warned(json!({ "zone": "s3cret", "Project_Name": { "a": ["s3cret"] } }));
    assert_eq!(warning, "unknown fields were ignored: `Project_Name`, `zone`");
    assert_eq!(request.hash(), accepted(json!({})).hash());
}

#[test]
fn the_names_of_unknown_fields_are_cut_and_escaped() {
    #[track_caller]
    fn check(name: &str, expected: &str) {
        let (_, warning) = warned(json!({ name: 1 }));
        assert_eq!(warning, format!("unknown fields were ignored: `{expected}`"));
    }
    check("", "");
    check("a\r\nb\0\u{1b}[31m", "a\\r\\nb\\0\\u{1b}[31m");
    check("\u{202e}x\u{2028}", "\\u{202e}x\\u{2028}");
    check("a`b\"c'ü𝕏", "a\\u{60}b\"c'ü𝕏");
    check(&"é".repeat(64), &"é".repeat(64));
    check(&"é".repeat(65), &format!("{}…", "é".repeat(64)));
}

#[test]
fn only_so_many_unknown_fields_are_named() {
    let many = |count: usize| -> Value { (0..count).map(|n| (format!("f{n:03}"), json!(1))).collect::<serde_json::Map<_, _>>().into() };
    let (_, twenty) = warned(many(20));
    assert!(twenty.ends_with("`f018`, `f019`"), "{twenty}");
    let (_, hundred) = warned(many(100));
    assert!(hundred.ends_with("`f018`, `f019` and 80 more"), "{hundred}");
}

#[test]
fn warnings_hold_no_word_that_pipelines_search_for() {
    let mut body = json!({ "basic_auth": "x", "basic_auth_user": "ü", "basic_auth_password": "pässword", "other": 1 });
    for field in fields::ALL {
        match field {
            Field::Boolean(field) => merge(&mut body, json!({ field.name: "yes" })),
            Field::Integer(field) => merge(&mut body, json!({ field.name: "5" })),
            Field::Text(_) | Field::Word(_) => {}
        }
    }
    let warnings = read(&body_with(body)).unwrap().warnings;
    assert_eq!(warnings.len(), 3 + 3 + 2 + 1);
    for warning in warnings {
        let lower = warning.to_lowercase();
        assert!(["fail", "error", "forbidden", "denied"].iter().all(|word| !lower.contains(word)), "{warning}");
    }
}

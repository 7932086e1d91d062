//! Bodies that are no JSON object of ours.

use super::*;
use crate::deploy_body::json::MAX_DEPTH;

#[track_caller]
fn check(body: impl AsRef<[u8]>, expected: &str) {
    match parse(body.as_ref(), &defaults()) {
        Err(BodyError::Malformed(message)) => assert_eq!(message, format!("malformed body: {expected}")),
        other => panic!("{other:?}"),
    }
}

/// `{"x": [[…]], "project_name": "p"}` with this many levels.
fn nested(levels: usize) -> String {
    let arrays = levels - 1;
    format!(r#"{{"x":{}{},"project_name":"p"}}"#, "[".repeat(arrays), "]".repeat(arrays))
}

#[test]
fn broken_json_is_refused_with_its_position() {
    check("{", "EOF while parsing an object at line 1 column 1");
    check(r#"{"project_name": "s3cret"#, "EOF while parsing a string at line 1 column 24");
    check("{\n  'project_name': 's3cret'}", "key must be a string at line 2 column 3");
    check(r#"{"project_name": s3cret}"#, "expected value at line 1 column 18");
    check(r#"{"project_name": "p",}"#, "trailing comma at line 1 column 22");
    check(r#"{"project_name": "p"} s3cret"#, "trailing characters at line 1 column 23");
    check(r#"{"worker_num": 1e999}"#, "number out of range at line 1 column 20");
    check(r#"{"worker_num": 010}"#, "invalid number at line 1 column 17");
    check(r#"{"debug": NaN}"#, "expected value at line 1 column 11");
    check(r#"{"tag": "\ud800"}"#, "unexpected end of hex escape at line 1 column 16");
    check("{\"tag\": \"a\nb\"}", "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0");
}

#[test]
fn invalid_utf8_is_refused() {
    check(b"{\"tag\": \"s3cret\xff\"}", "invalid unicode code point at line 1 column 16");
    check(b"{\"t\xc3\": 1}", "invalid unicode code point at line 1 column 4");
    check("{\"tag\": \"a\"}".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>(), "expected value at line 1 column 1");
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for (body, kind) in
        [("[1]", "an array"), ("\"s3cret\"", "a string"), ("12", "a number"), ("1.5", "a number"), ("true", "a boolean"), ("null", "null")]
    {
        check(body, &format!("it must be a JSON object, but is {kind}"));
    }
    for body in ["", " \r\n\t", "\u{feff}"] {
        check(body, "it is empty, but must be a JSON object");
    }
}

#[test]
fn a_key_that_appears_twice_is_refused_at_any_depth() {
    check(r#"{"project_name": "s3cret", "project_name": "s3cret"}"#, "the key `project_name` appears twice at line 1 column 41");
    check(r#"{"project_name": "p", "project\u005fname": "p"}"#, "the key `project_name` appears twice at line 1 column 41");
    check(r#"{"s3cret": 1, "s3cret": 1}"#, "a key appears twice in one object at line 1 column 22");
    check(r#"{"x": [{"y": {"k": 1, "k": 1}}]}"#, "a key appears twice in one object at line 1 column 25");
}

#[test]
fn one_key_in_two_objects_is_no_duplicate() {
    let ParsedBody { warnings, .. } =
        parse(br#"{"project_name": "p", "x": {"tag": 1}, "y": [{"tag": 1}, {"tag": 1}]}"#, &defaults()).unwrap();
    assert_eq!(warnings, ["unknown fields were ignored: `x`, `y`"]);
}

#[test]
fn nesting_ends_somewhere() {
    assert!(parse(nested(MAX_DEPTH).as_bytes(), &defaults()).is_ok());
    check(nested(MAX_DEPTH + 1), "more than 32 levels of nesting at line 1 column 38");
    let objects = format!("{}1{}", r#"{"x":"#.repeat(100_000), "}".repeat(100_000));
    check(objects, "more than 32 levels of nesting at line 1 column 161");
    let empty = r#"{"x":"#.repeat(MAX_DEPTH) + "{}" + &"}".repeat(MAX_DEPTH);
    check(empty, "more than 32 levels of nesting at line 1 column 162");
    check("[".repeat(100_000), "more than 32 levels of nesting at line 1 column 33");
}

#[test]
fn every_cut_of_a_body_is_refused() {
    let body = r#"{"project_name": "p", "worker_num": 10, "x": [1, {"y": "\u00e9"}]}"#;
    assert!(parse(body.as_bytes(), &defaults()).is_ok());
    for end in 0..body.len() {
        assert!(matches!(parse(&body.as_bytes()[..end], &defaults()), Err(BodyError::Malformed(_))), "{end}");
    }
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert!(parse("\u{feff}{\"project_name\": \"p\"}".as_bytes(), &defaults()).is_ok());
}

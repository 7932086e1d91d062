//! The published document says what the service does.

use std::sync::{LazyLock, Mutex};

use garde::rules::pattern::regex::Regex;
use schemars::generate::SchemaSettings;
use serde_json::{Map, json};

use super::*;
use crate::deploy_body::fields::{self, Field, Text};
use crate::deploy_body::{DeployBody, forms};

fn document() -> Value {
    SchemaSettings::openapi3().into_generator().into_root_schema_for::<DeployBody>().to_value()
}

fn properties() -> Map<String, Value> {
    document()["properties"].as_object().unwrap().clone()
}

/// Whether a property allows a value, by the keywords that our document uses.
fn allows(property: &Value, value: &Value) -> bool {
    property.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "type" => match rule.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "not" => !allows(rule, value),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= rule.as_u64().unwrap() as usize),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= rule.as_u64().unwrap() as usize),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
        "description" | "default" | "nullable" | "format" => true,
        other => panic!("the test does not know the keyword {other}"),
    })
}

fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap();
    compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).unwrap()).is_match(text)
}

/// Texts at the edges of every length, and of every form.
fn candidates() -> Vec<Value> {
    let words = [
        "",
        "a",
        "A",
        "0",
        "-",
        ".",
        "_",
        " ",
        ":",
        "/",
        "#",
        "@",
        "a.b",
        "a..b",
        "a_b",
        "a__b",
        "a___b",
        "a-b",
        "a--b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a/b",
        "a//b",
        "/a",
        "a/",
        "a:1",
        "a:1/b",
        "a:123456",
        "a:b",
        "A.B",
        "a b",
        "#a",
        "a#",
        "a:",
        "a\n",
        "\n",
        "a\0",
        "\0",
        "\t",
        "\u{7f}",
        "\u{80}",
        "\u{9f}",
        "\u{a0}",
        "ü",
        "𝕏",
        "a@b",
        "a@b.c",
        "a@b.c.d",
        "@b.c",
        "a@.c",
        "a@b.",
        "a@-b.c",
        "a@b-.c",
        "a@b@c.d",
        "a%+@b.c",
        "1",
        "01",
        "1m",
        "500m",
        "m",
        "1.5",
        "1Gi",
        "1Mi",
        "0Gi",
        "Gi",
        "1Gb",
        "1gi",
        "ENV",
        "DEBUG",
        "GIT_BRANCH",
        "1A",
        "_",
        "e2e",
        "prod",
        "gcp",
        "aws",
        "self-managed",
        "bigquery",
        "snowflake",
        "redshift",
        "fabric",
        "ERROR",
        "INFO",
        "12345678",
        "true",
        "dbt-server",
        "large",
    ];
    let repeated = ["a", "1", "A", "-", "a-", "ü", "a.b", "\0"].into_iter().flat_map(|unit| {
        let lengths = [2, 7, 8, 9, 10, 11, 12, 14, 15, 16, 35, 62, 63, 64, 71, 72, 127, 128, 129, 254, 255, 256, 2047, 2048, 2049];
        lengths.map(move |length| unit.chars().cycle().take(length).collect::<String>())
    });
    let ends = [("a@b.", 250), ("a@b.", 251), ("", 0)].map(|(start, more)| format!("{start}{}", "c".repeat(more)));
    let texts = words.into_iter().map(str::to_owned).chain(repeated).chain(ends).map(Value::from);
    let others = [json!(true), json!(false), json!([]), json!({}), json!(1.5)];
    texts.chain((-1..=260).map(Value::from)).chain(others).collect()
}

/// Where the service is meant to differ from its document: configuration, bytes, and the old spellings.
fn differs_on_purpose(name: &str, property: &Value, value: &Value) -> bool {
    match name {
        "namespace" => value != "dbt-server" && allows(property, value),
        "size" => value != "large" && allows(property, value),
        "basic_auth_password" => value.as_str().is_some_and(|text| text.len() > 71),
        "worker_num" | "max_requests" => value.is_string(),
        "https_enabled" | "enable_ddtrace" | "debug" => value.is_string() || *value == json!(0) || *value == json!(1),
        _ => false,
    }
}

#[test]
fn the_document_allows_exactly_what_is_accepted() {
    let candidates = candidates();
    for (name, property) in properties() {
        let mut verdicts = [0, 0];
        for value in candidates.iter().filter(|value| !differs_on_purpose(&name, &property, value)) {
            let is_accepted = read(&body_with(json!({ &name: value }))).is_ok();
            assert_eq!(allows(&property, value), is_accepted, "{name}: {value:?}");
            verdicts[usize::from(is_accepted)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 0), "{name}: {verdicts:?}");
    }
}

#[test]
fn the_document_has_the_fields_of_the_table() {
    let names: Vec<_> = fields::ALL.iter().map(|field| field.name()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(properties().keys().collect::<Vec<_>>(), sorted);
    sorted.dedup();
    assert_eq!(sorted.len(), names.len());
}

#[test]
fn every_field_is_described() {
    for (name, property) in properties() {
        assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        assert_eq!(property.get("nullable"), (name != "project_name").then_some(&json!(true)), "{name}");
    }
    assert_eq!(document()["required"], json!(["project_name"]));
    assert_eq!(document()["example"], json!({ "project_name": "test-project", "git_branch": "main" }));
}

#[test]
fn documented_defaults_are_those_of_the_smallest_body() {
    let smallest = accepted(json!({})).hash();
    for (name, property) in properties() {
        if let Some(default) = property.get("default") {
            assert_eq!(accepted(json!({ &name: default })).hash(), smallest, "{name}");
        }
    }
}

#[test]
fn documented_limits_are_those_of_the_contract() {
    let lengths = |name: &str| {
        let property = &properties()[name];
        (property["minLength"].as_u64().unwrap(), property["maxLength"].as_u64().unwrap())
    };
    assert_eq!(lengths("project_name"), (1, 63));
    assert_eq!(lengths("git_branch"), (0, 255));
    assert_eq!(lengths("gitlink_secret"), (0, 2048));
    assert_eq!(lengths("basic_auth_password"), (8, 63));
    assert_eq!(lengths("tag"), (1, 128));
    assert_eq!(properties()["worker_num"]["maximum"], json!(20));
    assert_eq!(properties()["max_requests"]["maximum"], json!(100));
    assert_eq!(properties()["environment"]["enum"], json!(["e2e", "prod", null]));
    assert_eq!(properties()["datawarehouse_type"]["enum"], json!(["", "bigquery", "snowflake", "redshift", "fabric", null]));
}

#[test]
fn each_pattern_is_its_form() {
    let all = [
        &forms::TEXT,
        &forms::LINE,
        &forms::USER,
        &forms::NAMESPACE,
        &forms::CUSTOMER,
        &forms::DOMAIN,
        &forms::CPU,
        &forms::BYTES,
        &forms::TAG,
        &forms::REPOSITORY,
        &forms::IMAGE,
        &forms::EMAIL,
        &forms::VARIABLE,
    ];
    for field in fields::ALL {
        if let Field::Text(Text { form, .. }) = field {
            assert!(all.iter().any(|known| std::ptr::eq(*known, *form)), "{form:?}");
        }
    }
    let texts: Vec<_> = candidates().into_iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
    for form in all {
        let pattern = Regex::new(form.pattern).unwrap();
        // An empty text is the business of the least length; so are the most characters, which domain types check too.
        for text in texts.iter().filter(|text| (1..=11).contains(&text.chars().count())) {
            assert_eq!(pattern.is_match(text), (form.check)(text).is_ok(), "{text:?} {form:?}");
        }
    }
}

/// The shape that paperclip puts into the document before it is replaced: the same fields, none required.
#[test]
fn paperclip_knows_the_same_fields() {
    use paperclip::v2::schema::Apiv2Schema;
    let raw = DeployBody::raw_schema();
    assert_eq!(raw.properties.keys().collect::<Vec<_>>(), properties().keys().collect::<Vec<_>>());
    assert!(raw.required.is_empty());
    assert_eq!(DeployBody::name().as_deref(), Some("DeployBody"));
}

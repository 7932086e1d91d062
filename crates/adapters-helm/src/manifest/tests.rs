use proptest::prelude::*;
use serde_json::Map;

use super::*;

fn object(api_version: &str, kind: &str, name: &str) -> ManifestObject {
    ManifestObject::new(json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } })).unwrap()
}

fn titles(manifest: &Manifest) -> Vec<String> {
    manifest.objects().iter().map(ManifestObject::title).collect()
}

fn config_map(data: Value) -> Manifest {
    Manifest::new(vec![
        ManifestObject::new(json!({ "apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": { "name": "a" } })).unwrap(),
    ])
}

#[track_caller]
fn comes_back(manifest: &Manifest) {
    let text = manifest.to_text();
    let read = Manifest::from_text(&text);
    assert_eq!(read.as_ref().map(Manifest::to_values), Ok(manifest.to_values()), "{text}");
    assert_eq!(read.unwrap().hash(), manifest.hash());
}

/// Texts that some reader of YAML takes for something else.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "\t",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "a\n",
    "a\n\n",
    "\na",
    " a",
    "a ",
    "a\tb",
    "\ta",
    "a\t",
    " a\nb",
    "a\n b\n",
    "a \nb",
    "a\n\tb",
    "\t\n",
    "a\r\nb",
    "\r",
    "on",
    "off",
    "On",
    "yes",
    "no",
    "y",
    "n",
    "Y",
    "N",
    "true",
    "True",
    "false",
    "null",
    "Null",
    "NULL",
    "~",
    "nil",
    "none",
    "1",
    "-1",
    "+1",
    "0",
    "00",
    "007",
    "0o17",
    "0755",
    "0x1F",
    "0b11",
    "1_000",
    "1e3",
    "1E3",
    "1.5",
    ".5",
    "5.",
    "1e",
    "e3",
    ".inf",
    "-.inf",
    ".nan",
    ".NaN",
    "inf",
    "nan",
    "12:30",
    "12:30:45",
    "1:20.5",
    "190:20:30",
    "2001-01-01",
    "2001-1-1",
    "2001-12-14t21:59:43.10-05:00",
    "<<",
    "=",
    "-",
    "?",
    ":",
    "- a",
    "? a",
    ": a",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "a#b",
    "&a",
    "*a",
    "!a",
    "!!str a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "'a'",
    "\"a\"",
    "'",
    "\"",
    "\\",
    "a\\nb",
    "{",
    "}",
    "{a}",
    "[a]",
    "a, b",
    ",",
    "---",
    "--- a",
    "---a",
    "...",
    "...a",
    "--",
    "a\n---\nb",
    "---\na",
    "a\n...\nb",
    "\n---\n",
    "# Source: x",
    "{{ .Values }}",
    "{{",
    "$(A)",
    "${A}",
    "\u{0}",
    "\u{1}",
    "\u{7}",
    "\u{1b}",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "a\u{85}b",
    "\u{a0}",
    "\u{2028}",
    "a\u{2028}b\n",
    "\u{2029}",
    "\u{feff}",
    "\u{feff}a",
    "a\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{10ffff}",
    "ü",
    "проект",
    "日本",
    "🦀",
    "e\u{301}",
    "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n",
    "#!/bin/sh\necho hi\n",
    "  indented\nless\n",
    "key: |\n  text\n",
    "a\n\n\nb",
    "\n\n a\n",
    "=a",
    "+",
    ".",
    "..",
    "1.",
    "0.",
    "0x",
    "1__0",
    "_1",
    "+.5e3",
];

#[test]
fn hostile_texts_come_back_as_values_and_as_keys() {
    for text in HOSTILE {
        comes_back(&config_map(json!({ "key": text })));
        comes_back(&config_map(json!({ *text: "value" })));
        comes_back(&config_map(json!({ "list": [text, { "in": text, "more": [text] }], *text: { *text: text } })));
    }
    let long = "word ".repeat(100);
    comes_back(&config_map(json!({ "long": long, "unbroken": "x".repeat(5000), "lines": format!("{long}\n {long}\n") })));
}

/// No line of a block may look like a separator to Helm, which splits manifests by the expression `(?m)^---[ \t]*`.
#[test]
fn only_separators_begin_with_three_dashes() {
    let data: Map<_, _> = HOSTILE.iter().enumerate().map(|(index, text)| (format!("key{index}"), json!(text))).collect();
    let text = config_map(Value::Object(data)).to_text();
    assert_eq!(text.lines().filter(|line| line.starts_with("---")).count(), 1, "{text}");
    assert!(text.starts_with("---\n# Source: dbt-server/templates/manifests.yaml\napiVersion: v1\n"));
}

/// Go's reader refuses a block that begins with a tab, and takes some characters for line breaks: PyYAML with libyaml does the same.
#[test]
fn what_gos_reader_gets_wrong_is_quoted() {
    for (text, written) in [
        ("\ta\nb", r#"key: "\ta\nb""#),
        (" \ta\nb", r#"key: " \ta\nb""#),
        ("a\u{85}b", r#"key: "a\Nb""#),
        ("a\nb", "key: |-\n    a\n    b"),
    ] {
        let manifest = config_map(json!({ "key": text })).to_text();
        assert!(manifest.contains(written), "{manifest}");
    }
}

#[test]
fn numbers_flags_and_empty_collections_come_back() {
    let numbers = json!([0, -1, 80, 3_000_000, 1_000_650_000, i64::MAX, i64::MIN, u64::MAX, 0.5, 1e300, -2.5e-7]);
    comes_back(&config_map(
        json!({ "numbers": numbers, "flags": [true, false], "nothing": null, "map": {}, "list": [], "lists": [[], [[]], [{}]] }),
    ));
}

fn json_values() -> impl Strategy<Value = Value> {
    let text = || {
        prop_oneof![any::<String>(), "[ -~\n\t]{0,40}", "[-:#? \n\ta0.e_]{0,8}", proptest::sample::select(HOSTILE).prop_map(str::to_owned)]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_comes_back(data in json_values()) {
        comes_back(&config_map(data));
    }

    #[test]
    fn no_text_panics(text in any::<String>(), yaml in "[-a:\n &*!|>{}\\[\\]#'\"?,]{0,60}") {
        let _ = Manifest::from_text(&text);
        let _ = Manifest::from_text(&yaml);
    }

    #[test]
    fn equal_objects_have_equal_hashes_and_others_do_not(one in json_values(), two in json_values()) {
        prop_assert_eq!(config_map(one.clone()).hash() == config_map(two.clone()).hash(), one == two);
    }
}

#[test]
fn manifests_of_other_makers_are_read() {
    let text = "\r\n---\r\n# Source: a/b.yaml\r\n# a comment\r\n--- # with a comment\r\napiVersion: v1\r\nkind: Secret\r\nmetadata:\r\n  name: a\r\n  labels: &labels {app: x}\r\n---\r\n---\r\n\
                # nothing\r\n---\r\nkind: ConfigMap\r\napiVersion: v1\r\nmetadata: {name: b, labels: *labels}\r\n";
    // An anchor ends with its document.
    assert!(matches!(Manifest::from_text(text), Err(ManifestError::Yaml(_))));
    let manifest = Manifest::from_text(&text.replace("*labels", "{}")).unwrap();
    assert_eq!(titles(&manifest), ["Secret/a", "ConfigMap/b"]);
    assert_eq!(manifest.objects()[0].label("app"), Some("x"));
    for empty in ["", "\n", "---\n", "---\n# only this\n", "---\n---\n...\n"] {
        assert_eq!(Manifest::from_text(empty), Ok(Manifest::default()), "{empty:?}");
    }
}

#[test]
fn text_is_read_as_go_reads_it() {
    let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nspec:\n  base: &base {x: 1, y: 2}\n  merged: {<<: *base, y: 3}\n  mode: 0644\n  flag: on\n  twice: 1\n  twice: 2\n  time: 12:30\n  date: 2001-01-01\n";
    let manifest = Manifest::from_text(text).unwrap();
    let spec = &manifest.objects()[0].value()["spec"];
    assert_eq!(spec["merged"], json!({ "x": 1, "y": 3 }));
    assert_eq!(spec["mode"], 420);
    assert_eq!(spec["flag"], true);
    assert_eq!(spec["twice"], 2);
    assert_eq!((&spec["time"], &spec["date"]), (&json!("12:30"), &json!("2001-01-01")));
}

#[test]
fn lists_count_as_their_items() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: b}\n---\n\
                apiVersion: v1\nkind: ConfigMapList\nitems: []\n---\napiVersion: acme.example.com/v1\nkind: AllowList\nmetadata: {name: c}\n";
    let manifest = Manifest::from_text(text).unwrap();
    assert_eq!(titles(&manifest), ["Secret/a", "ConfigMap/b", "AllowList/c"]);
    assert_eq!(manifest.objects()[1].api_version(), "v1");
}

#[test]
fn what_is_no_manifest_is_refused_without_quoting_it() {
    for text in [
        "a: [",
        "a: b: c",
        "\"canary",
        "- canary",
        "canary",
        "{kind: canary}",
        "apiVersion: v1\nkind: X\n",
        "apiVersion: v1\nkind: X\nmetadata: {name: ''}",
        "a: *canary",
        "a: .inf\n",
    ] {
        let error = Manifest::from_text(text).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn bombs_are_refused() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        aliases.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    let deep = "[".repeat(100_000);
    let deep_closed = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let deep_block = (0..5_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    for bomb in [aliases, deep, deep_closed, deep_block] {
        assert!(Manifest::from_text(&bomb).is_err());
    }
}

#[test]
fn objects_are_in_helms_order_and_then_by_name() {
    let kinds = ["Ingress", "Zebra", "StatefulSet", "ConfigMap", "Service", "IngressRoute", "Secret", "ServiceAccount", "HTTPRoute"];
    let mut objects: Vec<_> = kinds.iter().map(|kind| object("v1", kind, "b")).collect();
    objects.push(object("v1", "Secret", "a"));
    let manifest = Manifest::new(objects);
    let expected = [
        "ServiceAccount/b",
        "Secret/a",
        "Secret/b",
        "ConfigMap/b",
        "Service/b",
        "StatefulSet/b",
        "Ingress/b",
        "HTTPRoute/b",
        "IngressRoute/b",
        "Zebra/b",
    ];
    assert_eq!(titles(&manifest), expected);
    assert_eq!(
        manifest.kinds(),
        ["ServiceAccount", "Secret", "ConfigMap", "Service", "StatefulSet", "Ingress", "HTTPRoute", "IngressRoute", "Zebra"]
    );
}

#[test]
fn an_applied_object_says_that_it_is_helms() {
    let release = ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
    let owned = object("v1", "Secret", "a").owned(&release);
    assert_eq!(owned["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "Helm" }));
    let annotations = json!({ "meta.helm.sh/release-name": "dbt-server-a", "meta.helm.sh/release-namespace": "dbt-server" });
    assert_eq!(owned["metadata"]["annotations"], annotations);
    let labelled = ManifestObject::new(
        json!({ "apiVersion": "v1", "kind": "X", "metadata": { "name": "a", "labels": { "b": "c" }, "annotations": null } }),
    )
    .unwrap();
    let owned = labelled.owned(&release);
    assert_eq!(owned["metadata"]["labels"], json!({ "b": "c", "app.kubernetes.io/managed-by": "Helm" }));
    assert_eq!(owned["metadata"]["annotations"], annotations);
}

#[test]
fn the_age_of_a_release_has_no_part_in_its_hash() {
    let of = |annotations: Value| {
        Manifest::new(vec![
            ManifestObject::new(json!({ "apiVersion": "v1", "kind": "X", "metadata": { "name": "a", "annotations": annotations } }))
                .unwrap(),
        ])
    };
    let first = of(json!({ CREATED_AT: "2026-01-01T00:00:00Z", "b": "c" }));
    let second = of(json!({ CREATED_AT: "2027-01-01T00:00:00Z", "b": "c" }));
    assert_eq!(first.hash(), second.hash());
    assert_ne!(first.hash(), of(json!({ "b": "d" })).hash());
}

#[test]
fn debug_shows_no_secret() {
    let manifest = config_map(json!({ "password": "canary" }));
    assert_eq!(format!("{manifest:?}"), "Manifest { objects: [ConfigMap/a] }");
}

#[test]
fn an_alias_of_a_long_text_does_not_multiply_it() {
    let text = "x".repeat(500_000);
    let aliases = "*a, ".repeat(40_000);
    let merged = "- {<<: *m}\n".repeat(40_000);
    for bomb in [format!("a: &a {text}\nb: [{aliases}]\n"), format!("m: &m {{k: {text}}}\nb:\n{merged}")] {
        // 20 GB, if each alias became a text of its own.
        assert!(Manifest::from_text(&format!("apiVersion: v1\nkind: C\nmetadata: {{name: x}}\n{bomb}")).is_err());
    }
}

#[test]
fn a_manifest_as_large_as_a_record_can_hold_is_read() {
    let text = "x".repeat(30 << 20);
    let manifest = Manifest::from_text(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{k: {text}}}\n")).unwrap();
    assert_eq!(manifest.objects().len(), 1);
}

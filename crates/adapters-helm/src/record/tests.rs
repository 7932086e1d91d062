//! The fixtures are Secrets as real Helms 3.22 and 4.3 wrote them (an install, an upgrade, a rollback, then an uninstall that kept the
//! history), east of Greenwich, with a hook, notes and a label of the release's own.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const FIXTURES: [(&str, u32, &str); 6] = [
    ("h3", 1, include_str!("fixtures/helm3-revision1.json")),
    ("h3", 2, include_str!("fixtures/helm3-revision2.json")),
    ("h3", 3, include_str!("fixtures/helm3-revision3.json")),
    ("h4", 1, include_str!("fixtures/helm4-revision1.json")),
    ("h4", 2, include_str!("fixtures/helm4-revision2.json")),
    ("h4", 3, include_str!("fixtures/helm4-revision3.json")),
];

fn fixture(release: &str, revision: u32) -> Secret {
    let found = FIXTURES.iter().find(|(name, number, _)| *name == release && *number == revision);
    serde_json::from_str(found.unwrap().2).unwrap()
}

fn decode(secret: &Secret) -> Result<Record, Unreadable> {
    Record::decode(RecordKey::of(&secret.metadata).unwrap(), secret)
}

/// The payload as JSON, by another way than the codec's.
fn payload(secret: &Secret) -> Value {
    serde_json::from_str(&unpack(&secret.data.as_ref().unwrap()[DATA_KEY].0).unwrap()).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    time("2026-11-21T13:00:00.123456789Z")
}

fn key(revision: u32) -> RecordKey {
    let release = ReleaseKey { namespace: "golden".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
    RecordKey::new(&release, RevisionNumber(revision))
}

fn record(manifest: &str) -> Record {
    let draft = Draft {
        key: key(7),
        status: ReleaseStatus::PendingUpgrade,
        description: "Preparing upgrade",
        first_deployed: time("2026-11-20T10:00:00Z"),
        last_deployed: now(),
        chart: &json!({ "metadata": { "name": "dbt-server", "version": "1.2.3", "appVersion": "4" } }),
        config: &json!({ "manifests": [] }),
        manifest,
    };
    Record::new(&draft, &BTreeMap::from([("team".to_owned(), "data".to_owned())]))
}

/// A Secret with this in the place of the payload.
fn holding(data: &[u8]) -> Secret {
    let mut secret = fixture("h4", 1);
    secret.data = Some(BTreeMap::from([(DATA_KEY.to_owned(), ByteString(data.to_vec()))]));
    secret
}

#[test]
fn records_of_both_helms_are_read() {
    for (name, number, _) in FIXTURES {
        let record = decode(&fixture(name, number)).unwrap();
        assert_eq!((record.release().name.as_str(), record.key().revision.0), (name, number));
        let (status, description) = match number {
            1 => (ReleaseStatus::Superseded, "Install complete"),
            2 => (ReleaseStatus::Superseded, "bigger"),
            _ => (ReleaseStatus::Uninstalled, "Uninstallation complete"),
        };
        assert_eq!((record.status(), record.description().as_str()), (status, description));
        assert_eq!(record.labels(), &BTreeMap::from([("team".to_owned(), "data".to_owned())]));
        assert_eq!(record.chart()["metadata"]["version"], "1.2.3");
        assert_eq!(record.values().unwrap()["big"], "12345678901234567890");
        assert!(record.manifest().unwrap().starts_with("---\n# Source: golden/templates/config.yaml\napiVersion: v1\n"));
        assert!(record.first_deployed() <= record.last_deployed());
        // Helm 3 does not tell.
        assert_eq!(record.rollback_revision(), (name == "h4" && number == 3).then_some(RevisionNumber(1)));
    }
    assert_eq!(decode(&fixture("h3", 1)).unwrap().first_deployed(), Some(time("2026-11-21T12:39:52.216667414Z")));
}

#[test]
fn times_that_are_not_told_are_none() {
    let mut record = record("");
    for absent in ["\"\"", "\"0001-01-01T00:00:00Z\"", "null", "7", "\"soon\""] {
        record.info.insert("first_deployed".to_owned(), RawValue::from_string(absent.to_owned()).unwrap());
        assert_eq!(record.first_deployed(), None, "{absent}");
    }
}

#[test]
fn a_rewritten_record_keeps_everything_but_its_status() {
    for (name, number, _) in FIXTURES {
        let secret = fixture(name, number);
        let mut record = decode(&secret).unwrap();
        record.set_status(ReleaseStatus::Failed);
        record.set_description("why");
        let written = record.encode(Stamp::Modified, now()).unwrap();

        let mut promised = payload(&secret);
        promised["info"]["status"] = json!("failed");
        promised["info"]["description"] = json!("why");
        assert_eq!(payload(&written), promised);
        let mut labels = secret.metadata.labels.unwrap();
        labels.insert("status".to_owned(), "failed".to_owned());
        labels.insert("modifiedAt".to_owned(), "1795266000".to_owned());
        assert_eq!(written.metadata.labels, Some(labels));
        assert_eq!((written.metadata.name, written.type_), (secret.metadata.name, secret.type_));
    }
}

#[test]
fn a_rewritten_record_keeps_the_spelling_of_what_nobody_looked_at() {
    let odd = r#"{"name":"h4","version":1,"later":[1e30,12345678901234567890123,1.50],"info":{"status":"deployed","last_deployed":"2026-11-21T18:09:52.2+05:30","x":1E2}}"#;
    let record = decode(&holding(&pack(odd.as_bytes()))).unwrap();
    let written = record.encode(Stamp::Modified, now()).unwrap();
    let text = unpack(&written.data.unwrap()[DATA_KEY].0).unwrap();
    for part in ["[1e30,12345678901234567890123,1.50]", "\"2026-11-21T18:09:52.2+05:30\"", "1E2"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_new_record_is_as_helm_writes_it() {
    let secret = record("---\n").encode(Stamp::Created, now()).unwrap();
    assert_eq!(secret.metadata.name.as_deref(), Some("sh.helm.release.v1.dbt-server-a.v7"));
    let labels = json!({
        "name": "dbt-server-a", "owner": "helm", "status": "pending-upgrade", "version": "7", "createdAt": "1795266000", "team": "data",
    });
    assert_eq!(serde_json::to_value(&secret.metadata.labels).unwrap(), labels);
    let promised = json!({
        "name": "dbt-server-a",
        "namespace": "golden",
        "version": 7,
        "info": {
            "first_deployed": "2026-11-20T10:00:00Z",
            "last_deployed": "2026-11-21T13:00:00.123456789Z",
            "status": "pending-upgrade",
            "description": "Preparing upgrade",
        },
        "chart": { "metadata": { "name": "dbt-server", "version": "1.2.3", "appVersion": "4" } },
        "config": { "manifests": [] },
        "manifest": "---\n",
        "apply_method": "ssa",
    });
    assert_eq!(payload(&secret), promised);
    assert_eq!(decode(&secret).unwrap().status(), ReleaseStatus::PendingUpgrade);
}

#[test]
fn a_rollback_takes_the_content_and_only_that() {
    let old = decode(&fixture("h3", 2)).unwrap();
    let stamp = |values: &mut Value| values["controller"] = json!({ "operation": "op-1" });
    let back = old.rollback(RevisionNumber(9), time("2026-11-20T10:00:00Z"), now(), stamp).unwrap();
    let written = payload(&back.encode(Stamp::Created, now()).unwrap());
    let mut promised = payload(&fixture("h3", 2));
    promised["version"] = json!(9);
    promised["apply_method"] = json!("ssa");
    promised["config"]["controller"] = json!({ "operation": "op-1" });
    promised["info"] = json!({
        "first_deployed": "2026-11-20T10:00:00Z",
        "last_deployed": "2026-11-21T13:00:00.123456789Z",
        "status": "pending-rollback",
        "description": "Rollback to 2",
        "rollback_revision": 2,
        "notes": "Size 2 — ünïcode\n",
    });
    assert_eq!(written, promised);
    assert_eq!(back.labels(), old.labels());
}

#[test]
fn what_is_no_payload_is_unreadable_in_words() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into_bytes();
    let good = gzip(br#"{"name":"h4","version":1,"info":{}}"#);
    let json = |text: &str| base64(&gzip(text.as_bytes()));
    let cases = [
        (b"***".to_vec(), "it is no valid base64"),
        (Vec::new(), "it is no valid JSON at line 1, column 0"),
        (base64(&good[..good.len() - 9]), "it cannot be decompressed"),
        (base64(&gzip(&vec![b' '; (32 << 20) + 1])), "it unpacks to more than 32 MiB"),
        (base64(&gzip(b"\xff\xfe")), "it is no valid UTF-8"),
        (base64(b"\xff\xfe"), "it is no valid UTF-8"),
        (json(r#"{"name": secret-word}"#), "it is no valid JSON at line 1, column 10"),
        (json("[]"), "it is no valid JSON at line 1, column 0"),
        (json(r#"{"name":"h4","version":1}"#), "`info` is missing or is not what Helm writes"),
        (json(r#"{"name":"h4","version":1,"info":[]}"#), "`info` is missing or is not what Helm writes"),
        (json(r#"{"name":"h4","version":"1","info":{}}"#), "`version` is missing or is not what Helm writes"),
        (json(r#"{"name":"h4","version":2,"info":{}}"#), "it is the record of another revision"),
        (json(r#"{"version":1,"info":{}}"#), "it is the record of another revision"),
    ];
    for (data, why) in cases {
        assert_eq!(decode(&holding(&data)).unwrap_err().to_string(), why);
    }
    assert!(decode(&holding(&base64(br#"{"name":"h4","version":1,"info":{}}"#))).is_ok(), "records were not always compressed");
    let mut empty = fixture("h4", 1);
    empty.data = None;
    assert_eq!(decode(&empty).unwrap_err(), Unreadable::Empty);
    let mut later = fixture("h4", 1);
    later.type_ = Some("helm.sh/release.v2".to_owned());
    assert_eq!(decode(&later).unwrap_err().to_string(), "it is of type `helm.sh/release.v2`, which this version does not know");
}

#[test]
fn a_record_that_does_not_fit_is_refused_before_the_write() {
    // Noise does not shrink.
    let mut state = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + 1 + u8::try_from(state >> 33 & 0x3f).unwrap())
    })
    .take(2 << 20)
    .collect();
    let TooLarge(bytes) = record(&noise).encode(Stamp::Created, now()).unwrap_err();
    assert!(bytes > MAX_SECRET_BYTES);
    assert!(record(&noise[..1 << 19]).encode(Stamp::Created, now()).is_ok());
}

#[test]
fn the_name_of_a_secret_tells_the_revision() {
    let parse = |name: &str| RecordKey::parse("ns", name).map(|key| (key.release.name.to_string(), key.revision.0));
    let cases = [
        ("sh.helm.release.v1.a.v1", Some(("a", 1))),
        ("sh.helm.release.v1.a.v2.b.v10", Some(("a.v2.b", 10))),
        ("sh.helm.release.v2.a.v3", Some(("a", 3))),
        ("sh.helm.release.v1.a.v0", None),
        ("sh.helm.release.v0.a.v1", None),
        ("sh.helm.release.v1.a.v01", None),
        ("sh.helm.release.v01.a.v1", None),
        ("sh.helm.release.v1.a.v+1", None),
        ("sh.helm.release.v1.a.v99999999999", None),
        ("sh.helm.release.v1.a", None),
        ("sh.helm.release.v1..v1", None),
        ("sh.helm.release.vx.a.v1", None),
        ("sh.helm.release.v1.A.v1", None),
        ("other", None),
    ];
    for (name, promised) in cases {
        assert_eq!(parse(name), promised.map(|(name, number)| (name.to_owned(), number)), "{name}");
        let again = RecordKey::parse("ns", name).map(|key| key.secret_name());
        assert_eq!(again.as_deref(), promised.map(|_| name), "who asks for the record asks for this Secret");
    }
    assert_eq!(RecordKey::parse("golden", &key(7).secret_name()), Some(key(7)));
}

#[test]
fn a_record_in_a_later_format_is_not_read_whatever_its_type_says() {
    let mut secret = record("").encode(Stamp::Created, now()).unwrap();
    secret.metadata.name = Some("sh.helm.release.v2.dbt-server-a.v7".to_owned());
    assert_eq!(decode(&secret).unwrap_err(), Unreadable::FormatNumber(2));
    secret.type_ = Some("helm.sh/release.v2".to_owned());
    assert_eq!(decode(&secret).unwrap_err(), Unreadable::Format("helm.sh/release.v2".to_owned()));
}

#[test]
fn the_debug_form_holds_no_content() {
    let text = format!("{:?}", record("the-secret-manifest"));
    assert!(text.contains("dbt-server-a") && !text.contains("the-secret-manifest"), "{text}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_payload_holds_is_kept(
        fields in prop::collection::btree_map("[a-z]{1,12}", any_json(), 0..6),
        info in prop::collection::btree_map("[a-z]{1,12}", any_json(), 0..6),
    ) {
        let mut json: BTreeMap<String, Value> = fields;
        json.insert("name".to_owned(), "h4".into());
        json.insert("version".to_owned(), 1.into());
        json.insert("info".to_owned(), info.into_iter().collect());
        let secret = holding(&pack(&serde_json::to_vec(&json).unwrap()));
        let written = decode(&secret).unwrap().encode(Stamp::Modified, now()).unwrap();
        prop_assert_eq!(payload(&written), payload(&secret));
    }

    #[test]
    fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        // Whatever comes of it.
        let _ = decode(&holding(&data));
        let _ = decode(&holding(&pack(&data)));
        let _ = decode(&holding(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &data).into_bytes()));
    }
}

#[test]
fn deep_json_is_kept_as_text_and_not_followed() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let json = format!(r#"{{"name":"h4","version":1,"info":{{"status":{deep}}},"config":{deep},"chart":{deep},"manifest":{deep}}}"#);
    let record = decode(&holding(&pack(json.as_bytes()))).unwrap();
    assert_eq!(record.values(), Err(Unreadable::Field("config")));
    assert_eq!(record.manifest(), Err(Unreadable::Field("manifest")));
    assert_eq!(record.status(), ReleaseStatus::Unknown);
    assert_eq!(record.chart(), json!({ "metadata": null }));
    assert!(record.encode(Stamp::Modified, now()).is_ok());
}

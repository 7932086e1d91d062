use super::super::table::TABLE;
use super::*;

/// Texts that a setting refuses, each with a part of what it says about them.
#[track_caller]
fn check(name: &str, texts: &[&str], said: &str) {
    for text in texts {
        let mut variables = vec![(name, *text)];
        if name != "SECRET_KEY" {
            variables.push(("SECRET_KEY", "a-key-for-the-tests-1"));
        }
        let faults = faults(load_with(&variables));
        assert_eq!(faults.len(), 1, "{name}={text:?}: {faults:?}");
        assert_eq!(faults[0].0, name);
        assert!(faults[0].1.contains(said), "{name}={text:?}: {}", faults[0].1);
    }
}

#[test]
fn a_wrong_text_is_refused_by_the_setting_it_is_for() {
    check("SECRET_KEY", &[""], "must not be empty");
    check("SECRET_KEY", &[" ", "two words", "line\nbreak", "größe"], "visible ASCII");
    check("SECRET_KEY_PREVIOUS", &["two words"], "visible ASCII");
    check("HOST", &["example.com", "1.2.3", "127.0.0.1:80"], "IP address");
    check("PORT", &["65536", "-1", "http", "80.5", "tcp://10.0.0.1:6798"], "from 0 to 65535");
    check("KUBERNETES_NAMESPACE", &["Upper", "a_b", "-a"], "namespace name");
    check("ALLOWED_NAMESPACES", &["a,B"], "namespace name");
    check("CLOUD_PROVIDER", &["GCP", "ovh"], "`self-managed`");
    check("GCP_SERVICE_ACCOUNT", &["me", "@x.y", "a@b", "a b@c.d"], "e-mail");
    check("DEFAULT_CUSTOMER", &["a.b", "a b"], "host name");
    check("DEFAULT_DOMAIN", &["a..b", "https://a.b"], "DNS name");
    check("DEFAULT_TAG", &["a/b", ".a", "a b"], "image tag");
    check("DEPLOY_TIMEOUT", &["30 m", "1d", "m", "-1s", "1.5h", "30m1s"], "such as `30m`");
    check("DEPLOY_TIMEOUT", &["9000h", "99999999999999999999", "18446744073709551615h"], "");
    check("DEPLOY_TIMEOUT", &["0", "999ms"], "1s or longer");
    check("LOCK_STALE_AFTER", &["5999ms", "5"], "6s or longer");
    check("OPERATION_RETENTION", &["0", "59s"], "60s or longer");
    check("MAX_CONCURRENT_DEPLOYMENTS", &["0", "many"], "from 1");
    check("CRASH_LOOP_RESTARTS", &["0"], "from 1");
    check("REQUESTS_PER_SECOND", &["0"], "from 1");
    check("MAX_CONNECTIONS", &["0", "65536"], "from 1 to 65535");
    check("CORS_ORIGINS", &["example.com", "https://a/b", "https://", "https://*.a.b"], "such as `https://example.com`");
    check("CORS_ORIGINS", &["*,https://a.b"], "alone");
    check("LOG_LEVEL", &["verbose"], "`warning`");
    check("DEBUG", &["maybe"], "`true` or `false`");
}

#[test]
fn a_pod_must_be_able_to_end_while_an_undo_waits_for_it() {
    check("SERVER_TERMINATION_GRACE", &["151s", "1h"], "half of `UNDO_TIMEOUT`");
    let variables = [("SECRET_KEY", "a-key-for-the-tests-1"), ("SERVER_TERMINATION_GRACE", "1h"), ("UNDO_TIMEOUT", "2h")];
    assert!(load_with(&variables).is_ok());
}

#[test]
fn a_wrong_size_is_refused_by_its_name() {
    check("SERVER_SIZES", &["small", "[]", "{\"a\": {}"], "JSON object");
    check("SERVER_SIZES", &["{\"a\": 1}"], "size `a` must be an object");
    check("SERVER_SIZES", &["{\"a b\": {}}", "{\"\": {}}"], "must have a name");
    let good =
        serde_json::json!({"cpu_request": "1", "cpu_limit": "2", "memory_request": "1Gi", "memory_limit": "2Gi", "storage_size": "1Gi"});
    let with = |field: &str, value: serde_json::Value| {
        let mut size = good.clone();
        size[field] = value;
        serde_json::json!({ "a": size }).to_string()
    };
    check("SERVER_SIZES", &["{\"a\": {\"cpu_request\": \"1\"}}"], "size `a` lacks `cpu_limit`");
    check("SERVER_SIZES", &[&with("cpu", "1".into())], "has a field beside");
    check("SERVER_SIZES", &[&with("cpu_limit", "1.5".into())], "`cpu_limit` of size `a` must be a whole number above 0 of cores");
    check("SERVER_SIZES", &[&with("memory_limit", true.into())], "must be a text");
    check("SERVER_SIZES", &[&with("cpu_limit", "900m".into())], "`cpu_request` of size `a` must not be above");
    check("SERVER_SIZES", &[&with("memory_limit", "512Mi".into())], "`memory_request` of size `a` must not be above");
}

#[test]
fn all_faults_come_at_once() {
    let variables = [("PORT", "x"), ("DEPLOY_TIMEOUT", "x"), ("DEFAULT_TAG", "/"), ("DEBUG", "x"), ("SERVER_SIZES", "x")];
    let found: Vec<_> = faults(load_with(&variables)).into_iter().map(|(variable, _)| variable).collect();
    for expected in ["SECRET_KEY", "PORT", "DEPLOY_TIMEOUT", "DEFAULT_TAG", "DEBUG", "SERVER_SIZES"] {
        assert!(found.iter().any(|variable| variable == expected), "{expected} in {found:?}");
    }
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn a_fault_hides_none_of_a_setting_that_is_judged_by_another_one() {
    let variables = [
        ("SECRET_KEY", "a-key-for-the-tests-1"),
        ("KUBERNETES_NAMESPACE", "A_"),
        ("DEPLOY_TIMEOUT", "x"),
        ("HELM_ENGINE", "x"),
        ("SERVER_TERMINATION_GRACE", "10m"),
        ("AIRFLOW_URL", "airflow"),
        ("AIRFLOW_CA_FILE", "/nowhere/ca.pem"),
    ];
    let found: Vec<_> = faults(load_with(&variables)).into_iter().map(|(variable, _)| variable).collect();
    for expected in ["KUBERNETES_NAMESPACE", "DEPLOY_TIMEOUT", "HELM_ENGINE", "SERVER_TERMINATION_GRACE", "AIRFLOW_URL", "AIRFLOW_CA_FILE"]
    {
        assert!(found.iter().any(|variable| variable == expected), "{expected} in {found:?}");
    }
    // Nothing is said of a time that is judged by one which is wrong.
    for undo_timeout in ["x", "0"] {
        let wrong = [variables[0], ("UNDO_TIMEOUT", undo_timeout), ("SERVER_TERMINATION_GRACE", "10m")];
        assert_eq!(faults(load_with(&wrong)).len(), 1);
    }
}

#[test]
fn without_a_key_there_is_no_start() {
    assert_eq!(faults(load_with(&[])), [("SECRET_KEY".to_owned(), "is required".to_owned())]);
    // Somebody who sets an empty one means a key, and gets none made up.
    assert_eq!(faults(load_embedded(&[("SECRET_KEY", "")])), [("SECRET_KEY".to_owned(), "must not be empty".to_owned())]);
}

#[test]
fn a_rotation_needs_two_keys() {
    let faults = faults(load_with(&[("SECRET_KEY", "one-and-the-same-key"), ("SECRET_KEY_PREVIOUS", "one-and-the-same-key")]));
    assert_eq!(faults[0].0, "SECRET_KEY_PREVIOUS");
    assert!(faults[0].1.contains("must not be the same"), "{faults:?}");
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    let error = load(true, &|name| match name {
        "PORT" => Err(VarError::NotUnicode("wert".into())),
        _ => Err(VarError::NotPresent),
    })
    .unwrap_err();
    assert_eq!(error.0[0].variable, "PORT");
    assert_eq!(error.0[0].message, "must be UTF-8");
}

#[test]
fn no_error_repeats_what_was_set() {
    // Not a valid text for any setting: no word, number, time, name, list item or JSON.
    const CANARY: &str = "CANARY /@ 7f3a";
    let texts = ["FLASK_ENV", "KUBERNETES_CONTEXT", "CONFIG_FILE", "AIRFLOW_USER", "AIRFLOW_PASSWORD"];
    let usable = [
        ("SECRET_KEY", "a-key-for-the-tests-1"),
        ("AIRFLOW_URL", "https://airflow:8080"),
        ("AIRFLOW_USER", "admin"),
        ("AIRFLOW_PASSWORD", "a-password"),
    ];
    for setting in TABLE.iter().filter(|setting| !texts.contains(&setting.name)) {
        let error = load_with(&[&usable[..], &[(setting.name, CANARY)]].concat()).expect_err(setting.name);
        assert!(error.0.iter().any(|fault| fault.variable == setting.name), "{}: {error}", setting.name);
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}

#[test]
fn the_message_lists_every_fault_on_a_line_of_its_own() {
    let message = load_with(&[("PORT", "x")]).unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines[0], "2 settings are not usable:");
    assert_eq!(lines[1], "  SECRET_KEY: is required");
    assert_eq!(lines[2], "  PORT: must be a whole number from 0 to 65535");
    assert!(lines[3].contains("serve --help"), "{message}");
}

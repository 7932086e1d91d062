use super::*;

const KEY: (&str, &str) = ("SECRET_KEY", "a-key-for-the-tests-1");
const LOGIN: [(&str, &str); 3] =
    [("AIRFLOW_URL", "https://airflow:8080"), ("AIRFLOW_USER", "admin"), ("AIRFLOW_PASSWORD", "CANARY-airflow")];

#[track_caller]
fn check(variables: &[(&str, &str)], variable: &str, words: &str) {
    let found = faults(load_with(&[&[KEY], variables].concat()));
    assert!(found.iter().any(|(name, message)| name == variable && message.contains(words)), "{found:?}");
    assert!(!format!("{found:?}").contains("CANARY"), "{found:?}");
}

#[test]
fn without_an_address_there_is_no_airflow_and_with_a_login_there_is_one() {
    assert!(load_with(&[KEY]).unwrap().airflow.is_none());
    let settings = load_with(&[&[KEY], &LOGIN[..]].concat()).unwrap();
    assert!(settings.airflow.is_some());
    assert!(!format!("{settings:?}").contains("CANARY"), "{settings:?}");
    assert_eq!(settings.shown["AIRFLOW_PASSWORD"], "***");
}

#[test]
fn what_is_missing_or_has_no_effect_is_told() {
    check(&LOGIN[..1], "AIRFLOW_USER", "is required beside AIRFLOW_URL");
    check(&LOGIN[..1], "AIRFLOW_PASSWORD", "is required beside AIRFLOW_URL");
    check(&LOGIN[1..], "AIRFLOW_URL", "is required beside AIRFLOW_USER, AIRFLOW_PASSWORD");
    check(&[("SLEEP_WITH_DAGS", "true")], "AIRFLOW_URL", "is required beside SLEEP_WITH_DAGS");
    check(&[("AIRFLOW_CA_FILE", "/nowhere/ca.pem")], "AIRFLOW_URL", "is required beside AIRFLOW_CA_FILE");
    let unreadable = faults(load_with(&[KEY, LOGIN[0], LOGIN[1], ("AIRFLOW_PASSWORD_FILE", "/nowhere/password")]));
    assert_eq!(unreadable.len(), 1, "{unreadable:?}");
    assert!(load_embedded(&[("SLEEP_WITH_DAGS", "true")]).unwrap().workflows.sleep_with_dags);
}

#[test]
fn an_address_or_a_file_that_cannot_be_used_is_told() {
    let with = |url: &'static str| [("AIRFLOW_URL", url), LOGIN[1], LOGIN[2]];
    check(&with("airflow"), "AIRFLOW_URL", "must be an address");
    check(&with("http://admin:CANARY@airflow"), "AIRFLOW_URL", "must not hold a login");
    check(&with("http://airflow/api/v1"), "AIRFLOW_URL", "without `/api/…`");
    check(&[&LOGIN[..], &[("AIRFLOW_CA_FILE", "/nowhere/ca.pem")]].concat(), "AIRFLOW_CA_FILE", "cannot be read");
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/tests/ca.pem");
    check(&[&with("http://airflow")[..], &[("AIRFLOW_CA_FILE", ca)]].concat(), "AIRFLOW_CA_FILE", "has no effect");
    let no_certificate = TemporaryFile::new(".pem", "CANARY");
    check(&[&LOGIN[..], &[("AIRFLOW_CA_FILE", no_certificate.path())]].concat(), "AIRFLOW_CA_FILE", "no certificate");
}

use std::time::Duration;

use super::*;

fn load_file(ending: &str, text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let file = TemporaryFile::new(ending, text);
    let variables: Vec<_> = variables.iter().copied().chain([("CONFIG_FILE", file.path())]).collect();
    load_embedded(&variables)
}

#[test]
fn toml_and_yaml_say_the_same() {
    let toml = "PORT = 8080\nDEPLOY_TIMEOUT = \"10m\"\nUNDO_TIMEOUT = 90\nDEBUG = true\nDEFAULT_TAG = \"1.10\"\n\
                ALLOWED_NAMESPACES = [\"a\", \"b\"]\n[SERVER_SIZES.small]\ncpu_request = 1\ncpu_limit = 2\n\
                memory_request = \"1Gi\"\nmemory_limit = \"2Gi\"\nstorage_size = \"1Gi\"\n";
    let yaml = "PORT: 8080\nDEPLOY_TIMEOUT: 10m\nUNDO_TIMEOUT: 90\nDEBUG: true\nDEFAULT_TAG: '1.10'\nALLOWED_NAMESPACES: [a, b]\n\
                SERVER_SIZES:\n  small: {cpu_request: 1, cpu_limit: 2, memory_request: 1Gi, memory_limit: 2Gi, storage_size: 1Gi}\nDEFAULT_DOMAIN: null\n";
    for (ending, text) in [(".toml", toml), (".yaml", yaml), (".yml", yaml)] {
        let settings = load_file(ending, text, &[]).unwrap();
        assert_eq!(settings.http.listen.port, 8080, "{ending}");
        assert_eq!(settings.workflows.deploy_timeout, Duration::from_secs(600));
        assert_eq!(settings.workflows.undo_timeout, Duration::from_secs(90));
        assert_eq!(settings.logs.level, LogLevel::DEBUG);
        assert_eq!(settings.defaults.tag.as_deref(), Some("1.10"));
        assert_eq!(settings.workflows.namespaces.len(), 3);
        assert_eq!(settings.defaults.sizes["small"].cpu_limit.as_str(), "2");
        assert_eq!(settings.defaults.domain.unwrap().as_str(), "example.com");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = load_file(".toml", "PORT = 8080\nDEFAULT_TAG = \"2\"\n", &[("PORT", "9090")]).unwrap();
    assert_eq!(settings.http.listen.port, 9090);
    assert_eq!(settings.defaults.tag.as_deref(), Some("2"));
}

#[test]
fn a_key_that_nobody_reads_is_an_error() {
    let found = faults(load_file(".toml", "PROT = 8080\nport = 1\nCONFIG_FILE = \"x\"\nAIRFLOW_TOKEN = \"x\"\n", &[]));
    let expected = [
        ("AIRFLOW_TOKEN", "is not known"),
        ("CONFIG_FILE", "cannot stand in the file that it names"),
        ("PROT", "is not known"),
        ("port", "is not known; write it as `PORT`"),
    ];
    assert_eq!(found, expected.map(|(variable, message)| (variable.to_owned(), message.to_owned())));
}

#[test]
fn a_value_of_another_type_is_refused_rather_than_guessed() {
    let check = |line: &str, variable: &str, said: &str| {
        let found = faults(load_file(".yaml", line, &[]));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].0, variable);
        assert!(found[0].1.contains(said), "{line}: {}", found[0].1);
    };
    check("DEFAULT_TAG: 1.10", "DEFAULT_TAG", "in quotes");
    check("SECRET_KEY: 12345678901234567", "SECRET_KEY", "in quotes");
    check("PORT: 80.5", "PORT", "whole number");
    check("DEBUG: 1", "DEBUG", "`true` or `false`");
    check("DEPLOY_TIMEOUT: [1]", "DEPLOY_TIMEOUT", "seconds");
    check("ALLOWED_NAMESPACES: {a: b}", "ALLOWED_NAMESPACES", "list of texts");
    check("SERVER_SIZES: [a]", "SERVER_SIZES", "a table");
}

#[test]
fn a_file_that_cannot_be_used_is_said_so() {
    let check = |ending: &str, text: &str, said: &str| {
        let found = faults(load_file(ending, text, &[]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "CONFIG_FILE");
        assert!(found[0].1.contains(said), "{}", found[0].1);
        assert!(!found[0].1.contains("CANARY"), "{}", found[0].1);
    };
    check(".ini", "PORT=1", "must end in `.toml`");
    check(".toml", "PORT = 1\nSECRET_KEY = \"CANARY", "line 2 column");
    check(".yaml", "PORT: 1\nSECRET_KEY: 'CANARY", "names a file that is not valid");
    check(".yaml", "- PORT", "names a file that is not valid");
    let found = faults(load_embedded(&[("CONFIG_FILE", "/nowhere/at-all.toml")]));
    assert!(found[0].1.contains("cannot be read"), "{found:?}");
}

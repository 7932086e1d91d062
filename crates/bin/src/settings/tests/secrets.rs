use secrecy::ExposeSecret as _;

use super::*;

const CANARY: &str = "CANARY-7f3a-secret-key";

fn token(settings: &Settings) -> &str {
    settings.http.token.as_ref().unwrap().expose_secret()
}

#[test]
fn a_secret_can_come_from_a_file_of_its_own() {
    for text in [CANARY.to_owned(), format!("{CANARY}\n"), format!("{CANARY}\r\n")] {
        let file = TemporaryFile::new("", &text);
        let settings = load_with(&[("SECRET_KEY_FILE", file.path())]).unwrap();
        assert_eq!(token(&settings), CANARY);
    }
}

#[test]
fn the_path_of_a_secret_can_stand_in_the_settings_file() {
    let secret = TemporaryFile::new("", CANARY);
    let file = TemporaryFile::new(".toml", &format!("SECRET_KEY_FILE = {:?}\n", secret.path()));
    assert_eq!(token(&load_with(&[("CONFIG_FILE", file.path())]).unwrap()), CANARY);
    // The environment wins here too, whichever of the two spellings it has.
    let settings = load_with(&[("CONFIG_FILE", file.path()), ("SECRET_KEY", "the-key-of-the-environment")]).unwrap();
    assert_eq!(token(&settings), "the-key-of-the-environment");
}

#[test]
fn only_secrets_have_a_file_of_their_own() {
    let file = TemporaryFile::new(".toml", "PORT_FILE = \"/x\"\n");
    assert_eq!(faults(load_embedded(&[("CONFIG_FILE", file.path())]))[0].0, "PORT_FILE");
}

#[test]
fn both_spellings_at_once_are_refused() {
    let file = TemporaryFile::new("", CANARY);
    let found = faults(load_with(&[("SECRET_KEY", CANARY), ("SECRET_KEY_FILE", file.path())]));
    assert_eq!(found[0].0, "SECRET_KEY_FILE");
    assert!(found[0].1.contains("beside `SECRET_KEY`"), "{found:?}");
}

#[test]
fn faults_of_a_secret_file_name_its_variable_once() {
    let empty = TemporaryFile::new("", "\n");
    let found = faults(load_with(&[("SECRET_KEY_FILE", empty.path())]));
    assert_eq!(found, [("SECRET_KEY_FILE".to_owned(), "must not be empty".to_owned())]);
    // The secret itself in the place of its path.
    let found = faults(load_with(&[("SECRET_KEY_FILE", CANARY)]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "SECRET_KEY_FILE");
    assert!(!found[0].1.contains("CANARY"), "{found:?}");
}

#[test]
fn no_secret_is_printed_with_the_settings() {
    let settings = load_with(&[("SECRET_KEY", CANARY), ("SECRET_KEY_PREVIOUS", "CANARY-the-one-before")]).unwrap();
    assert!(!format!("{settings:?}").contains("CANARY"), "{settings:?}");
}

use super::{Kind, Options};

fn parse(words: &[&str]) -> anyhow::Result<Options> {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    Options::parse(&words, Kind::Three)
}

#[test]
fn options_are_told_from_environment_variables() {
    let options = parse(&["KIND=3-fab", "PORT=8080", "BASE_PATH=/a/b/", "AIRFLOW__API__X=a=b"]).unwrap();
    assert_eq!(options.kind, Kind::ThreeFab);
    assert_eq!(options.port, Some(8080));
    assert_eq!(options.base_path, "/a/b");
    assert_eq!(options.variables, [("AIRFLOW__API__X".to_owned(), "a=b".to_owned())]);
}

#[test]
fn without_words_it_is_a_server_like_all_others() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.kind, Kind::Three);
    assert!(options.port.is_none() && options.tls.is_none() && options.home.is_none());
    assert!(options.base_path.is_empty() && options.variables.is_empty());
}

#[track_caller]
fn check_refused(word: &str, reason: &str) {
    let error = parse(&[word]).unwrap_err();
    assert!(format!("{error:#}").contains(reason), "{error:#}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    check_refused("KIND=4", "KIND is `4`");
    check_refused("PORT=x", "PORT is `x`");
    check_refused("BASE_PATH=x", "does not begin with a slash");
    check_refused("TLS_CERT=/", "belong together");
    check_refused("TLS_KEY=/is/not/there", "TLS_KEY is `/is/not/there`");
    check_refused("--help", "is not NAME=VALUE");
}

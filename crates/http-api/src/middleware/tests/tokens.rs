//! Which `Authorization` headers open the service.

use actix_web::http::header::HeaderValue;

use super::*;
use crate::middleware::auth::tokens::{EmptyToken, TokenName};

#[track_caller]
fn check(header: impl AsRef<[u8]>, expected: Option<TokenName>) {
    let header = HeaderValue::from_bytes(header.as_ref()).unwrap();
    assert_eq!(tokens().check(Some(&header)), expected, "{header:?}");
}

#[test]
fn both_tokens_open_and_are_told_apart() {
    check(format!("Bearer {CURRENT}"), Some(TokenName::Current));
    check(format!("Bearer {PREVIOUS}"), Some(TokenName::Previous));
}

#[test]
fn the_case_of_the_scheme_does_not_matter() {
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        check(format!("{scheme} {CURRENT}"), Some(TokenName::Current));
    }
}

#[test]
fn nothing_else_opens() {
    assert_eq!(tokens().check(None), None);
    for header in [
        "".to_owned(),
        CURRENT.to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer  {CURRENT}"),
        format!("Bearer {CURRENT} "),
        format!(" Bearer {CURRENT}"),
        format!("Bearer\t{CURRENT}"),
        format!("Bearer:{CURRENT}"),
        format!("Bearer{CURRENT}"),
        format!("Bearer {CURRENT},Bearer {PREVIOUS}"),
        format!("Bearer \"{CURRENT}\""),
        format!("Basic {CURRENT}"),
        format!("Token {CURRENT}"),
        format!("Bearers {CURRENT}"),
        format!("Bearer {}", CURRENT.to_uppercase()),
    ] {
        check(header, None);
    }
    check(b"Bearer \xff\xfe", None);
}

#[test]
fn tokens_that_begin_or_end_alike_do_not_open() {
    for end in 0..CURRENT.len() {
        check(format!("Bearer {}", &CURRENT[..end]), None);
        check(format!("Bearer {}", &CURRENT[end + 1..]), None);
    }
    check(format!("Bearer {CURRENT}x"), None);
    check(format!("Bearer x{CURRENT}"), None);
    check(format!("Bearer {CURRENT}{PREVIOUS}"), None);
    check(format!("Bearer {}x", &CURRENT[..CURRENT.len() - 1]), None);
}

#[test]
fn one_token_may_begin_with_the_other() {
    let tokens = Tokens::new(&"secret-1".into(), Some(&"secret".into())).unwrap();
    let check = |text: &'static str| tokens.check(Some(&HeaderValue::from_static(text)));
    assert_eq!(check("Bearer secret-1"), Some(TokenName::Current));
    assert_eq!(check("Bearer secret"), Some(TokenName::Previous));
    assert_eq!(check("Bearer secret-"), None);
}

#[test]
fn a_token_that_is_both_counts_as_the_current_one() {
    let tokens = Tokens::new(&CURRENT.into(), Some(&CURRENT.into())).unwrap();
    let header = HeaderValue::try_from(format!("Bearer {CURRENT}")).unwrap();
    assert_eq!(tokens.check(Some(&header)), Some(TokenName::Current));
}

#[test]
fn without_a_previous_token_only_one_opens() {
    let tokens = Tokens::new(&CURRENT.into(), None).unwrap();
    let check = |token: &str| tokens.check(Some(&HeaderValue::try_from(format!("Bearer {token}")).unwrap()));
    assert_eq!(check(CURRENT), Some(TokenName::Current));
    assert_eq!(check(PREVIOUS), None);
    assert_eq!(check(""), None);
}

#[test]
fn tokens_of_any_characters_work() {
    for token in ["p@ss w0rd", "a  b", " a", "schlüssel", "🔑🔑", "x"] {
        let tokens = Tokens::new(&token.into(), None).unwrap();
        let header = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).unwrap();
        assert_eq!(tokens.check(Some(&header)), Some(TokenName::Current), "{token}");
    }
}

#[test]
fn an_empty_token_is_refused() {
    assert_eq!(Tokens::new(&"".into(), None).err(), Some(EmptyToken { setting: "SECRET_KEY" }));
    let error = Tokens::new(&CURRENT.into(), Some(&"".into())).err().unwrap();
    assert_eq!(error.to_string(), "`SECRET_KEY_PREVIOUS` must not be empty");
}

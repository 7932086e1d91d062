//! What an answer means.

use reqwest::StatusCode;
use serde_json::Value;

use crate::ask::Ask;
use crate::detection::Api;
use crate::fault::Fault;
use crate::login::Login;
use crate::reply::Reply;

/// How much of Airflow's words a message shows.
const SHOWN: usize = 300;

/// The answer itself when Airflow did what was asked, else why not.
pub(crate) fn verdict(api: Api, ask: &Ask<'_>, login: Login<'_>, reply: Reply) -> Result<Reply, Fault> {
    let code = reply.status.as_u16();
    let words = || shown(&login.without_it(&ask.without_secrets(&words(&reply))));
    let elsewhere = |what: &str, arrived| Err(Fault::WrongPlace { why: format!("HTTP {code}: {what}"), arrived });
    // Who answers so may have passed the call on.
    let odd = |what: &str| elsewhere(what, ask.changes());
    match reply.status {
        // Airflow 3 answers every path that it does not know with its web page and 200.
        StatusCode::OK | StatusCode::CREATED if reply.is_html() => odd("a web page instead of Airflow's API"),
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(reply),
        StatusCode::NOT_FOUND if is_about(&reply, ask.id()) => Err(Fault::Absent),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => elsewhere(&words(), false),
        StatusCode::CONFLICT => Err(Fault::Exists),
        StatusCode::UNAUTHORIZED => Err(Fault::Credentials(format!("HTTP 401: {}; check AIRFLOW_USER and AIRFLOW_PASSWORD", words()))),
        StatusCode::FORBIDDEN => Err(forbidden(api, &words())),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(later(&reply, &words())),
        status if status.is_server_error() => Err(later(&reply, &words())),
        status if status.is_client_error() => Err(Fault::Rejected(format!("HTTP {code}: {}", words()))),
        status if status.is_redirection() => {
            let host = reply.location.as_deref().unwrap_or("another path");
            odd(&format!("a redirect to {host}, which is not followed; AIRFLOW_URL must be the final address"))
        }
        _ => odd("not an answer of Airflow's API"),
    }
}

fn later(reply: &Reply, words: &str) -> Fault {
    // A proxy answers 502 and 504 for a server that may have gone on; too many requests are turned away.
    let arrived = reply.status != StatusCode::TOO_MANY_REQUESTS;
    Fault::Later { why: format!("HTTP {}: {words}", reply.status.as_u16()), after: reply.retry_after, arrived }
}

/// Airflow 2 answers 403 to a wrong login as well, because anonymous visitors have a role of their own.
fn forbidden(api: Api, words: &str) -> Fault {
    match api {
        Api::V1 => Fault::Role(
            "HTTP 403: either AIRFLOW_USER or AIRFLOW_PASSWORD is wrong, or the user's role is too low (it needs Op), or Airflow does not take basic authentication ([api] auth_backends)"
                .to_owned(),
        ),
        Api::V2 if words.contains("JWT") => {
            Fault::Credentials(format!("HTTP 403: {words}: Airflow does not take the token that it gave us; do its API servers share one [api_auth] jwt_secret?"))
        }
        Api::V2 => Fault::Role(format!("HTTP 403: {words}; the role of AIRFLOW_USER is too low, it needs Op")),
    }
}

/// Whether a 404 says that this connection does not exist, and not that the path does not. Airflow puts the id into backticks.
fn is_about(reply: &Reply, id: Option<&str>) -> bool {
    let detail = reply.json::<Value>().ok().and_then(|answer| Some(answer.get("detail")?.as_str()?.to_owned()));
    id.zip(detail).is_some_and(|(id, detail)| detail.contains(&format!("`{id}`")))
}

/// What an answer says, without the values that it repeats.
fn words(reply: &Reply) -> String {
    let Ok(answer) = reply.json::<Value>() else {
        return if reply.is_html() { "a web page".to_owned() } else { "no further words".to_owned() };
    };
    match (answer.get("detail"), answer.get("error"), answer.get("title")) {
        (Some(Value::String(detail)), ..) => detail.clone(),
        // Of a list of faults only where and what: `input` is the value.
        (Some(Value::Array(faults)), ..) => faults.iter().map(one_fault).collect::<Vec<_>>().join("; "),
        (Some(Value::Object(detail)), ..) => detail.get("reason").and_then(Value::as_str).unwrap_or("no further words").to_owned(),
        (_, Some(Value::String(text)), _) | (_, _, Some(Value::String(text))) => text.clone(),
        _ => "no further words".to_owned(),
    }
}

/// The beginning of a text, on one line. What is secret is taken out before: half of a password is not found any more.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn one_fault(fault: &Value) -> String {
    let place = fault.get("loc").and_then(Value::as_array).and_then(|path| path.last()).and_then(Value::as_str).unwrap_or("body");
    let what = fault.get("msg").and_then(Value::as_str).unwrap_or("is not taken");
    format!("{place}: {what}")
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use std::time::Duration;

    use super::*;

    fn judged(api: Api, status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<(), Fault> {
        let headers: HeaderMap = headers.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect();
        let reply = Reply::new(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes().to_vec());
        verdict(api, &Ask::Connection(&"a_main".parse().unwrap()), Login::None, reply).map(drop)
    }

    const ABSENT: &str = r#"{"detail": "The Connection with connection_id: `a_main` was not found"}"#;

    #[test]
    fn only_airflows_own_words_say_that_a_connection_is_absent() {
        assert!(matches!(judged(Api::V1, 404, &[], ABSENT), Err(Fault::Absent)));
        assert!(matches!(judged(Api::V2, 404, &[], ABSENT), Err(Fault::Absent)));
        let others = [
            r#"{"detail": "The Connection with connection_id: `a_mai` was not found"}"#,
            r#"{"detail": "The requested URL was not found on the server", "type": "about:blank"}"#,
            r#"{"error": "/api/v1 has been removed in Airflow 3"}"#,
            "<html>404 a_main</html>",
            "404 page not found",
            "",
        ];
        for body in others {
            assert!(matches!(judged(Api::V1, 404, &[], body), Err(Fault::WrongPlace { .. })), "{body}");
        }
    }

    #[test]
    fn a_password_that_is_repeated_is_taken_out_however_it_is_quoted() {
        use dbt_controller_port_contracts::fixtures;
        let owner = fixtures::release_key(&fixtures::namespace(), &fixtures::fresh_identity("quoted"));
        let mut connection = fixtures::connection(&owner, &"a_main".parse().unwrap());
        let secret = "CANARY'\\\n\u{1}é-and-what-follows";
        connection.credentials.password = secret.into();
        let as_python = r#"CANARY'\\\n\x01\u00e9-and-what-follows"#.to_owned();
        let quoted = [secret.to_owned(), format!("{secret:?}"), as_python];
        for text in quoted {
            let body = serde_json::json!({ "detail": format!("{}{text}", "x".repeat(SHOWN - 10)) }).to_string();
            let reply = Reply::new(StatusCode::BAD_REQUEST, &HeaderMap::new(), body.into_bytes());
            let fault = format!("{:?}", verdict(Api::V1, &Ask::Create(&connection), Login::None, reply).err());
            assert!(!fault.contains("CANARY") && !fault.contains("follows"), "{fault}");
        }
    }

    #[test]
    fn every_answer_has_its_fault() {
        let name = |status, headers: &[_], body| format!("{:?}", judged(Api::V2, status, headers, body));
        let cases = [
            (name(200, &[], "{}"), "Ok"),
            (name(201, &[], "{}"), "Ok"),
            (name(204, &[], ""), "Ok"),
            (name(200, &[("content-type", "text/html; charset=utf-8")], ""), "Err(WrongPlace"),
            (name(200, &[], " <!doctype html>"), "Err(WrongPlace"),
            (name(202, &[], "{}"), "Err(WrongPlace"),
            (name(302, &[("location", "https://elsewhere.example.com/login?next=canary")], ""), "Err(WrongPlace"),
            (name(400, &[], r#"{"detail": "bad"}"#), "Err(Rejected"),
            (name(401, &[], r#"{"detail": "Token Expired"}"#), "Err(Credentials"),
            (name(403, &[], r#"{"detail": "Invalid JWT token"}"#), "Err(Credentials"),
            (name(403, &[], r#"{"detail": "Forbidden"}"#), "Err(Role"),
            (name(405, &[], r#"{"detail": "Method Not Allowed"}"#), "Err(WrongPlace"),
            (name(409, &[], r#"{"detail": {"reason": "Unique constraint violation"}}"#), "Err(Exists"),
            (name(415, &[], ""), "Err(Rejected"),
            (name(422, &[], r#"{"detail": [{"loc": ["body", "host"], "msg": "too long", "input": "canary"}]}"#), "Err(Rejected"),
            (name(500, &[], "Internal Server Error"), "Err(Later"),
            (name(503, &[], "<html>"), "Err(Later"),
        ];
        for (seen, wanted) in cases {
            assert!(seen.starts_with(wanted), "{seen} is not {wanted}");
            assert!(!seen.contains("canary"), "{seen}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept() {
        let Err(Fault::Later { after, .. }) = judged(Api::V2, 429, &[("retry-after", "7")], "") else { panic!("not later") };
        assert_eq!(after, Some(Duration::from_secs(7)));
        let Err(Fault::Later { after, .. }) = judged(Api::V2, 503, &[("retry-after", "soon")], "") else { panic!("not later") };
        assert_eq!(after, None);
    }
}

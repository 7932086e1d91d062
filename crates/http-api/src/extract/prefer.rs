//! The header `Prefer` (RFC 7240).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DataType, DefaultSchemaRaw, Parameter, ParameterIn};
use paperclip::v2::schema::Apiv2Schema;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the caller wants to wait for the end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefer {
    /// It does.
    Answer,
    /// `respond-async`: it wants a receipt at once.
    Receipt,
    /// `respond-async, wait=<seconds>`: it wants a receipt if the operation takes longer.
    ReceiptAfter(Duration),
}

impl Prefer {
    /// What was followed, for `Preference-Applied`.
    pub(crate) fn applied(self) -> String {
        match self {
            Self::Answer => String::new(),
            Self::Receipt => "respond-async".to_owned(),
            Self::ReceiptAfter(limit) => format!("respond-async, wait={}", limit.as_secs()),
        }
    }

    /// Preferences that are not understood are ignored (section 2).
    fn of(headers: &HeaderMap) -> Self {
        let mut asynchronous = false;
        let mut wait = None;
        let values = headers.get_all(PREFER).filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')) {
            // Parameters of a preference follow after `;`; neither of ours has any.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("respond-async") && value.is_empty() {
                asynchronous = true;
            } else if name.eq_ignore_ascii_case("wait") && wait.is_none() {
                wait = value.parse::<u32>().ok();
            }
        }
        match (asynchronous, wait) {
            (false, _) => Self::Answer,
            (true, None) => Self::Receipt,
            (true, Some(seconds)) => Self::ReceiptAfter(Duration::from_secs(seconds.into())),
        }
    }
}

impl FromRequest for Prefer {
    type Error = Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.headers())))
    }
}

impl Apiv2Schema for Prefer {
    fn header_parameter_schema() -> Vec<Parameter<DefaultSchemaRaw>> {
        vec![Parameter {
            name: "Prefer".to_owned(),
            in_: ParameterIn::Header,
            description: Some(
                "`respond-async` (RFC 7240): answer 202 with a receipt at once; with `wait=<seconds>` only if it takes longer. \
                 Other preferences are ignored."
                    .to_owned(),
            ),
            data_type: Some(DataType::String),
            ..Parameter::default()
        }]
    }
}

impl OperationModifier for Prefer {}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[track_caller]
    fn check(values: &[&str], expected: Prefer) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(Prefer::of(&headers), expected, "{values:?}");
    }

    #[test]
    fn only_respond_async_gives_a_receipt() {
        check(&[], Prefer::Answer);
        check(&["return=minimal", "wait=5"], Prefer::Answer);
        check(&["respond-async"], Prefer::Receipt);
        check(&["return=minimal, Respond-Async ; x=1"], Prefer::Receipt);
        check(&["respond-async, wait=x"], Prefer::Receipt);
        check(&["respond-async", "wait=10, wait=20"], Prefer::ReceiptAfter(Duration::from_secs(10)));
        check(&["respond-async, wait = \"7\""], Prefer::ReceiptAfter(Duration::from_secs(7)));
        check(&["respond-asynchronously", ",,;="], Prefer::Answer);
    }
}

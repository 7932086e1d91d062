//! Leave to make a request, and what its failure means.

use dbt_controller_domain::model::Redactor;
use dbt_controller_domain::ports::{Fence, InstallerError};
use dbt_controller_kube_access::{Denied, Fault, READ_LIMIT, call, fenced};

/// On what terms requests are made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leave<'a> {
    /// For somebody who only reads.
    Read,
    /// For an operation that writes. What it reads on its way is asked for under the same fence.
    Write(&'a Fence),
}

impl Leave<'_> {
    /// Makes one request.
    pub(super) async fn call<T>(self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Denied> {
        match self {
            Self::Read => Ok(call(READ_LIMIT, request).await?),
            Self::Write(fence) => fenced(fence, request).await,
        }
    }
}

/// The error of a request about an object (`Kind/name`) whose content is no secret.
pub(super) fn failed(object: &str, denied: Denied) -> InstallerError {
    match denied {
        Denied::Fenced(down) => InstallerError::Fenced(down),
        Denied::Fault(fault) => fault.of_installer(object),
    }
}

/// The error of a request that carried content of a release: the API server's words can quote it.
pub(super) fn refused(object: &str, denied: Denied, redactor: &Redactor) -> InstallerError {
    let clean = |message: String| redactor.redact(&without_values(&message));
    let fault = match denied {
        Denied::Fenced(down) => return InstallerError::Fenced(down),
        Denied::Fault(fault) => fault,
    };
    let fault = match fault {
        Fault::Refused(message) => Fault::Refused(clean(message)),
        Fault::Webhook(message) => Fault::Webhook(clean(message)),
        Fault::Quota(message) => Fault::Quota(clean(message)),
        Fault::TooLarge(message) => Fault::TooLarge(clean(message)),
        Fault::Conflict(message) => Fault::Conflict(clean(message)),
        Fault::OtherUid(message) => Fault::OtherUid(clean(message)),
        Fault::AlreadyExists(message) => Fault::AlreadyExists(clean(message)),
        Fault::NotFound(message) => Fault::NotFound(clean(message)),
        Fault::Forbidden(message) => Fault::Forbidden(clean(message)),
        Fault::NamespaceMissing(message) => Fault::NamespaceMissing(clean(message)),
        Fault::Unavailable(source) => Fault::Unavailable(clean(source.to_string()).into()),
        Fault::Unauthorized(message) => Fault::Unauthorized(clean(message)),
        Fault::Unexpected(source) => Fault::Unexpected(clean(source.to_string()).into()),
    };
    fault.of_installer(object)
}

/// How the validation of Kubernetes quotes what it does not take: `<field>: Invalid value: "<value>": <why>`.
const QUOTES: [&str; 2] = ["Invalid value: \"", "Duplicate value: \""];

/// The message without the values that it quotes, which may be those of a Secret in any coding.
pub(super) fn without_values(message: &str) -> String {
    QUOTES.iter().fold(message.to_owned(), |message, quote| {
        let mut clean = String::with_capacity(message.len());
        let mut rest = message.as_str();
        while let Some(start) = rest.find(quote) {
            let (before, value) = rest.split_at(start + quote.len());
            clean.push_str(before);
            clean.push_str("***");
            rest = &value[end_of_quoted(value)..];
        }
        clean + rest
    })
}

/// Where a text in Go's quotes ends; the end of the message when it was cut.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_api_server_quotes_no_value() {
        let message = r#"Secret "x" is invalid: [data[a]: Invalid value: "se\"cr\\et": bad, data[b]: Invalid value: "other": worse]"#;
        let clean = r#"Secret "x" is invalid: [data[a]: Invalid value: "***": bad, data[b]: Invalid value: "***": worse]"#;
        assert_eq!(without_values(message), clean);
        assert_eq!(without_values(r#"a: Invalid value: "cut of"#), r#"a: Invalid value: "***"#);
        assert_eq!(without_values(r#"a: Invalid value: 3: too small"#), "a: Invalid value: 3: too small");
    }
}

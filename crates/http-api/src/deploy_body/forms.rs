//! What the characters of a text must be. Each form says it twice, as a check and as the pattern of the published document;
//! a test compares the two.

use std::str::FromStr;

use dbt_controller_domain::model::{ByteQuantity, CpuQuantity, Customer, Domain, Namespace, TextError};

/// The form of a text: what its characters must be. Lengths are the field's business.
#[derive(Debug)]
pub(super) struct Form {
    /// The check.
    pub(super) check: fn(&str) -> Result<(), TextError>,
    /// The same as a regular expression that ECMA 262, Python and Rust read alike.
    pub(super) pattern: &'static str,
}

/// Values that become environment variables or secrets: line breaks, quotes and braces are harmless there. A NUL ends a
/// C string, so it can be in no environment variable.
pub(super) static TEXT: Form =
    Form { check: |text| require(!text.contains('\0'), "must not contain the character U+0000"), pattern: r"^[^\u0000]*$" };

/// Names and other texts of one line: a line break would forge a second line in logs and annotations.
pub(super) static LINE: Form = Form {
    check: |text| require(!text.contains(char::is_control), "must not contain control characters"),
    pattern: r"^[^\u0000-\u001f\u007f-\u009f]*$",
};

/// The user of a login. RFC 7617 ends it at the first colon, and nginx takes a line of its password file that begins with
/// `#` for a comment.
pub(super) static USER: Form = Form {
    check: |text| {
        let is_usable = !text.starts_with('#') && !text.contains(|c: char| c == ':' || c.is_control());
        require(is_usable, "must not contain `:` or control characters, nor begin with `#`")
    },
    pattern: r"^([^#:\u0000-\u001f\u007f-\u009f][^:\u0000-\u001f\u007f-\u009f]*)?$",
};

/// A Kubernetes namespace.
pub(super) static NAMESPACE: Form = Form { check: parses::<Namespace>, pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" };

/// One part of a host name.
pub(super) static CUSTOMER: Form = Form { check: parses::<Customer>, pattern: r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$" };

/// A host name.
pub(super) static DOMAIN: Form =
    Form { check: parses::<Domain>, pattern: r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$" };

/// An amount of processor time.
pub(super) static CPU: Form = Form { check: parses::<CpuQuantity>, pattern: r"^[1-9][0-9]*m?$" };

/// An amount of memory or storage.
pub(super) static BYTES: Form = Form { check: parses::<ByteQuantity>, pattern: r"^[1-9][0-9]*(Mi|Gi)$" };

/// An image tag: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests>.
pub(super) static TAG: Form = Form {
    check: |text| {
        let is_tag = text.starts_with(is_word) && text.chars().all(|c| is_word(c) || matches!(c, '.' | '-'));
        require(is_tag, "must be an image tag: letters, digits, `_`, `.` and `-`, the first neither `.` nor `-`")
    },
    pattern: r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
};

/// A registry (with a port or without one) and a path in it, or only one of the two.
pub(super) static REPOSITORY: Form = Form {
    check: |text| {
        let (host, path) = match text.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (text, None),
        };
        let host = match host.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => host,
        };
        require(
            is_image_path(host) && path.is_none_or(is_image_path),
            "must be an image repository such as `4fastbi` or `registry.example.com:5000/team`: \
             lower-case letters and digits, with single `.`, `_` or `/` or with `-` between them",
        )
    },
    pattern: r"^[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*$",
};

/// The name of an image in a repository.
pub(super) static IMAGE: Form = Form {
    check: |text| {
        require(
            is_image_path(text),
            "must be an image name such as `dbt-api-server-core`: \
             lower-case letters and digits, with single `.`, `_` or `/` or with `-` between them",
        )
    },
    pattern: r"^[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*$",
};

/// An e-mail address, as cloud providers give them to service accounts.
pub(super) static EMAIL: Form = Form {
    check: |text| {
        let is_address = text.split_once('@').is_some_and(|(user, host)| {
            let is_user = !user.is_empty() && user.chars().all(|c| is_word(c) || matches!(c, '.' | '%' | '+' | '-'));
            is_user && host.contains('.') && host.split('.').all(is_host_label)
        });
        require(is_address, "must be an e-mail address such as `name@project.iam.gserviceaccount.com`")
    },
    pattern: r"^[A-Za-z0-9_.%+-]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$",
};

/// The name of an environment variable that every shell can read.
pub(super) static VARIABLE: Form = Form {
    check: |text| {
        let is_name = text.chars().all(is_word) && !text.starts_with(|c: char| c.is_ascii_digit());
        require(is_name && !text.is_empty(), "must be the name of a variable: letters, digits and `_`, the first no digit")
    },
    pattern: r"^[A-Za-z_][A-Za-z0-9_]*$",
};

fn require(is_met: bool, message: &str) -> Result<(), TextError> {
    if is_met { Ok(()) } else { Err(TextError::new(message)) }
}

fn parses<T: FromStr<Err = TextError>>(text: &str) -> Result<(), TextError> {
    text.parse::<T>().map(drop)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_host_label(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !text.starts_with('-') && !text.ends_with('-')
}

/// `path-component ["/" path-component]*` of
/// <https://github.com/distribution/reference/blob/v0.6.0/reference.go>, which is what Kubernetes asks.
fn is_image_path(text: &str) -> bool {
    text.split('/').all(is_image_component)
}

/// Runs of lower-case letters and digits, between them `.`, `_`, `__` or any number of `-`.
fn is_image_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_alphanumeric).filter(|part| !part.is_empty());
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && separators.all(|part| matches!(part, "." | "_" | "__") || part.bytes().all(|b| b == b'-'))
}

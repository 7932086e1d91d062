//! From helm's words to the port's errors. Helm has no codes, so these are the words of its sources and of the API server's.

use dbt_controller_domain::ports::{InstallerError, RefusalKind};

/// How much of helm's words an error repeats.
const LONGEST: usize = 2_000;

/// Helm's own words for what somebody else does with the release.
const OTHERS: [&str; 4] = [
    "another operation (install/upgrade/rollback) is in progress",
    "cannot reuse a name that is still in use",
    "release: already exists",
    "has no deployed releases",
];
/// What passes: the way to the API server, or the server itself.
const PASSING: [&str; 18] = [
    "Kubernetes cluster unreachable",
    "connection refused",
    "connection reset by peer",
    "no such host",
    "i/o timeout",
    "TLS handshake timeout",
    "context deadline exceeded",
    "Client.Timeout",
    "unexpected EOF",
    ": EOF",
    "etcdserver:",
    "the server is currently unable to handle the request",
    "the server was unable to return a response in the time allotted",
    "Too Many Requests",
    "too many requests",
    "the object has been modified",
    "Unauthorized",
    "failed calling webhook",
];
/// What an object is refused for.
const ADMISSION: [&str; 6] = [
    " is invalid:",
    "admission webhook",
    "denied the request",
    "is forbidden: violates",
    "updates to statefulset spec",
    "Apply failed with",
];

/// What an error of helm means, from the end of what it wrote, without secrets.
pub(super) fn of(stderr: &str) -> InstallerError {
    let message = message(stderr);
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if let Some(foreign) = foreign(&message) {
        return foreign;
    }
    let refused = |kind| InstallerError::Refused { object: object(&message), kind, message: message.clone() };
    // A missing namespace and a quota also forbid something, so they come first.
    if is_about_namespace(&message) {
        InstallerError::NamespaceMissing(message)
    } else if says(&["exceeded quota", "failed quota"]) {
        refused(RefusalKind::Quota)
    } else if message.contains(" cannot ") && message.contains(" resource ") {
        InstallerError::Forbidden(message)
    } else if let Some(bytes) = too_large(&message) {
        InstallerError::TooLarge(bytes)
    } else if says(&ADMISSION) {
        refused(RefusalKind::Admission)
    } else if says(&OTHERS) || message.contains("release: not found") {
        InstallerError::Changed(message)
    } else if says(&PASSING) {
        InstallerError::Unavailable(format!("helm: {message}").into())
    } else {
        InstallerError::Unexpected(format!("helm: {message}").into())
    }
}

/// What comes after the last `Error: `, on one line; before it are warnings.
fn message(stderr: &str) -> String {
    let last = stderr.rfind("Error: ").map_or(stderr, |at| &stderr[at + "Error: ".len()..]);
    let words = last.split_whitespace().collect::<Vec<_>>().join(" ");
    let message: String = words.chars().take(LONGEST).collect();
    if message.is_empty() { "it ended with an error and said nothing".to_owned() } else { message }
}

/// `… Service "a" in namespace "ns" exists and cannot be imported into the current release: invalid ownership metadata; …`
fn foreign(message: &str) -> Option<InstallerError> {
    let (before, after) = message.split_once(" exists and cannot be imported into the current release")?;
    let (before, _) = before.rsplit_once(" in namespace ").unwrap_or((before, ""));
    let owner = after.split_once("meta.helm.sh/release-name\"").and_then(|(_, rest)| quoted(rest.split_once("current value is ")?.1));
    let owner = owner.map_or_else(|| "no Helm release".to_owned(), |release| format!("release {release}"));
    Some(InstallerError::ForeignObject { object: kind_and_name(before).unwrap_or_else(|| "an object".to_owned()), owner })
}

fn is_about_namespace(message: &str) -> bool {
    (message.contains("namespaces \"") && message.contains("not found")) || message.contains("because it is being terminated")
}

/// The record does not fit: the words of the validation of Secrets, which tell the limit only.
fn too_large(message: &str) -> Option<usize> {
    let is_record = message.contains("sh.helm.release.v1") || message.contains("Secret \"\"");
    (is_record && message.contains("Too long: ")).then_some(crate::record::MAX_SECRET_BYTES + 1)
}

/// The object that a message is about, as `Kind/name` where that can be told.
fn object(message: &str) -> String {
    // `cannot patch "a" with kind StatefulSet: …`
    if let Some((before, after)) = message.split_once(" with kind ")
        && let Some(name) = before.rsplit('"').nth(1)
    {
        let kind = after.split([':', ' ']).next().unwrap_or_default();
        return format!("{kind}/{name}");
    }
    let before = ADMISSION.iter().chain(&[" is forbidden:"]).find_map(|word| message.split_once(word)).map(|(before, _)| before);
    before.and_then(kind_and_name).unwrap_or_else(|| "an object".to_owned())
}

/// `… StatefulSet.apps "a"` as `StatefulSet/a`.
fn kind_and_name(text: &str) -> Option<String> {
    let mut parts = text.trim_end().rsplit('"');
    let (name, before) = (parts.nth(1)?, parts.next()?);
    let kind = before.split_whitespace().next_back()?.split('.').next()?;
    Some(format!("{kind}/{name}"))
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.split('"').next()
}

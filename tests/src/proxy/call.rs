//! What a call is about, told from its request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use http::request::Parts;
use serde_json::Value;

/// An outgoing call of the program under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `create secrets/name`: what is done to what. The same call of another run in another namespace has the same label.
    pub label: String,
    /// Its kind.
    pub kind: Kind,
}

/// Kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Reads something.
    Read,
    /// Changes something.
    Write,
    /// Asks what a change would do.
    DryRun,
    /// Goes on for as long as somebody watches.
    Watch,
    /// Tells people what was done.
    Event,
    /// Belongs to the election of the replica that does the background work.
    Lease,
    /// Asks what the account may do.
    Rights,
    /// Asks whether the far side is there, which one it is, or who we are to it.
    Probe,
}

impl Kind {
    /// Whether it is a step of an operation. The others come by the clock, and so at another place in each run; they are counted from a start on.
    #[must_use]
    pub fn is_counted(self) -> bool {
        match self {
            Self::Read | Self::Write | Self::DryRun => true,
            Self::Watch | Self::Event | Self::Lease | Self::Rights | Self::Probe => false,
        }
    }
}

impl Call {
    /// Tells it from its request.
    pub(super) fn of(head: &Parts, body: &[u8]) -> Self {
        let query = head.uri.query().unwrap_or_default();
        let segments: Vec<&str> = head.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            ["api", "v1", "namespaces", _, rest @ ..] if !rest.is_empty() => Self::of_kubernetes(&head.method, rest, query, body),
            // Written behind everything else, at no certain moment.
            ["apis", "events.k8s.io", ..] => Self::new(Kind::Event, "tells by an Event"),
            ["apis", _, _, "namespaces", _, rest @ ..] => Self::of_kubernetes(&head.method, rest, query, body),
            ["apis", "authorization.k8s.io", ..] => Self::new(Kind::Rights, "asks for rights"),
            ["api", "v1" | "v2", "version" | "health" | "monitor", ..] | ["version" | "health" | "readyz" | "livez"] => {
                Self::new(Kind::Probe, "probes")
            }
            ["auth", ..] => Self::new(Kind::Read, "logs in"),
            ["api", "v1" | "v2", rest @ ..] if !rest.is_empty() => Self::of_airflow(&head.method, rest, query, body),
            // Nothing of the kind is known; it counts, so that it is looked at.
            _ => Self::new(
                if head.method == Method::GET { Kind::Read } else { Kind::Write },
                &format!("{} {}", head.method, head.uri.path()),
            ),
        }
    }

    fn new(kind: Kind, label: &str) -> Self {
        Self { label: label.to_owned(), kind }
    }

    fn of_kubernetes(method: &Method, path: &[&str], query: &str, body: &[u8]) -> Self {
        let has = |flag: &str| query.split('&').any(|part| part == flag);
        let (resource, is_collection) = (path.first().copied().unwrap_or_default(), path.len() == 1);
        let verb = match (method, is_collection) {
            (&Method::GET, true) => "list",
            (&Method::GET, false) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "delete all",
            (&Method::DELETE, false) => "delete",
            _ => "other",
        };
        let kind = if resource == "leases" {
            Kind::Lease
        } else if has("watch=true") || has("watch=1") {
            Kind::Watch
        } else if has("dryRun=All") {
            Kind::DryRun
        } else if method == Method::GET {
            Kind::Read
        } else {
            Kind::Write
        };
        let mut label = format!("{verb} {}", path.join("/"));
        if method == Method::POST
            && is_collection
            && let Some(name) = named(body, "/metadata/name")
        {
            label = format!("{label}/{name}");
        }
        // The same object tells all that happens; how far it is tells one write from the other.
        if let Some(phase) = kind.eq(&Kind::Write).then(|| recorded_phase(body)).flatten() {
            label = format!("{label} [{phase}]");
        }
        match kind {
            Kind::DryRun => label = format!("dry run: {label}"),
            // A service watches some objects of a kind here, and others there.
            Kind::Watch => label = format!("watch: {label}{}", selected(query)),
            _ => {}
        }
        Self { label, kind }
    }

    fn of_airflow(method: &Method, path: &[&str], query: &str, body: &[u8]) -> Self {
        // When it starts, beside its first operations, the service finds out what it may: it reads one of a list, and asks for a change of a
        // connection that cannot be.
        let reads_one = method == Method::GET && query.split('&').any(|pair| pair == "limit=1");
        let is_question = reads_one || method == Method::PATCH && path.last().is_some_and(|id| id.bytes().all(|byte| byte == b'x'));
        let kind = match method {
            _ if is_question => Kind::Rights,
            &Method::GET => Kind::Read,
            _ => Kind::Write,
        };
        let mut label = format!("airflow: {} {}", method.as_str().to_lowercase(), path.join("/"));
        if method == Method::POST
            && let Some(name) = named(body, "/connection_id")
        {
            label = format!("{label}/{name}");
        }
        Self { label, kind }
    }
}

/// The phase of the operation that is under way by a written record of operations, or `at rest`.
fn recorded_phase(body: &[u8]) -> Option<String> {
    let record = BASE64.decode(named(body, "/data/record")?).ok()?;
    Some(named(&record, "/record/running/phase").unwrap_or_else(|| "at rest".to_owned()))
}

/// Which objects of a kind a query is about.
fn selected(query: &str) -> String {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let selectors = pairs.filter(|(name, selector)| ["labelSelector", "fieldSelector"].contains(name) && !selector.is_empty());
    selectors.map(|(_, selector)| format!(" [{}]", selector.replace("%3D", "=").replace("%2C", ","))).collect()
}

/// What a body says at this place.
fn named(body: &[u8], pointer: &str) -> Option<String> {
    serde_json::from_slice::<Value>(body).ok()?.pointer(pointer)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check(method: &str, uri: &str, body: &str, label: &str, kind: Kind) {
        let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        assert_eq!(Call::of(&head, body.as_bytes()), Call::new(kind, label));
    }

    #[test]
    fn calls_are_told_by_verb_and_object() {
        let secrets = "/api/v1/namespaces/here/secrets";
        check("GET", &format!("{secrets}/a"), "", "get secrets/a", Kind::Read);
        check("GET", &format!("{secrets}?labelSelector=x"), "", "list secrets", Kind::Read);
        check("GET", &format!("{secrets}?watch=true"), "", "watch: list secrets", Kind::Watch);
        let some = "watch: list secrets [owner=helm,a] [type=b]";
        check("GET", &format!("{secrets}?labelSelector=owner%3Dhelm%2Ca&fieldSelector=type=b&watch=true"), "", some, Kind::Watch);
        check("POST", secrets, r#"{"metadata": {"name": "a"}}"#, "create secrets/a", Kind::Write);
        check("POST", &format!("{secrets}?dryRun=All"), "{}", "dry run: create secrets", Kind::DryRun);
        let sets = "/apis/apps/v1/namespaces/here/statefulsets";
        check("PATCH", &format!("{sets}/a?fieldManager=helm"), "", "patch statefulsets/a", Kind::Write);
        check("PUT", "/apis/coordination.k8s.io/v1/namespaces/here/leases/l", "", "update leases/l", Kind::Lease);
        check("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "{}", "asks for rights", Kind::Rights);
        check("GET", "/version", "", "probes", Kind::Probe);
        check("GET", "/unheard/of", "", "GET /unheard/of", Kind::Read);
    }

    #[test]
    fn writes_of_an_operations_record_are_told_by_its_phase() {
        for (running, phase) in [(r#"{"phase": "apply"}"#, "apply"), ("null", "at rest")] {
            let record = BASE64.encode(format!(r#"{{"record": {{"running": {running}}}}}"#));
            let body = format!(r#"{{"data": {{"record": "{record}"}}}}"#);
            check("PUT", "/api/v1/namespaces/here/secrets/op", &body, &format!("update secrets/op [{phase}]"), Kind::Write);
        }
    }

    #[test]
    fn calls_to_airflow_are_told_by_their_path() {
        check("POST", "/api/v2/connections", r#"{"connection_id": "a"}"#, "airflow: post connections/a", Kind::Write);
        check("GET", "/api/v1/connections/a", "", "airflow: get connections/a", Kind::Read);
        check("GET", "/api/v2/connections?limit=100&offset=0", "", "airflow: get connections", Kind::Read);
        check("GET", "/api/v2/connections?limit=1&offset=0", "", "airflow: get connections", Kind::Rights);
        check("PATCH", "/api/v2/connections/xxx", "{}", "airflow: patch connections/xxx", Kind::Rights);
        check("POST", "/auth/token", "{}", "logs in", Kind::Read);
        check("GET", "/api/v2/version", "", "probes", Kind::Probe);
    }
}

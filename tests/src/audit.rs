//! What somebody asked the API server for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};
use uuid::Uuid;

use crate::wait::until;
use crate::{ControlPlane, Kubectl};

/// The audit log from a moment on.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    from: u64,
    kubectl: Kubectl,
}

/// A request that was answered, or a watch that began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The resource, with its subresource if it has one: `statefulsets`, `statefulsets/scale`. Empty for what is no resource.
    pub resource: String,
    /// The namespace; empty without one.
    pub namespace: String,
    /// The name; empty for lists and the like.
    pub name: String,
    /// What the program calls itself.
    pub user_agent: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The path and query that were asked for.
    pub uri: String,
}

impl Audit {
    /// Begins now.
    ///
    /// # Panics
    ///
    /// When there is no audit log.
    #[must_use]
    pub async fn begin(plane: &ControlPlane) -> Self {
        let kubectl = plane.kubectl();
        let mut audit = Self { log: plane.audit_log().to_owned(), from: 0, kubectl };
        // What was asked for before must not be counted.
        audit.from = tokio::fs::metadata(&audit.log).await.unwrap().len();
        let entries = audit.settled().await;
        audit.from += u64::try_from(entries.len()).unwrap();
        audit
    }

    /// What a user asked for since then, in the order of the answers.
    ///
    /// # Panics
    ///
    /// When the audit log cannot be read.
    pub async fn requests_of(&self, user: &str) -> Vec<Request> {
        // A watch is written when it begins and when it ends.
        let mut seen = BTreeMap::new();
        let mut requests = Vec::new();
        for line in self.settled().await.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the audit log: {line}"));
            if entry["user"]["username"] != user || seen.insert(entry["auditID"].to_string(), ()).is_some() {
                continue;
            }
            requests.push(request(&entry));
        }
        requests
    }

    /// The log's new lines. An answer can be there before its line is, so a request of our own is sent and waited for.
    async fn settled(&self) -> String {
        let uri = format!("/version?audit={}", Uuid::new_v4().simple());
        self.kubectl.run(&["get", "--raw", &uri]).await.unwrap();
        until("our own request is in the audit log", async || {
            let mut file = tokio::fs::File::open(&self.log).await.unwrap();
            file.seek(SeekFrom::Start(self.from)).await.unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).await.unwrap();
            // The last line may be half written.
            text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
            text.contains(&uri).then_some(text)
        })
        .await
    }
}

fn request(entry: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &entry["objectRef"];
    let mut resource = text(&reference["resource"]);
    if let Some(subresource) = reference["subresource"].as_str() {
        resource = format!("{resource}/{subresource}");
    }
    Request {
        verb: text(&entry["verb"]),
        resource,
        namespace: text(&reference["namespace"]),
        name: text(&reference["name"]),
        user_agent: text(&entry["userAgent"]),
        status: entry["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
        uri: text(&entry["requestURI"]),
    }
}

//! The end of a container's log.

use std::time::Duration;

use dbt_controller_domain::model::Namespace;
use dbt_controller_kube_access::{Fault, call};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, LogParams};

/// How long reading it may take.
const LIMIT: Duration = Duration::from_secs(3);
/// The most lines that are shown.
const LINES: usize = 20;
/// The most bytes that are read: whoever logs without line breaks must not fill our memory. The kubelet counts from the first of the
/// lines, so this has to hold all of them.
const READ: usize = 256 * 1024;
/// The last lines of a container's log, or with `previous` of that of the container before it: one request, a second one where the
/// previous log is gone.
pub(super) async fn tail(client: &Client, namespace: &Namespace, pod: &str, container: &str, previous: bool) -> Result<Vec<String>, Fault> {
    let read = async |previous| {
        let api = Api::<Pod>::namespaced(client.clone(), namespace.as_str());
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: i64::try_from(LINES).ok(),
            limit_bytes: i64::try_from(READ).ok(),
            ..LogParams::default()
        };
        call(LIMIT, api.logs(pod, &params)).await
    };
    let text = match read(previous).await {
        // The kubelet has removed the previous container.
        Err(Fault::Refused(_) | Fault::NotFound(_)) if previous => read(false).await?,
        other => other?,
    };
    Ok(last_lines(&text))
}

/// The lines, whole: a secret of which a part was cut off is not recognized by whoever takes secrets out, and cuts lines then.
fn last_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().collect();
    if text.len() >= READ && lines.len() > 1 {
        // The last one may be no whole one.
        lines.pop();
    }
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_those_are_whole() {
        let text: String = (0..30).map(|number| format!("line {number}\n")).collect();
        let lines = last_lines(&text);
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 10", "line 29"));
        assert_eq!(last_lines(""), Vec::<String>::new());
        let long = "x".repeat(READ - 6);
        assert_eq!(last_lines(&format!("{long}\npass")), [long.as_str(), "pass"]);
        assert_eq!(last_lines(&format!("{long}\npassw")), [long.as_str()], "the log may go on");
        assert_eq!(last_lines(&"x".repeat(READ)).len(), 1);
    }
}

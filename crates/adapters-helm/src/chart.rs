//! The chart that our releases record: `charts/dbt-server` of this repository, built in.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{json, yaml};

const CHART: &str = include_str!("../../../charts/dbt-server/Chart.yaml");
const VALUES: &str = include_str!("../../../charts/dbt-server/values.yaml");
const TEMPLATE: &str = include_str!("../../../charts/dbt-server/templates/manifests.yaml");

/// The file of the chart that prints the objects.
const TEMPLATE_NAME: &str = "templates/manifests.yaml";

/// The files of the chart, by their paths in its folder.
pub(crate) const FILES: [(&str, &str); 3] = [("Chart.yaml", CHART), ("values.yaml", VALUES), (TEMPLATE_NAME, TEMPLATE)];

/// What stands before each object of a manifest: `<chart>/<file>`.
pub(crate) const SOURCE: &str = "dbt-server/templates/manifests.yaml";

/// The chart as a record holds it.
pub(crate) static RECORDED: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": parse(CHART),
        "lock": null,
        "templates": [{ "name": TEMPLATE_NAME, "data": STANDARD.encode(TEMPLATE) }],
        "values": parse(VALUES),
        "schema": null,
        "files": [],
    })
});

/// `<name>-<version>` of a recorded chart, as `helm list` shows it.
pub(crate) fn title(chart: &Value) -> String {
    let text = |key| json::text_at(chart, &["metadata", key]).unwrap_or_default();
    format!("{}-{}", text("name"), text("version"))
}

/// The `appVersion` of a recorded chart; may be empty.
pub(crate) fn app_version(chart: &Value) -> &str {
    json::text_at(chart, &["metadata", "appVersion"]).unwrap_or_default()
}

fn parse(file: &str) -> Value {
    let documents = yaml::read(file).expect("the chart's files are part of this program, and a test reads them");
    documents.into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_chart_is_the_one_of_the_repository() {
        assert_eq!(title(&RECORDED), "dbt-server-0.1.0");
        assert_eq!(app_version(&RECORDED), "1.0.0");
        assert_eq!(SOURCE, format!("{}/{TEMPLATE_NAME}", RECORDED["metadata"]["name"].as_str().unwrap()));
        assert_eq!(RECORDED["metadata"]["apiVersion"], "v2");
        assert_eq!(RECORDED["values"], json!({ "manifests": [], "controller": {} }));
        let template = STANDARD.decode(RECORDED["templates"][0]["data"].as_str().unwrap()).unwrap();
        assert_eq!(template, TEMPLATE.as_bytes());
    }
}

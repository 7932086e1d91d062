//! A record of Helm.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::GzDecoder;
use serde_json::Value;

/// What a Secret of Helm tells of a revision.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The name of its release.
    pub(crate) release: String,
    pub(crate) revision: u64,
    /// The name of its chart.
    pub(crate) chart: String,
    /// By its label, and by its payload.
    pub(crate) status: (String, String),
    /// The objects of its manifest.
    pub(crate) manifest: Vec<Value>,
}

impl Record {
    /// Reads it; none when it is none.
    pub(crate) fn read(secret: &Value) -> Option<Self> {
        let labels = &secret["metadata"]["labels"];
        let packed = BASE64.decode(BASE64.decode(secret["data"]["release"].as_str()?).ok()?).ok()?;
        let mut text = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).ok()?;
        let payload: Value = serde_json::from_str(&text).ok()?;
        let status = (labels["status"].as_str()?.to_owned(), payload["info"]["status"].as_str()?.to_owned());
        let manifest = serde_saphyr::from_multiple(payload["manifest"].as_str()?).ok()?;
        let release = labels["name"].as_str()?.to_owned();
        let chart = payload["chart"]["metadata"]["name"].as_str()?.to_owned();
        Some(Self { release, revision: labels["version"].as_str()?.parse().ok()?, chart, status, manifest })
    }
}

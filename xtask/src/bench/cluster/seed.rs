//! Thousands of releases, written directly: the records of one that the service made, under other names, and StatefulSets of 0 replicas.

use std::io::{Read as _, Write as _};
use std::ops::Range;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{NAMESPACE, contenders};
use crate::bench::load::Api;
use crate::cluster::Plane;

/// The project of the release that is copied; long enough that a number fits in its place.
const MODEL: &str = "bench-00000";
/// How many objects one request list has.
const AT_A_TIME: usize = 250;

/// A record and a StatefulSet as the service wrote them.
pub(super) struct Template {
    record: Value,
    payload: String,
    set: Value,
}

impl Template {
    /// Deploys the model, and reads what was written.
    pub(super) async fn record(api: &Api, plane: &Plane) -> anyhow::Result<Self> {
        api.send(&contenders::deploy_request(MODEL, 10)).await?;
        let read = |kind: &str, name: String| -> anyhow::Result<Value> {
            let text = plane.kubectl(&["get", kind, "--namespace", NAMESPACE, "--output", "json", &name])?;
            let mut object: Value = serde_json::from_str(&text).context("kubectl prints no JSON")?;
            let metadata = object["metadata"].as_object_mut().context("an object without metadata")?;
            metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
            Ok(object)
        };
        let record = read("secret", format!("sh.helm.release.v1.dbt-server-{MODEL}-main.v1"))?;
        let mut set = read("statefulset", format!("dbt-server-{MODEL}-main"))?;
        set["spec"]["replicas"] = json!(0);
        set["status"] = Value::Null;
        api.send(&contenders::delete_request(&format!("dbt-server-{MODEL}-main"))).await?;
        let payload = decode(record["data"]["release"].as_str().context("a record without a payload")?)?;
        Ok(Self { record, payload, set })
    }

    /// Writes the releases of these numbers.
    pub(super) fn write(&self, plane: &Plane, numbers: Range<usize>) -> anyhow::Result<()> {
        let numbers: Vec<_> = numbers.collect();
        let lists = numbers.chunks(AT_A_TIME).map(|numbers| {
            let mut items = Vec::new();
            for number in numbers {
                let project = format!("bench-{number}");
                let renamed = |object: &Value| object.to_string().replace(MODEL, &project);
                let mut record: Value = serde_json::from_str(&renamed(&self.record))?;
                record["data"]["release"] = json!(encode(&self.payload.replace(MODEL, &project))?);
                items.push(record);
                items.push(serde_json::from_str(&renamed(&self.set))?);
            }
            anyhow::Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())
        });
        // One kubectl makes at most 50 requests a second.
        let lists: Vec<String> = lists.collect::<anyhow::Result<_>>()?;
        for lists in lists.chunks(8) {
            std::thread::scope(|scope| {
                let writers: Vec<_> = lists.iter().map(|list| scope.spawn(|| plane.create(list))).collect();
                writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?)
            })?;
        }
        Ok(())
    }
}

/// What a record holds: base64 of a Secret, base64 of Helm, gzip.
fn decode(data: &str) -> anyhow::Result<String> {
    let packed = BASE64.decode(BASE64.decode(data)?)?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text)?;
    Ok(text)
}

fn encode(text: &str) -> anyhow::Result<String> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(text.as_bytes())?;
    Ok(BASE64.encode(BASE64.encode(packer.finish()?)))
}

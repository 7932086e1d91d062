//! When StatefulSets were changed and when they were ready, seen from outside.

use std::collections::HashMap;
use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::{Plane, program};

/// How long an event may be late.
const LATE: Duration = Duration::from_secs(10);

/// A running watch. It ends when this is dropped.
pub(super) struct Watch {
    process: Child,
    seen: Arc<(Mutex<HashMap<String, Seen>>, Condvar)>,
}

/// The newest change of one StatefulSet.
struct Seen {
    generation: i64,
    changed: Instant,
    ready: Option<Instant>,
}

impl Watch {
    pub(super) fn start(plane: &Plane, namespace: &str) -> anyhow::Result<Self> {
        let mut process = Command::new(program("kubectl"))
            .env("KUBECONFIG", plane.kubeconfig())
            .args(["get", "statefulsets", "--namespace", namespace, "--watch", "--output", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        let output = process.stdout.take().context("kubectl has no standard output")?;
        let seen = Arc::new((Mutex::new(HashMap::new()), Condvar::new()));
        let table = Arc::clone(&seen);
        std::thread::spawn(move || {
            for set in serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>().map_while(Result::ok) {
                note(&table, &set, Instant::now());
            }
        });
        Ok(Self { process, seen })
    }

    /// How long the newest change of a StatefulSet took until it was ready.
    pub(super) fn until_ready(&self, name: &str) -> anyhow::Result<Duration> {
        let (table, changed) = &*self.seen;
        let table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |table: &mut HashMap<String, Seen>| table.get(name).is_none_or(|seen| seen.ready.is_none());
        let (table, timeout) = changed.wait_timeout_while(table, LATE, waiting).unwrap_or_else(PoisonError::into_inner);
        ensure!(!timeout.timed_out(), "StatefulSet {name} was not seen ready");
        let seen = table.get(name).context("it was just there")?;
        Ok(seen.ready.context("it was just ready")? - seen.changed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn note(seen: &(Mutex<HashMap<String, Seen>>, Condvar), set: &Value, now: Instant) {
    let (table, changed) = seen;
    let Some(name) = set["metadata"]["name"].as_str() else { return };
    let generation = set["metadata"]["generation"].as_i64().unwrap_or_default();
    let status = &set["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let is_ready = count("observedGeneration") == generation
        && count("readyReplicas") == 1
        && count("updatedReplicas") == 1
        && status["currentRevision"] == status["updateRevision"];
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = table.entry(name.to_owned()).or_insert(Seen { generation: -1, changed: now, ready: None });
    if entry.generation != generation {
        *entry = Seen { generation, changed: now, ready: None };
    }
    if is_ready {
        entry.ready.get_or_insert(now);
    }
    changed.notify_all();
}

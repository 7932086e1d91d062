//! Small objects, and what is looked up in statuses.

use serde_json::{Value, json};

/// A StatefulSet of one replica like those of dbt servers: the containers `dbt-server` and `dbt-server-nginx-proxy`. What its pod goes through
/// is chosen by the tag of the first one's image.
#[must_use]
pub fn stateful_set(name: &str, tag: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 60,
                    "containers": [
                        {"name": "dbt-server", "image": format!("registry.example.com:5000/team/dbt-server:{tag}")},
                        {"name": "dbt-server-nginx-proxy", "image": "nginx:1.29"},
                    ],
                },
            },
        },
    })
}

/// A claim. Without a class it is of the default one.
#[must_use]
pub fn claim(name: &str, class: Option<&str>, size: &str) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

/// A container's status in a pod.
#[must_use]
pub fn container_status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    pod["status"]["containerStatuses"].as_array()?.iter().find(|status| status["name"] == container)
}

/// The status of a condition of any object: `True`, `False` or `Unknown`.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str()
}

/// An object that there is or was, as one that is to be made: without what the cluster has written into it.
///
/// # Panics
///
/// When it is no object.
#[must_use]
pub fn as_new(mut object: Value) -> Value {
    for of_the_old_one in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(of_the_old_one);
    }
    object.as_object_mut().unwrap().remove("status");
    object
}

//! What a fuzzer calls: any bytes as the body of a POST, and what must hold then. Panics when it does not.
#![allow(clippy::panic, reason = "a broken property is what the fuzzer looks for")]

use std::collections::BTreeMap;

use dbt_controller_domain::model::{CloudProvider, HostTemplate};

use crate::deploy_body::{BodyError, RequestDefaults, parse};

/// A body: what is taken keeps to the rules that inner code does not check again, what is refused names a field or a place.
pub fn body(bytes: &[u8]) {
    match parse(bytes, &defaults()) {
        Ok(parsed) => {
            let request = parsed.request;
            assert!(request.resources.cpu_request.millicores() <= request.resources.cpu_limit.millicores());
            assert!(request.resources.memory_request.bytes() <= request.resources.memory_limit.bytes());
            assert!((1..=20).contains(&request.options.worker_num) && (1..=100).contains(&request.options.max_requests));
            assert_eq!(request.hash(), request.clone().hash());
            assert!(!request.identity.release_names().is_empty());
        }
        Err(BodyError::Malformed(message)) => assert!(!message.is_empty()),
        Err(BodyError::Invalid(errors)) => assert!(!errors.is_empty() && errors.values().all(|messages| !messages.is_empty())),
    }
}

fn defaults() -> RequestDefaults {
    let text = "it is a valid name";
    RequestDefaults {
        namespaces: vec!["dbt-server".parse().expect(text), "data".parse().expect(text)],
        customer: Some("acme".parse().expect(text)),
        domain: Some("example.com".parse().expect(text)),
        host_template: HostTemplate::default(),
        tag: Some("1.0.0".to_owned()),
        cloud_provider: CloudProvider::Gcp,
        service_account: None,
        sizes: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_replayed() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/body");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        files.iter().for_each(|file| super::body(&std::fs::read(file).unwrap()));
    }
}

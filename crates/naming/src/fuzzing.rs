//! What a fuzzer calls: any bytes as names, and what must hold then. Panics when it does not.
#![allow(clippy::panic, reason = "a broken property is what the fuzzer looks for")]

use crate::{ConnectionId, Identity, ReleaseName};

/// Two lines: a project and a branch, and whatever comes out of them as names that came from outside.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (project, branch) = text.split_once('\n').map_or((text, None), |(project, branch)| (project, Some(branch)));
    for outside in [project, branch.unwrap_or_default()] {
        if let Ok(name) = outside.parse::<ReleaseName>() {
            assert_eq!(name.as_str(), outside, "a name that is taken is taken as it is");
        }
        if let Ok(id) = outside.parse::<ConnectionId>() {
            assert_eq!(id.as_str(), outside, "an id that is taken is taken as it is");
        }
    }
    let Ok(identity) = Identity::parse(project, branch) else { return };
    for name in identity.release_names() {
        assert!(name.as_str().len() <= 52 && !name.as_str().ends_with('-'), "{name}");
        assert_eq!(name.as_str().parse::<ReleaseName>().ok(), Some(name));
    }
    for id in identity.connection_ids() {
        assert!(id.as_str().len() <= 200, "{id}");
        assert_eq!(id.as_str().parse::<ConnectionId>().ok(), Some(id));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_replayed() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/names");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        files.iter().for_each(|file| super::names(&std::fs::read(file).unwrap()));
    }
}

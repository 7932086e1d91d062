//! What a fuzzer calls: any bytes as what others may have written into the cluster, and what must hold then. Panics when it does not.
#![allow(clippy::panic, reason = "a broken property is what the fuzzer looks for")]

use crate::operations::{decode, encode};

/// The stored form of a release's operations.
pub fn operations(bytes: &[u8]) {
    let Ok(stored) = decode(bytes) else { return };
    let written = encode(&stored).unwrap_or_else(|error| panic!("what was read is not written: {error}"));
    let again = decode(&written).unwrap_or_else(|error| panic!("what was written is not read: {error}"));
    // Records hold secrets, so they have no comparison; their stored form has everything.
    let written_again = encode(&again).unwrap_or_else(|error| panic!("what was read is not written: {error}"));
    assert!(written == written_again, "what was written is read as something else");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_replayed() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/operations");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        files.iter().for_each(|file| operations(&std::fs::read(file).unwrap()));
    }
}

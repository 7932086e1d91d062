//! One command at a time for each control plane.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

/// Held until it is dropped, or until the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for its turn.
    #[expect(clippy::print_stdout, reason = "the developer reads it")]
    pub(super) fn take(folder: &Path) -> anyhow::Result<Self> {
        // Beside the folder, which comes and goes.
        let path = folder.with_extension("lock");
        let parent = path.parent().context("the folder has no parent")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("Another `cargo xtask cluster` is at work; waiting for its end.");
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
        Ok(Self { _file: file })
    }
}

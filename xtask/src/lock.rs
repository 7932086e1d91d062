//! One command at a time.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

/// Held until it is dropped, or until the process ends in any way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for its turn with what is in this folder.
    #[expect(clippy::print_stdout, reason = "the developer reads it")]
    pub(crate) fn take(folder: &Path) -> anyhow::Result<Self> {
        let file = open(folder)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("Another `cargo xtask` is at work in {}; waiting for its end.", folder.display());
                file.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {}", folder.display())),
        }
        Ok(Self { _file: file })
    }

    /// Waits until nobody holds it alone, and lets others share it.
    pub(crate) fn share(folder: &Path) -> anyhow::Result<Self> {
        let file = open(folder)?;
        file.lock_shared().with_context(|| format!("cannot lock {}", folder.display()))?;
        Ok(Self { _file: file })
    }
}

/// The file beside the folder, which comes and goes.
fn open(folder: &Path) -> anyhow::Result<File> {
    let path = folder.with_extension("lock");
    let parent = path.parent().context("the folder has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    File::create(&path).with_context(|| format!("cannot write {}", path.display()))
}

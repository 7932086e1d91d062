//! Helm releases: their records, their objects, and what the records hold.

mod content;
mod handle;
mod installer;
mod objects;
mod records;
mod values;
mod writing;

pub use self::content::{ForeignRelease, ForeignServer};
pub use self::handle::{HistoryRow, Releases};
pub use self::installer::MemoryInstaller;
pub(crate) use self::objects::ObjectTable;
pub(crate) use self::records::ReleaseTable;

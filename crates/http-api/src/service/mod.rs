//! What the service tells about itself.

mod info;
mod root;
mod status;

pub(crate) use info::{InfoAnswer, get_info};
pub(crate) use root::head_root;
pub(crate) use status::{StatusAnswer, get_status};

/// The name under which the service speaks of itself.
pub(crate) const SERVICE: &str = "dbt-api-service-controller";

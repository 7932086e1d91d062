//! What handlers take from a request.

mod body_budget;
mod caller;
mod json_body;
mod parameters;
mod prefer;

pub(crate) use body_budget::BodyBudget;
pub(crate) use caller::RequestCaller;
pub(crate) use json_body::JsonBody;
pub(crate) use parameters::{NamePath, Problems, TargetQuery, path_config, query_config, target};
pub(crate) use prefer::Prefer;

//! `/api/v1/deployments`.

mod delete;
mod deploy;
mod inspect;
mod item;
mod list;
mod page;
mod resume;
mod submission;
mod success;
mod suspend;
mod view;

pub(crate) use delete::delete_deployment;
pub(crate) use deploy::create_deployment;
pub(crate) use inspect::get_deployment;
pub(crate) use list::{ListQuery, list_deployments};
pub(crate) use resume::resume_deployment;
pub(crate) use submission::AcceptedAnswer;
pub(crate) use success::{Conclusion, DeleteAnswer, DeployAnswer, ScaleAnswer, SuccessDetails, success_message};
pub(crate) use suspend::{SuspendQuery, suspend_deployment};
pub(crate) use view::DeploymentAnswer;

pub(crate) use item::DeploymentList;

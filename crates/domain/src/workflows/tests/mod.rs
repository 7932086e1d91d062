//! Every step of every workflow with the mocks of the ports: it succeeds, it fails with the undo that must follow, the undo fails.

mod delete;
mod deploy;
mod ownership;
mod scale;
mod stage;
mod undo;

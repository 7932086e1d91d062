//! The model test: random stories of callers, humans, crashes and faults around one far side, and what has to hold after each step.
//!
//! A story is a list of steps. A step lets a few things happen at once, then everything comes to rest: callers are answered, what was
//! given up is taken over, debts are paid. Then the world is looked at, and two questions are asked: is it well formed (`invariants`),
//! and is it what the outcomes of the operations say (`reference`)? At the end everybody's deployment is made once more and removed, after
//! which nothing may be left.
//!
//! # Terms
//! - **World**: the far side with what a test can do to it, [`World`]. The model knows nothing else of it, so that it runs on any.
//! - **Sight**: all that the world shows at one moment, [`Sight`].
//! - **Rest**: nothing is under way and no debt is open. While Airflow or the cluster is down there is no rest, and only what can hold
//!   then is asked for.
//! - **Excuse**: a part of a deployment that need not be in order, since a human disturbed it or the service itself said that it is not.
//!   The next operation that succeeds has to put it in order.
//!
//! ```text
//! strategy ─► Story ─► run ─► rig: replicas that can be frozen and killed at any call ─► World
//!                       └───► look ─► invariants, reference (what outcomes promise) ─► sentences about what is wrong
//! ```

mod allowed;
mod answer;
mod invariants;
mod pace;
mod promise;
mod reference;
mod rig;
mod run;
mod sight;
mod step;
mod strategy;
mod told;
mod world;

pub use pace::Pace;
pub use run::{on_a_large_stack, run};
pub use sight::{Row, Seen, SeenConnection, SeenServer, Sight};
pub use step::{Event, FaultKind, Form, Human, Login, Moment, Place, Request, Size, Step, Story, Tag, Trouble, Who};
pub use strategy::stories;
pub use told::Told;
pub use world::{Links, World};

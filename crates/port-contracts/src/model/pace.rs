//! How much time things take in a world.

use std::time::Duration;

use dbt_controller_domain::model::{Patience, Settings};

use crate::fixtures;

/// The times of a world, and those of the services that work on it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The settings of every replica. Records have to live until the model has read their outcomes.
    pub settings: Settings,
    /// How often it is looked whether the world is at rest.
    pub look: Duration,
    /// How long pods may take to follow when nothing is under way any more.
    pub follow: Duration,
    /// How long things go on while something is down.
    pub outage: Duration,
    /// The longest that a story lets time pass.
    pub pause: Duration,
    /// The longest that a caller may wait for an operation among others: some deploys that end by their timeout.
    pub wait: Duration,
    /// The longest that it may take to come to rest after that: takeovers, undos, debts that planned faults put off.
    pub unrest: Duration,
}

impl Pace {
    /// That of a world in virtual time: the service's own settings, and all the time that it may take.
    pub fn virtual_time() -> Self {
        Self {
            settings: Settings { operation_retention: Duration::from_secs(48 * 3600), ..settings() },
            look: Duration::from_secs(10),
            follow: Duration::from_secs(15),
            outage: Duration::from_secs(120),
            pause: Duration::MAX,
            wait: Duration::from_secs(6 * 3600),
            unrest: Duration::from_secs(4 * 3600),
        }
    }

    /// That of a real one, whose pods need a second: short windows, so that a story takes minutes.
    pub fn real_time() -> Self {
        let patience = Patience { pull_error_window: Duration::from_secs(2), no_pod_window: Duration::from_secs(1), ..Patience::default() };
        Self {
            settings: Settings {
                deploy_timeout: Duration::from_secs(60),
                undo_timeout: Duration::from_secs(40),
                lock_stale_after: Duration::from_secs(6),
                patience,
                ..settings()
            },
            look: Duration::from_millis(500),
            follow: Duration::from_secs(3),
            outage: Duration::from_secs(15),
            pause: Duration::from_secs(10),
            wait: Duration::from_secs(600),
            unrest: Duration::from_secs(600),
        }
    }
}

fn settings() -> Settings {
    let namespaces = [false, true].map(|data| super::Place(data).name()).map(|name| name.parse().unwrap_or_else(|error| panic!("{error}")));
    Settings { namespaces: namespaces.to_vec(), ..Settings::new(fixtures::namespace()) }
}

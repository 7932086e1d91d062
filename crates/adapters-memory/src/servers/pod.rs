//! One pod: its story is fixed when it starts, and what it shows is a function of its age.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{ByteQuantity, ReleaseKey, Warehouse};
use secrecy::SecretString;

use super::Pace;
use crate::clock::Moment;

/// Container with the dbt server.
pub(super) const SERVER_CONTAINER: &str = "dbt-server";
/// Container with the proxy that checks the login.
pub(super) const PROXY_CONTAINER: &str = "dbt-server-nginx-proxy";

/// What becomes of a pod's server container, by the tag of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It becomes ready.
    Starts,
    /// Its image cannot be pulled (tags that begin with `missing`).
    NeverPulled,
    /// It ends again and again (tags that begin with `crash`).
    Crashes,
}

impl Fate {
    pub(crate) fn of_tag(tag: &str) -> Self {
        if tag.starts_with("missing") {
            Self::NeverPulled
        } else if tag.starts_with("crash") {
            Self::Crashes
        } else {
            Self::Starts
        }
    }
}

/// The labels by which a StatefulSet finds its pods. One of another selector does not take a pod over, and its name stays in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    /// As our releases select: by the release's name.
    Ours,
    /// As the replaced service selects.
    Replaced,
}

/// What pods are made from.
#[derive(Debug)]
pub(crate) struct PodTemplate {
    /// Name of its controller revision.
    pub(crate) revision: String,
    pub(crate) image: String,
    pub(crate) fate: Fate,
    /// The Secret that it mounts.
    pub(crate) warehouse: Option<Warehouse>,
    /// The Git URL with credentials. A server that crashes prints it, as real ones do.
    pub(crate) git_url: SecretString,
}

/// What a release wants of its StatefulSet, `replicas` excepted.
#[derive(Debug, Clone)]
pub(crate) struct ServerSpec {
    pub(crate) release: ReleaseKey,
    pub(crate) template: Arc<PodTemplate>,
    pub(crate) fixed: FixedFields,
}

/// The fields of a StatefulSet that cannot change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FixedFields {
    pub(crate) selector: Selector,
    /// Size in the claim template.
    pub(crate) storage: Option<ByteQuantity>,
    /// Identity in the claim template's annotations, which each claim gets.
    pub(crate) identity: Option<Identity>,
}

/// What keeps a pod from starting, or from being made at all. Planted by tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// Admission refuses the pod: it is never made. The StatefulSet's status says nothing of it; who asks by a dry run is told.
    Refused(dbt_controller_domain::model::PodRefusal),
    /// No node takes it: the scheduler's words.
    Unschedulable(String),
    /// A volume cannot be mounted: the kubelet's words.
    VolumeFailure(String),
    /// The container cannot be made (`CreateContainerConfigError`): the kubelet's words.
    ContainerConfig(String),
}

/// A pod.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(super) ordinal: u32,
    pub(super) uid: String,
    pub(super) template: Arc<PodTemplate>,
    pub(super) selector: Selector,
    pub(super) created: Moment,
    /// When it got its node and volumes, or what keeps it from that.
    pub(super) started: Result<Moment, Hindrance>,
    /// When it will be gone, if it is being deleted.
    pub(super) gone_at: Option<Moment>,
    /// Whether the StatefulSet controller has seen it ready.
    pub(super) seen_ready: bool,
}

/// Where a container stands in its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for node, volumes and the pull.
    Creating,
    /// The first attempt to pull failed.
    PullFailed { since: Moment },
    /// Waits to pull again.
    PullBackOff { since: Moment },
    /// Runs, after so many restarts, and after its last end.
    Running { since: Moment, restarts: u32, last_end: Option<Moment> },
    /// Ended and waits to be restarted.
    CrashBackOff { restarts: u32, since: Moment, delay: Duration },
}

impl Pod {
    /// When the pod is ready, if ever.
    pub(super) fn ready_at(&self, pace: &Pace) -> Option<Moment> {
        let started = *self.started.as_ref().ok()?;
        match self.template.fate {
            Fate::Starts => Some(started + pace.ready_after),
            Fate::NeverPulled | Fate::Crashes => None,
        }
    }

    /// Condition `Ready`. It outlives the order to delete the pod: the containers still run.
    pub(super) fn is_ready(&self, pace: &Pace, now: Moment) -> bool {
        self.ready_at(pace).is_some_and(|ready_at| ready_at <= now)
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.gone_at.is_some()
    }

    /// Orders its deletion, if that was not done.
    pub(super) fn terminate(&mut self, pace: &Pace, now: Moment) {
        self.gone_at.get_or_insert(now + pace.termination);
    }

    /// Where the server container stands; none while the pod waits for its node.
    pub(super) fn server_stage(&self, pace: &Pace, now: Moment) -> Stage {
        let Ok(started) = self.started else { return Stage::Creating };
        let running = started + pace.pull();
        if now < running {
            return Stage::Creating;
        }
        match self.template.fate {
            Fate::Starts => Stage::Running { since: running, restarts: 0, last_end: None },
            Fate::NeverPulled if now < running + pace.pull() => Stage::PullFailed { since: running },
            Fate::NeverPulled => Stage::PullBackOff { since: running },
            Fate::Crashes => crash_stage(running, started + pace.ready_after, pace.backoff(), now).0,
        }
    }

    /// Where the proxy stands: it has nothing to wait for but the pull.
    pub(super) fn proxy_stage(&self, pace: &Pace, now: Moment) -> Stage {
        match self.started {
            Ok(started) if now >= started + pace.pull() => Stage::Running { since: started + pace.pull(), restarts: 0, last_end: None },
            _ => Stage::Creating,
        }
    }

    /// The next moment after `now` at which it will show something else by itself.
    pub(super) fn next_change(&self, pace: &Pace, now: Moment) -> Option<Moment> {
        let started = self.started.as_ref().ok().copied();
        let running = started.map(|started| started + pace.pull());
        let fated = match self.template.fate {
            Fate::Starts => self.ready_at(pace),
            Fate::NeverPulled => running.map(|running| running + pace.pull()),
            Fate::Crashes => {
                started.zip(running).map(|(started, running)| crash_stage(running, started + pace.ready_after, pace.backoff(), now).1)
            }
        };
        [running, fated, self.gone_at].into_iter().flatten().filter(|moment| *moment > now).min()
    }
}

/// How often the wait between two restarts doubles; then it stays.
const DOUBLINGS: u32 = 4;

/// The stage of a container that began to run at `begin`, ended at `first_end`, and has since been restarted after waits of
/// `unit`, twice that, …, to run for half a unit each time; and when that stage ends.
fn crash_stage(begin: Moment, first_end: Moment, unit: Duration, now: Moment) -> (Stage, Moment) {
    let run = unit / 2;
    let (mut since, mut end, mut last_end, mut restarts) = (begin, first_end, None, 0);
    loop {
        if now < end {
            return (Stage::Running { since, restarts, last_end }, end);
        }
        let delay = unit * 2_u32.pow(restarts.min(DOUBLINGS));
        // Past the doublings all rounds are equal; whole ones are skipped, so that an old pod costs no more than a young one.
        if restarts >= DOUBLINGS {
            let rounds = u32::try_from((now - end).as_nanos() / (delay + run).as_nanos()).unwrap_or(u32::MAX);
            end += (delay + run).saturating_mul(rounds);
            restarts = restarts.saturating_add(rounds);
        }
        if now < end + delay {
            return (Stage::CrashBackOff { restarts, since: end, delay }, end + delay);
        }
        last_end = Some(end);
        since = end + delay;
        end = since + run;
        restarts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Stage {
        crash_stage(Duration::ZERO, UNIT * 2, UNIT, Duration::from_millis(millis)).0
    }

    #[test]
    fn a_crashing_container_waits_twice_as_long_after_each_end() {
        let ms = Duration::from_millis;
        assert_eq!(at(199), Stage::Running { since: ms(0), restarts: 0, last_end: None });
        assert_eq!(at(200), Stage::CrashBackOff { restarts: 0, since: ms(200), delay: UNIT });
        assert_eq!(at(300), Stage::Running { since: ms(300), restarts: 1, last_end: Some(ms(200)) });
        assert_eq!(at(350), Stage::CrashBackOff { restarts: 1, since: ms(350), delay: UNIT * 2 });
        assert_eq!(at(550), Stage::Running { since: ms(550), restarts: 2, last_end: Some(ms(350)) });
        assert_eq!(at(600), Stage::CrashBackOff { restarts: 2, since: ms(600), delay: UNIT * 4 });
        assert_eq!(at(1000), Stage::Running { since: ms(1000), restarts: 3, last_end: Some(ms(600)) });
    }

    #[test]
    fn skipping_rounds_leads_to_the_same_stages_as_walking_them() {
        let (mut now, mut restarts) = (Duration::ZERO, 0);
        for _ in 0..60 {
            let (stage, end) = crash_stage(Duration::ZERO, UNIT * 2, UNIT, now);
            assert!(end > now, "a stage ends after it began");
            if let Stage::Running { restarts: seen, since, .. } = stage {
                assert_eq!(seen, restarts, "at {now:?}");
                assert_eq!(since, now);
                restarts += 1;
            }
            now = end;
        }
        assert_eq!(restarts, 30);
    }

    #[test]
    fn a_pod_that_crashed_for_a_year_costs_nothing() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let (_, end) = crash_stage(Duration::ZERO, UNIT, UNIT, year);
        assert!(end > year);
    }
}

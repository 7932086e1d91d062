//! What a failed server looked like, collected before the undo removes it.

use jiff::Timestamp;

use super::Redactor;

/// Everything a person needs to see why a server did not come up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Autopsy {
    /// One report per container of each pod.
    pub containers: Vec<ContainerReport>,
    /// Events of the server's objects, newest last, at most 20.
    pub events: Vec<ClusterEvent>,
    /// The scheduler's words, when no node was found.
    pub scheduling: Option<String>,
    /// State of the claims and volumes.
    pub volumes: Vec<VolumeReport>,
    /// What could not be read, and why (missing rights, cluster away).
    pub gaps: Vec<String>,
}

/// One container at the time of the failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReport {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// `running`, `waiting` or `terminated`.
    pub state: String,
    /// Kubernetes' word, such as `ImagePullBackOff`.
    pub reason: Option<String>,
    /// Kubernetes' sentence.
    pub message: Option<String>,
    /// Exit code of the last end.
    pub exit_code: Option<i32>,
    /// How often it was restarted.
    pub restarts: u32,
    /// The last lines of its log (of the previous container after a crash), at most 20. Whole ones, until the autopsy is redacted.
    pub log: Vec<String>,
}

/// A Kubernetes event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// When it was last seen.
    pub at: Timestamp,
    /// `Kind/name` it is about.
    pub object: String,
    /// Kubernetes' word.
    pub reason: String,
    /// Kubernetes' sentence.
    pub message: String,
    /// How often it was seen.
    pub count: u32,
}

/// A claim at the time of the failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeReport {
    /// The claim.
    pub claim: String,
    /// `Bound`, `Pending` or `Lost`.
    pub phase: String,
    /// More, when known.
    pub message: Option<String>,
}

impl Autopsy {
    /// The most bytes of a line of a log that are left in a redacted autopsy.
    pub const LOG_LINE: usize = 1024;

    /// The autopsy without secrets in its texts, and with long lines of logs cut: not before, since the rest of a secret that was cut through
    /// is not recognized. Logs and events come from other programs, which print what they like.
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        let clean = |text: &mut String| *text = redactor.redact(text);
        for container in &mut self.containers {
            container.log.iter_mut().chain(container.message.as_mut()).for_each(clean);
            container.log.iter_mut().for_each(|line| line.truncate(line.floor_char_boundary(Self::LOG_LINE)));
        }
        self.events.iter_mut().map(|event| &mut event.message).for_each(clean);
        self.volumes.iter_mut().filter_map(|volume| volume.message.as_mut()).for_each(clean);
        self.scheduling.iter_mut().chain(&mut self.gaps).for_each(clean);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_logs_are_cut_when_there_are_no_secrets_in_them_any_more() {
        let container = |log: [String; 3]| ContainerReport {
            pod: String::new(),
            container: String::new(),
            state: String::new(),
            reason: None,
            message: None,
            exit_code: None,
            restarts: 0,
            log: log.to_vec(),
        };
        let before = "x".repeat(Autopsy::LOG_LINE - 4);
        let log = [format!("{before}hunter2hunter2"), "ü".repeat(Autopsy::LOG_LINE), "short".to_owned()];
        let autopsy = Autopsy { containers: vec![container(log)], ..Autopsy::default() };
        let redacted = autopsy.redacted(&Redactor::new(["hunter2hunter2".into()]));
        let expected = [format!("{before}***"), "ü".repeat(Autopsy::LOG_LINE / 2), "short".to_owned()];
        assert_eq!(redacted.containers, [container(expected)]);
    }
}

//! What a StatefulSet asks for one container of its pod, as a kubelet and its container runtime understand it.
//!
//! A field that is not played here ends the test: it may be the one that stops nginx.

use serde_json::Value;

/// What Docker and containerd let a container's root do, if nothing else is asked for.
///
/// <https://github.com/containerd/containerd/blob/v2.1.0/pkg/oci/spec.go> (`defaultUnixCaps`)
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    /// Its user; that of the image, root, if nobody asks for another.
    pub(super) user: u32,
    /// Its group; that of its user in the image's `passwd`, if nobody asks for another.
    pub(super) group: u32,
    /// The group that volumes are given to.
    pub(super) volume_group: Option<u32>,
    /// The groups that it is in beside its own.
    pub(super) more_groups: Vec<u32>,
    /// The capabilities that it may have.
    pub(super) capabilities: Vec<String>,
    /// Whether it may gain rights by programs that have more.
    pub(super) may_gain_rights: bool,
    /// Whether it may write into the image.
    pub(super) writes_to_image: bool,
    /// What is mounted into the image.
    pub(super) mounts: Vec<Mount>,
}

/// A volume in a container.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    /// The volume, as the pod has it.
    pub(super) volume: Value,
    /// Where it is in the container.
    pub(super) path: String,
    /// The one file or folder of it, if it is not the whole.
    pub(super) sub_path: Option<String>,
    /// Whether it is only read.
    pub(super) read_only: bool,
}

impl Container {
    /// The one with this name.
    pub(super) fn of(stateful_set: &Value, name: &str, passwd: &str) -> Self {
        let pod = &stateful_set["spec"]["template"]["spec"];
        let container = list(&pod["containers"]).iter().find(|container| container["name"] == name).unwrap();
        // No `command`, `args` and `env`: it is started as the image says.
        only(
            container,
            &[
                "name",
                "image",
                "imagePullPolicy",
                "ports",
                "readinessProbe",
                "resources",
                "securityContext",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "volumeMounts",
            ],
        );
        let (of_pod, own) = (&pod["securityContext"], &container["securityContext"]);
        // A filter of system calls cannot be set without a program of its own, and `RuntimeDefault` forbids none that nginx makes.
        only(of_pod, &["runAsUser", "runAsGroup", "runAsNonRoot", "fsGroup", "supplementalGroups", "seccompProfile"]);
        only(own, &["runAsUser", "runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "capabilities"]);
        // What a container asks for wins over what its pod asks for.
        let asked = |field: &str| if own[field].is_null() { &of_pod[field] } else { &own[field] };
        let user = number(asked("runAsUser")).unwrap_or(0);
        assert!(user != 0 || asked("runAsNonRoot") != true, "a kubelet does not start a root that must not be root");
        let volume_group = number(&of_pod["fsGroup"]);
        Self {
            user,
            group: number(asked("runAsGroup")).unwrap_or_else(|| group_of(user, passwd)),
            volume_group,
            more_groups: list(&of_pod["supplementalGroups"]).iter().filter_map(number).chain(volume_group).collect(),
            capabilities: capabilities(&own["capabilities"]),
            may_gain_rights: own["allowPrivilegeEscalation"] != false,
            writes_to_image: own["readOnlyRootFilesystem"] != true,
            mounts: list(&container["volumeMounts"]).iter().map(|mount| Mount::of(mount, list(&pod["volumes"]))).collect(),
        }
    }

    /// The arguments by which `setpriv` gives a program just these rights.
    pub(super) fn rights(&self) -> Vec<String> {
        let mut arguments = vec![format!("--reuid={}", self.user), format!("--regid={}", self.group), "--inh-caps=-all".to_owned()];
        arguments.push(match self.more_groups.as_slice() {
            [] => "--clear-groups".to_owned(),
            groups => format!("--groups={}", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        });
        let allowed: String = self.capabilities.iter().map(|name| format!(",+{}", name.to_lowercase())).collect();
        arguments.push(format!("--bounding-set=-all{allowed}"));
        arguments.extend((!self.may_gain_rights).then(|| "--no-new-privs".to_owned()));
        arguments
    }
}

impl Mount {
    fn of(mount: &Value, volumes: &[Value]) -> Self {
        only(mount, &["name", "mountPath", "subPath", "readOnly"]);
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        Self {
            volume: volume.clone(),
            path: mount["mountPath"].as_str().unwrap().to_owned(),
            sub_path: mount["subPath"].as_str().map(str::to_owned),
            // A container never writes to a ConfigMap or Secret.
            read_only: mount["readOnly"] == true || volume["emptyDir"].is_null(),
        }
    }

    /// Whether it is a place to write to.
    pub(super) fn is_scratch(&self) -> bool {
        self.volume["emptyDir"].is_object()
    }
}

fn capabilities(asked: &Value) -> Vec<String> {
    only(asked, &["drop", "add"]);
    let names = |field: &str| list(&asked[field]).iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let dropped = names("drop");
    let mut left: Vec<_> = DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    left.retain(|name| !dropped.iter().any(|dropped| dropped == "ALL" || dropped == name));
    left.extend(names("add"));
    left
}

/// Checks that there is nothing in a map that is not played here.
#[track_caller]
pub(super) fn only(map: &Value, known: &[&str]) {
    let unknown: Vec<_> = map.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !known.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "this test has to learn what {unknown:?} of {map} do");
}

/// The items of a list, if it is there.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|number| number.try_into().unwrap())
}

/// The first group of a user, as `passwd` has it; root's for a user that it does not have.
fn group_of(user: u32, passwd: &str) -> u32 {
    let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.filter(|fields| fields[2] == user.to_string()).map(|fields| fields[3].parse().unwrap()).next().unwrap_or(0)
}

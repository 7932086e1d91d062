//! What can happen in a story, and how it is told.

use std::fmt;

use dbt_controller_domain::model::DeployRequest;
use dbt_controller_domain::naming::{ConnectionId, Identity, ReleaseName};

use crate::fixtures;

/// A story: its steps, in order. Its `Debug` form is what a person reads when the model has found something.
#[derive(Clone, Default)]
pub struct Story(pub Vec<Step>);

/// Things that happen at about the same time. The world comes to rest after them.
#[derive(Clone)]
pub struct Step(pub Vec<(Moment, Event)>);

/// When something happens, in tenths of a second after the step's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u16);

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody calls the service, at one of its replicas.
    Ask(u8, Request),
    /// A human acts beside the service.
    Human(Human),
    /// Something breaks, or is whole again.
    Trouble(Trouble),
    /// Nothing happens for so many seconds.
    Wait(u16),
}

/// Whose deployment: a place in [`Who::all`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who(pub u8);

/// Which of its names, by preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form(pub u8);

/// In which of the two namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub bool);

/// The image's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A server that comes up; there are a few versions.
    Good(u8),
    /// No such image.
    Missing,
    /// A server that ends again and again.
    Crash,
}

/// The size of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// 1 GiB.
    Small,
    /// 2 GiB.
    Large,
}

/// The login that a request wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// None: it is kept, or made.
    Kept,
    /// One of two passwords.
    Password(bool),
    /// A user and a password.
    Whole,
}

/// A call of the service.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// POST.
    Deploy(Who, Tag, Size, Login, Place),
    /// DELETE by one of its names, which may be another's.
    Delete(Who, Form),
    /// Suspend.
    Suspend(Who),
    /// Resume.
    Resume(Who),
}

/// What a human does to a deployment, with helm, kubectl, or in Airflow.
#[derive(Clone, Debug, PartialEq)]
pub enum Human {
    /// `helm rollback` to the n-th oldest revision.
    RollBack(Who, u8),
    /// `helm upgrade --reuse-values`.
    Upgrade(Who),
    /// A `helm upgrade` that is killed in the middle.
    LeavePending(Who),
    /// A `helm uninstall` that is killed before it has removed anything.
    LeaveUninstalling(Who),
    /// `helm uninstall`, with `--keep-history` or without.
    Uninstall(Who, bool),
    /// `kubectl delete` of its n-th object.
    RemoveObject(Who, u8),
    /// `kubectl edit` of its n-th object.
    EditObject(Who, u8),
    /// `kubectl delete pvc`.
    DeleteClaim(Who),
    /// `kubectl delete pod`.
    DeletePods(Who),
    /// `kubectl scale`.
    Scale(Who, bool),
    /// Somebody makes a connection of their own under one of its ids.
    TakeConnection(Who, Form),
    /// They remove it again.
    LeaveConnection(Who, Form),
    /// Somebody deletes our connection in Airflow.
    DeleteConnection(Who),
}

/// How a call goes wrong; as the faults of the in-memory adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Not done, and no answer.
    Fail,
    /// Not done, and no answer until the longest time is over.
    Hang,
    /// Done, and no answer.
    LoseAnswer,
    /// Not done: a missing right.
    Forbid,
}

/// What breaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The n-th call of a port's method from now on goes wrong, so many times.
    Fault(&'static str, u8, FaultKind, u8),
    /// A replica is killed at its n-th call from now on, before or after the call is done. Another starts in its place.
    Crash(u8, u16, bool),
    /// A replica is frozen at its n-th call from now on, before or after the call is done.
    Freeze(u8, u16, bool),
    /// A frozen replica goes on.
    Wake(u8),
    /// A replica is told to stop, with 25 s of grace. Another starts in its place.
    Stop(u8),
    /// Airflow goes away, or comes back.
    Airflow(bool),
    /// The cluster goes away, or comes back.
    Cluster(bool),
}

impl Who {
    /// The identities of all stories. The first four share two plain names in pairs.
    pub fn all() -> Vec<Self> {
        (0..Self::NAMES.len() as u8).map(Self).collect()
    }

    const NAMES: [(&'static str, Option<&'static str>); 5] =
        [("a-b", Some("c")), ("a", Some("b-c")), ("x_y", None), ("x-y", None), ("shop", Some("main"))];

    /// Its identity.
    pub fn identity(self) -> Identity {
        let (project, branch) = Self::NAMES[self.0 as usize % Self::NAMES.len()];
        Identity::parse(project, branch).unwrap_or_else(|error| panic!("{project}: {error}"))
    }

    /// A release name of its.
    pub fn release_name(self, form: Form) -> ReleaseName {
        let names = self.identity().release_names();
        names[form.0 as usize % names.len()].clone()
    }

    /// A connection id of its.
    pub fn connection_id(self, form: Form) -> ConnectionId {
        let ids = self.identity().connection_ids();
        ids[form.0 as usize % ids.len()].clone()
    }
}

impl Request {
    /// The same about another deployment.
    pub fn of(self, who: Who) -> Self {
        match self {
            Self::Deploy(_, tag, size, login, place) => Self::Deploy(who, tag, size, login, place),
            Self::Delete(_, form) => Self::Delete(who, form),
            Self::Suspend(_) => Self::Suspend(who),
            Self::Resume(_) => Self::Resume(who),
        }
    }

    /// The request of a deploy; none for another call.
    pub fn deploy(&self) -> Option<DeployRequest> {
        let Self::Deploy(who, tag, size, login, place) = self else { return None };
        let identity = who.identity();
        let request = fixtures::request(identity.project().as_str(), identity.branch().map(|branch| branch.as_str()));
        let request = request.tag(&tag.to_string()).namespace(place.name()).storage(match size {
            Size::Small => "1Gi",
            Size::Large => "2Gi",
        });
        Some(match login {
            Login::Kept => request.build(),
            Login::Password(first) => request.password(if *first { "password-one" } else { "password-two" }).build(),
            Login::Whole => request.user("somebody").password("password-three").build(),
        })
    }
}

impl Place {
    /// The namespace.
    pub fn name(self) -> &'static str {
        if self.0 { "data" } else { fixtures::NAMESPACE }
    }
}

impl Human {
    /// Whose deployment it is about.
    pub fn who(&self) -> Who {
        match self {
            Self::RollBack(who, _)
            | Self::Upgrade(who)
            | Self::LeavePending(who)
            | Self::LeaveUninstalling(who)
            | Self::Uninstall(who, _)
            | Self::RemoveObject(who, _)
            | Self::EditObject(who, _)
            | Self::DeleteClaim(who)
            | Self::DeletePods(who)
            | Self::Scale(who, _)
            | Self::TakeConnection(who, _)
            | Self::LeaveConnection(who, _)
            | Self::DeleteConnection(who) => *who,
        }
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.identity())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(version) => write!(f, "v{version}"),
            Self::Missing => f.write_str("missing-1"),
            Self::Crash => f.write_str("crash-1"),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (Moment(tenths), event)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}.{} s: {event:?}", tenths / 10, tenths % 10)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            write!(f, "\n  {:>2}. {step:?}", index + 1)?;
        }
        Ok(())
    }
}

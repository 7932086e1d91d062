//! Random stories. They shrink by leaving out steps, then things within a step, then to simpler things.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::step::{Event, FaultKind, Form, Human, Login, Moment, Place, Request, Size, Step, Story, Tag, Trouble, Who};

/// The methods of the ports that can go wrong, by the words of the in-memory adapters.
const CALLS: &[&str] = &[
    "installer.list",
    "installer.summary",
    "installer.get",
    "installer.manifest_hash",
    "installer.begin",
    "installer.apply",
    "installer.commit",
    "installer.fail",
    "installer.roll_back",
    "installer.repair",
    "installer.objects",
    "installer.uninstall",
    "cluster.server",
    "cluster.watch",
    "cluster.why_no_pod",
    "cluster.autopsy",
    "cluster.set_replicas",
    "cluster.claims",
    "cluster.delete_claims",
    "cluster.grow_claims",
    "cluster.delete_stateful_set",
    "cluster.delete_broken_pods",
    "cluster.delete_orphans",
    "connections.get",
    "connections.put",
    "connections.delete",
    "connections.list_ours",
    "connections.dags",
    "operations.read",
    "operations.compare_and_swap",
    "operations.remove",
    "operations.list",
    "operations.watch",
];

/// Those of them that change something: what goes wrong there matters most.
const WRITES: &[&str] = &[
    "installer.begin",
    "installer.apply",
    "installer.commit",
    "installer.roll_back",
    "installer.uninstall",
    "cluster.set_replicas",
    "cluster.delete_claims",
    "connections.put",
    "connections.delete",
    "operations.compare_and_swap",
];

/// Stories of about so many steps at most.
pub fn stories(longest: usize) -> impl Strategy<Value = Story> {
    let steps = prop_oneof![12 => step().prop_map(|step| vec![step]), 1 => late_writer()];
    vec(steps, 1..=longest).prop_map(|parts| Story(parts.into_iter().flatten().collect()))
}

/// A replica that stands still in the middle of something, and goes on when others have gone on long since.
fn late_writer() -> impl Strategy<Value = Vec<Step>> {
    (0_u8..2, 0_u16..25, who(), request(), request()).prop_map(|(replica, calls, who, before, meanwhile)| {
        let now = |events: Vec<Event>| Step(events.into_iter().map(|event| (Moment(0), event)).collect());
        vec![
            now(vec![Event::Trouble(Trouble::Freeze(replica, calls, false)), Event::Ask(replica, before.of(who))]),
            now(vec![Event::Ask(1 - replica, meanwhile.of(who))]),
            now(vec![Event::Trouble(Trouble::Wake(replica))]),
        ]
    })
}

fn step() -> impl Strategy<Value = Step> {
    let alone = event().prop_map(|event| vec![(Moment(0), event)]);
    // Most things of interest need an operation in whose middle they happen.
    let together = (ask(), vec((moment(), event()), 1..=2)).prop_map(|(ask, mut others)| {
        others.insert(0, (Moment(0), ask));
        others
    });
    // So that a crash or a fault meets the operation from its first call on.
    let troubled = (vec(trouble(), 1..=2), ask(), proptest::option::of((moment(), event()))).prop_map(|(troubles, ask, other)| {
        let troubles = troubles.into_iter().map(|trouble| (Moment(0), Event::Trouble(trouble)));
        troubles.chain([(Moment(0), ask)]).chain(other).collect()
    });
    prop_oneof![4 => alone, 3 => together, 4 => troubled].prop_map(Step)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        9 => ask(),
        5 => human().prop_map(Event::Human),
        3 => trouble().prop_map(Event::Trouble),
        1 => prop_oneof![1_u16..60, 60_u16..3_000].prop_map(Event::Wait),
    ]
}

fn ask() -> impl Strategy<Value = Event> {
    (0_u8..2, request()).prop_map(|(replica, request)| Event::Ask(replica, request))
}

/// Mostly within the time that a first deploy takes.
fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![4 => 0_u16..15, 2 => 15_u16..100, 1 => 100_u16..900].prop_map(Moment)
}

/// One of them most of the time, so that much happens to it in one story; a pair that shares its names often.
fn who() -> impl Strategy<Value = Who> {
    prop_oneof![5 => Just(Who(4)), 3 => Just(Who(0)), 3 => Just(Who(1)), 1 => Just(Who(2)), 1 => Just(Who(3))]
}

/// The preferred name most of the time.
fn form() -> impl Strategy<Value = Form> {
    prop_oneof![3 => Just(Form(0)), 2 => Just(Form(1)), 1 => Just(Form(2))]
}

fn request() -> impl Strategy<Value = Request> {
    let tag = prop_oneof![6 => (0_u8..3).prop_map(Tag::Good), 1 => Just(Tag::Missing), 1 => Just(Tag::Crash)];
    let size = prop_oneof![4 => Just(Size::Small), 1 => Just(Size::Large)];
    let login = prop_oneof![3 => Just(Login::Kept), 3 => any::<bool>().prop_map(Login::Password), 1 => Just(Login::Whole)];
    let place = prop_oneof![6 => Just(Place(false)), 1 => Just(Place(true))];
    prop_oneof![
        6 => (who(), tag, size, login, place).prop_map(|(who, tag, size, login, place)| Request::Deploy(who, tag, size, login, place)),
        3 => (who(), form()).prop_map(|(who, form)| Request::Delete(who, form)),
        1 => who().prop_map(Request::Suspend),
        1 => who().prop_map(Request::Resume),
    ]
}

fn human() -> impl Strategy<Value = Human> {
    prop_oneof![
        2 => (who(), 0_u8..4).prop_map(|(who, to)| Human::RollBack(who, to)),
        1 => who().prop_map(Human::Upgrade),
        1 => who().prop_map(Human::LeavePending),
        1 => who().prop_map(Human::LeaveUninstalling),
        2 => (who(), any::<bool>()).prop_map(|(who, keep)| Human::Uninstall(who, keep)),
        1 => (who(), 0_u8..6).prop_map(|(who, object)| Human::RemoveObject(who, object)),
        1 => (who(), 0_u8..6).prop_map(|(who, object)| Human::EditObject(who, object)),
        1 => who().prop_map(Human::DeleteClaim),
        1 => who().prop_map(Human::DeletePods),
        1 => (who(), any::<bool>()).prop_map(|(who, awake)| Human::Scale(who, awake)),
        2 => (who(), form()).prop_map(|(who, form)| Human::TakeConnection(who, form)),
        1 => (who(), form()).prop_map(|(who, form)| Human::LeaveConnection(who, form)),
        1 => who().prop_map(Human::DeleteConnection),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let kind = select(vec![FaultKind::Fail, FaultKind::Hang, FaultKind::LoseAnswer, FaultKind::Forbid]);
    let times = prop_oneof![3 => Just(1_u8), 1 => 2_u8..6, 1 => 6_u8..40];
    // An operation makes some thirty calls.
    let calls = || prop_oneof![4 => 0_u16..45, 1 => 45_u16..150];
    prop_oneof![
        8 => (prop_oneof![select(WRITES), select(CALLS)], 1_u8..4, kind, times).prop_map(|(call, nth, kind, times)| Trouble::Fault(call, nth, kind, times)),
        4 => (0_u8..2, calls(), any::<bool>()).prop_map(|(replica, calls, done)| Trouble::Crash(replica, calls, done)),
        3 => (0_u8..2, calls(), any::<bool>()).prop_map(|(replica, calls, done)| Trouble::Freeze(replica, calls, done)),
        2 => (0_u8..2).prop_map(Trouble::Wake),
        1 => (0_u8..2).prop_map(Trouble::Stop),
        2 => prop_oneof![1 => Just(false), 2 => Just(true)].prop_map(Trouble::Airflow),
        1 => prop_oneof![1 => Just(false), 2 => Just(true)].prop_map(Trouble::Cluster),
    ]
}

//! Stories in which the model found something wrong, as short as they could be told, each named after what holds since its mend.
//!
//! Calls that go wrong are counted as the service makes them now. Whoever changes their number or order may have to tell a story anew: with
//! its mend taken out it has to fail. At the end of each the model asks for the larger claim, which is what some of them are about.

use std::cell::RefCell;

use dbt_controller_port_contracts::model::{
    Event, FaultKind, Form, Human, Login, Place, Request, Size, Story, Tag, Trouble, Who, on_a_large_stack,
};

use super::play;

const SHOP: Who = Who(4);
/// Two whose plain name is the same.
const PAIR: [Who; 2] = [Who(0), Who(1)];
const V0: Tag = Tag::Good(0);
const V1: Tag = Tag::Good(1);
const ONE: Login = Login::Password(true);
const TWO: Login = Login::Password(false);

/// Each list is a step. What is in it happens in this order and at once, but for what comes after a wait.
fn replay(steps: Vec<Vec<Event>>) {
    on_a_large_stack(|| {
        if let Err(wrong) = play(&Story::from(steps), &RefCell::default()) {
            panic!("{wrong}");
        }
    });
}

fn ask(request: Request) -> Event {
    Event::Ask(0, request)
}

fn deploy(who: Who, tag: Tag, login: Login) -> Event {
    ask(Request::Deploy(who, tag, Size::Small, login, Place(false)))
}

fn deploy_sized(tag: Tag, size: Size) -> Event {
    ask(Request::Deploy(SHOP, tag, size, Login::Kept, Place(false)))
}

fn fault(call: &'static str, nth: u8, kind: FaultKind, times: u8) -> Event {
    Event::Trouble(Trouble::Fault(call, nth, kind, times))
}

#[test]
fn a_larger_claim_whose_undo_did_not_end_can_be_asked_for_again() {
    let forbid = |call| fault(call, 1, FaultKind::Forbid, 1);
    replay(vec![
        vec![deploy_sized(V0, Size::Small)],
        vec![forbid("cluster.grow_claims"), forbid("installer.roll_back"), deploy_sized(V1, Size::Large)],
    ]);
}

#[test]
fn a_humans_rollback_that_the_cluster_refuses_does_not_lock_the_deployment_up() {
    replay(vec![
        vec![deploy_sized(V0, Size::Large)],
        vec![Event::Human(Human::Uninstall(SHOP, true))],
        vec![deploy_sized(V0, Size::Small)],
        vec![Event::Human(Human::RollBack(SHOP, 0))],
    ]);
}

#[test]
fn an_equal_deploy_after_a_humans_rollback_brings_the_old_password_back_to_airflow() {
    replay(vec![
        vec![deploy(SHOP, V0, ONE)],
        vec![deploy(SHOP, V0, TWO)],
        vec![Event::Human(Human::RollBack(SHOP, 0))],
        vec![deploy(SHOP, V0, ONE)],
    ]);
}

#[test]
fn an_undo_back_to_a_humans_rollback_brings_the_old_password_back_to_airflow() {
    replay(vec![
        vec![deploy(SHOP, V0, ONE)],
        vec![deploy(SHOP, V0, TWO)],
        vec![Event::Human(Human::RollBack(SHOP, 0))],
        vec![deploy(SHOP, Tag::Missing, Login::Kept)],
        vec![deploy(SHOP, V0, ONE)],
    ]);
}

#[test]
fn a_connection_that_a_humans_uninstall_left_is_used_again_although_a_better_id_is_free_now() {
    replay(vec![
        vec![Event::Human(Human::TakeConnection(SHOP, Form(0)))],
        vec![deploy(SHOP, V0, Login::Kept)],
        vec![Event::Human(Human::Uninstall(SHOP, false))],
        vec![Event::Human(Human::LeaveConnection(SHOP, Form(0)))],
        vec![deploy(SHOP, V0, Login::Kept)],
    ]);
}

#[test]
fn a_submission_that_looks_for_its_other_names_too_long_does_not_take_back_what_another_replica_runs() {
    replay(vec![
        // The name has changed hands, so the other names are looked at after the submission; that lasts longer than the lock.
        vec![deploy(PAIR[0], V0, Login::Kept)],
        vec![ask(Request::Delete(PAIR[0], Form(0)))],
        // Meanwhile the other replica still runs it, since this server does not come up.
        vec![fault("operations.read", 2, FaultKind::Hang, 4), deploy(PAIR[1], Tag::Crash, Login::Kept)],
    ]);
}

#[test]
fn an_undo_of_which_nothing_could_be_stored_is_not_taken_for_the_deploy() {
    replay(vec![
        vec![deploy(SHOP, V0, ONE)],
        // The submission and the intent to write are stored, and then nothing for a while: neither the undo nor the end.
        vec![fault("operations.compare_and_swap", 3, FaultKind::Forbid, 16), deploy(SHOP, V1, TWO)],
    ]);
}

#[test]
fn a_name_that_was_taken_in_another_namespace_since_it_was_chosen_is_not_used_twice() {
    let elsewhere = Request::Deploy(PAIR[1], V0, Size::Small, Login::Kept, Place(true));
    replay(vec![vec![
        // It stands still between the choice of its name and the submission.
        fault("operations.read", 1, FaultKind::Hang, 1),
        deploy(PAIR[0], V0, Login::Kept),
        Event::Wait(1),
        Event::Ask(1, elsewhere),
    ]]);
}

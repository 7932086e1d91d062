//! Whoever is asked.

use super::*;
use crate::stage::caller;

async fn nothing(_: &Scene) {}

#[tokio::test(start_paused = true)]
async fn a_first_deploy() {
    let act = async |scene: &Scene| scene.ask(main_request("v1")).await;
    at_every_call(nothing, act, async |stage, case| {
        // It was not begun, or undone.
        if stage.world.releases().get(&key(NAME)).is_none() {
            return assert_nothing_is_left_and_goes_on(stage, case).await;
        }
        assert_own_is_whole_and_goes_on(stage, case).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_that_fails() {
    let act = async |scene: &Scene| scene.ask(main_request("missing-1")).await;
    at_every_call(nothing, act, assert_nothing_is_left_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy() {
    let act = async |scene: &Scene| scene.ask(changed()).await;
    at_every_call(deployed, act, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_that_fails() {
    let act = async |scene: &Scene| scene.ask(failing()).await;
    at_every_call(deployed, act, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_stateful_set_is_made_anew() {
    let act = async |scene: &Scene| scene.ask(larger("v2")).await;
    at_every_call(deployed, act, async |stage, case| Names::own().assert_whole_and_goes_on(stage, larger("v9"), case).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete() {
    let act = async |scene: &Scene| {
        let ticket = scene.doomed.delete(&target(NAME), caller()).await.unwrap();
        drop(scene.doomed.wait(&ticket).await);
    };
    at_every_call(deployed, act, async |stage, case| {
        // Struck before its submission was on record, it never began.
        if stage.world.releases().get(&key(NAME)).is_some() {
            return assert_own_is_whole_and_goes_on(stage, case).await;
        }
        assert_nothing_is_left_and_goes_on(stage, case).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_adoption() {
    let act = async |scene: &Scene| scene.ask(main_request("v2")).await;
    at_every_call(planted, act, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn an_adoption_that_fails() {
    let act = async |scene: &Scene| scene.ask(main_request("missing-1")).await;
    at_every_call(planted, act, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_replaces_a_release_with_which_no_server_can_run() {
    let prepare = async |scene: &Scene| plant(&scene.stage.world, &long_request("v1")).await;
    let act = async |scene: &Scene| scene.ask(long_request("v2")).await;
    at_every_call(prepare, act, async |stage, case| {
        let names = Names::replacing();
        if stage.world.releases().get(&names.key).is_some() {
            names.assert_whole(stage, case).await;
        } else {
            assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_some(), "{case}: neither of the two is there");
        }
        names.assert_goes_on(stage, long_request("v9"), case).await;
    })
    .await;
}

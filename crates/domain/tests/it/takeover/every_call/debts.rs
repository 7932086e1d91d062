//! Whoever pays what an operation had to leave.

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind};

use super::*;

/// Something is owed after this; at every call of its payment.
async fn at_every_call_of_a_payment(prepare: impl AsyncFn(&Scene), check: impl AsyncFn(&Stage, &str)) {
    let prepare = async |scene: &Scene| {
        prepare(scene).await;
        assert!(!is_paid(&scene.stage).await);
    };
    at_every_call(prepare, async |scene: &Scene| scene.works_until(is_paid).await, check).await;
}

async fn assert_paid_and_nothing_left(stage: &Stage, case: &str) {
    assert!(is_paid(stage).await, "{case}");
    assert_nothing_left(stage, case);
}

/// A DELETE while Airflow is away.
async fn deleted_without_airflow(scene: &Scene) {
    scene.stage.world.set_airflow_link(AirflowLink::Down);
    scene.stage.delete(NAME).await.unwrap();
    scene.stage.world.set_airflow_link(AirflowLink::Up);
}

fn forbid(scene: &Scene, call: Call, nth: u32) {
    scene.stage.world.faults().plan(Fault::new(call, nth, FaultKind::Forbid));
}

#[tokio::test(start_paused = true)]
async fn a_connection() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deleted_without_airflow(scene).await;
    };
    at_every_call_of_a_payment(prepare, assert_paid_and_nothing_left).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_no_record_names() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        assert!(scene.stage.world.releases().uninstall(&key(NAME), false));
        deleted_without_airflow(scene).await;
    };
    at_every_call_of_a_payment(prepare, assert_paid_and_nothing_left).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        forbid(scene, Call::ClusterDeleteClaims, 1);
        assert!(scene.stage.delete(NAME).await.is_err());
    };
    at_every_call_of_a_payment(prepare, assert_paid_and_nothing_left).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_first_deployment() {
    let prepare = async |scene: &Scene| {
        forbid(scene, Call::InstallerCommit, 1);
        forbid(scene, Call::InstallerUninstall, 1);
        assert_eq!(scene.stage.deploy(changed()).await.unwrap_err().undo, UndoOutcome::Failed);
    };
    at_every_call_of_a_payment(prepare, assert_paid_and_nothing_left).await;
}

#[tokio::test(start_paused = true)]
async fn a_login() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        forbid(scene, Call::InstallerCommit, 1);
        forbid(scene, Call::ConnectionsPut, 2);
        assert_eq!(scene.stage.deploy(changed()).await.unwrap_err().undo, UndoOutcome::Failed);
    };
    at_every_call_of_a_payment(prepare, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_replaced_release() {
    let prepare = async |scene: &Scene| {
        plant(&scene.stage.world, &long_request("v1")).await;
        forbid(scene, Call::InstallerUninstall, 1);
        revision(scene.stage.deploy(long_request("v1")).await);
    };
    let check = async |stage: &Stage, case: &str| Names::replacing().assert_whole_and_goes_on(stage, long_request("v9"), case).await;
    at_every_call_of_a_payment(prepare, check).await;
}

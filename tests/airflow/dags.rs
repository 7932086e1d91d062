//! DAGs: those of xtask/airflow/dags, more than a page of them.

use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::ConnectionStore as _;

use crate::adapter::{adapter, adapter_of, settings};
use dbt_controller_tests::airflow::{Server, tables, viewer};

fn release(name: &str) -> ReleaseName {
    name.parse().unwrap()
}

#[tokio::test]
async fn the_dags_of_a_release_are_those_that_name_it_and_carry_the_tag() {
    let store = adapter_of(&Server::shared());
    let ids = |dags: Vec<dbt_controller_domain::model::Dag>| dags.into_iter().map(|dag| dag.id).collect::<Vec<_>>();
    let dags = store.dags(&release("dbt-server-test-project-main")).await.unwrap().dags;
    // New ones are paused.
    assert!(dags.iter().all(|dag| dag.paused));
    assert_eq!(ids(dags), ["daily_test_project_main", "weekly_test_project_main"]);
    assert_eq!(ids(store.dags(&release("dbt-server-test-project-main-2")).await.unwrap().dags), ["test_project_main_2"]);
    assert!(store.dags(&release("dbt-server-nobody")).await.unwrap().dags.is_empty());
}

#[tokio::test]
async fn all_dags_are_told_in_one_reading() {
    let server = Server::shared();
    tables::set_dag(&server, "names_no_release", "Release: Not_A_Release", false).await;
    let all = adapter_of(&server).all_dags().await.unwrap().dags;
    let crowd = all.keys().filter(|name| name.as_str().starts_with("dbt-server-crowd-")).count();
    assert_eq!(crowd, 105);
    assert_eq!(all[&release("dbt-server-test-project-main")].len(), 2);
    assert!(all.values().flatten().all(|dag| dag.id != "names_no_release" && !dag.id.starts_with("untagged")));
}

#[tokio::test]
async fn a_viewer_may_read_them() {
    let store = adapter(settings(&Server::shared().url, viewer()));
    assert_eq!(store.dags(&release("dbt-server-test-project-main")).await.unwrap().dags.len(), 2);
}

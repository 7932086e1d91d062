//! Who is called what, and who is meant by a name.

use crate::harness::{Answer, Body, Server};

const PLAIN: (&str, &str) = ("dbt-server-a-b-c", "a_b_c");
/// Of project `a` and branch `b-c`.
const HASHED: (&str, &str) = ("dbt-server-a-b-c-760edd92", "a_b_c_760edd92");

#[track_caller]
fn assert_named(answer: &Answer, (release, connection): (&str, &str)) {
    assert_eq!(answer.text_at("/details/release_name"), release);
    assert_eq!(answer.text_at("/details/airflow_connection/id"), connection);
}

#[tokio::test]
async fn two_identities_with_one_slug_have_two_servers_that_keep_their_names() {
    let server = Server::start();
    let (first, second) = (Body::of("a-b", "c"), Body::of("a", "b-c"));
    assert_named(&server.deploy(&first).await.expect(200), PLAIN);
    assert_named(&server.deploy(&second).await.expect(200), HASHED);

    // The first one goes and comes back: the second neither moves up nor loses its place.
    server.delete(PLAIN.0).await.expect(200);
    assert_named(&server.deploy(&second.clone().with("tag", "v2")).await.expect(200), HASHED);
    assert_named(&server.deploy(&first).await.expect(200), PLAIN);

    // And the other way round.
    server.delete(HASHED.0).await.expect(200);
    assert_named(&server.deploy(&first.with("tag", "v2")).await.expect(200), PLAIN);
    assert_named(&server.deploy(&second).await.expect(200), HASHED);
    assert_eq!(server.names().await, [PLAIN.0, HASHED.0]);
}

#[tokio::test]
async fn a_name_means_one_deployment_also_when_a_project_is_called_like_a_release() {
    let server = Server::start();
    let x = server.deploy(&Body::of("x", "")).await.expect(200);
    assert_eq!(x.text_at("/details/release_name"), "dbt-server-x");
    let other = server.deploy(&Body::of("dbt-server-x", "")).await.expect(200);
    assert_eq!(other.text_at("/details/release_name"), "dbt-server-dbt-server-x");

    let meant = async |name: &str| server.get(&format!("/api/v1/deployments/{name}")).await.expect(200).text_at("/name");
    assert_eq!(meant("dbt-server-x").await, "dbt-server-x");
    assert_eq!(meant("x").await, "dbt-server-x");
    assert_eq!(meant("dbt-server-dbt-server-x").await, "dbt-server-dbt-server-x");

    // A repeated DELETE finds nothing, and above all not the namesake.
    server.delete("dbt-server-x").await.expect(200);
    server.delete("dbt-server-x").await.expect(404);
    server.delete("x").await.expect(404);
    assert_eq!(server.names().await, ["dbt-server-dbt-server-x"]);
}

#[tokio::test]
async fn the_command_line_tells_the_names_that_a_deploy_gives() {
    let server = Server::start();
    let answer = server.deploy(&Body::of("Team/Sales_EU", "feature/x")).await.expect(200);
    let names = crate::harness::run(&["names", "Team/Sales_EU", "feature/x"], &[]).stdout;
    let (release, connection) = (answer.text_at("/details/release_name"), answer.text_at("/details/airflow_connection/id"));
    assert!(names.starts_with(&format!("release_name   {release}\n")), "{names}");
    assert!(names.contains(&format!("\nconnection_id  {connection}\n")), "{names}");
}

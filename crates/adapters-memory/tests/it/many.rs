//! Ten thousand releases.

use std::sync::Arc;

use dbt_controller_domain::ports::{ChartInstaller as _, Cluster as _};
use dbt_controller_port_contracts::fixtures::{self, fence};

use crate::harness::world;

const MANY: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_releases_are_listed_without_making_anything() {
    let world = world();
    let mut last = None;
    for number in 0..MANY {
        let desired = fixtures::request(&format!("project-{number}"), None).desired();
        world.releases().deploy(&desired).unwrap();
        last = Some(desired);
    }
    let installer = world.installer();
    let (first, second) = (installer.list().await.unwrap(), installer.list().await.unwrap());
    assert_eq!(first.len(), MANY);
    assert!(first.iter().zip(&second).all(|(one, two)| Arc::ptr_eq(one, two)), "an unchanged release is the same object in each list");
    assert!(first.windows(2).all(|pair| pair[0].key < pair[1].key));

    // A change makes one entry anew.
    let desired = last.unwrap();
    installer.uninstall(&desired.key, &fence()).await.unwrap();
    let third = installer.list().await.unwrap();
    assert_eq!(third.len(), MANY - 1);
    let same = third
        .iter()
        .filter(|summary| first.binary_search_by(|old| old.key.cmp(&summary.key)).is_ok_and(|at| Arc::ptr_eq(&first[at], summary)));
    assert_eq!(same.count(), MANY - 1);

    // A thousand lists take no time to speak of; one that copied summaries would take ten seconds here.
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(installer.list().await.unwrap().len(), MANY - 1);
    }
    let each = begun.elapsed() / 100;
    assert!(each < std::time::Duration::from_millis(20), "a list took {each:?}");

    // Nor does looking at one server depend on how many there are.
    let begun = std::time::Instant::now();
    let key = fixtures::server_key(&first[0].key);
    for _ in 0..1000 {
        world.cluster().server(&key).await.unwrap();
    }
    let each = begun.elapsed() / 1000;
    assert!(each < std::time::Duration::from_millis(2), "a look took {each:?}");
}

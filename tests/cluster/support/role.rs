//! The Role that is shipped for the service.

use dbt_controller_tests::{Account, Namespace, shipped_rules};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// What can be left out of the shipped Role: resource by resource.
pub(crate) const OPTIONAL: [&str; 3] = ["events", "pods/log", "leases"];

/// The rules of the shipped Role.
pub(crate) async fn shipped(namespace: &Namespace) -> Vec<Value> {
    static RULES: OnceCell<Vec<Value>> = OnceCell::const_new();
    RULES.get_or_init(|| read(namespace)).await.clone()
}

async fn read(namespace: &Namespace) -> Vec<Value> {
    shipped_rules(namespace).await.as_array().unwrap().clone()
}

/// The same without what can be left out.
pub(crate) async fn essential(namespace: &Namespace) -> Vec<Value> {
    let mut rules = shipped(namespace).await;
    let all = rules.len();
    rules.retain(|rule| !OPTIONAL.iter().any(|resource| is_about(rule, resource)));
    // Events are read in one group and written in another.
    assert_eq!(rules.len(), all - OPTIONAL.len() - 1);
    rules
}

/// The essential rules without one verb.
pub(crate) async fn essential_without(namespace: &Namespace, verb: &str, resource: &str) -> Vec<Value> {
    let mut rules = essential(namespace).await;
    let rule = rules.iter_mut().find(|rule| is_about(rule, resource)).unwrap();
    let verbs = rule["verbs"].as_array_mut().unwrap();
    let all = verbs.len();
    verbs.retain(|allowed| allowed != verb);
    assert_eq!(verbs.len(), all - 1, "{verb} {resource}");
    rules
}

/// The service's account with these rights in its namespace.
pub(crate) async fn account(namespace: &Namespace, rules: Vec<Value>) -> Account {
    Account::create(namespace, "controller", &Value::Array(rules)).await
}

fn is_about(rule: &Value, resource: &str) -> bool {
    rule["resources"] == json!([resource])
}

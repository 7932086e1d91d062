//! What people do with Airflow beside the service: by its own API.

use reqwest::{Client, RequestBuilder};
use serde_json::json;

use super::{Server, admin, kind};
use crate::Answer;

/// Pauses or unpauses a DAG, as a click in Airflow's pages does.
///
/// # Panics
///
/// When Airflow refuses.
pub async fn pause(server: &Server, dag: &str, paused: bool) {
    let request = if kind() == "2" {
        let (user, password) = admin();
        client().patch(format!("{}/api/v1/dags/{dag}", server.url)).basic_auth(user, Some(password))
    } else {
        client().patch(format!("{}/api/v2/dags/{dag}", server.url)).bearer_auth(token(server).await)
    };
    let paused_now = Answer::to(request.json(&json!({ "is_paused": paused }))).await.expect(200).json()["is_paused"].clone();
    assert_eq!(paused_now, json!(paused), "{dag}");
}

/// A token of Airflow 3 for the administrator.
///
/// # Panics
///
/// When Airflow gives none.
pub async fn token(server: &Server) -> String {
    let answer = Answer::to(log_in(server)).await.expect(201).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn log_in(server: &Server) -> RequestBuilder {
    let (user, password) = admin();
    client().post(format!("{}/auth/token", server.url)).json(&json!({ "username": user, "password": password }))
}

fn client() -> Client {
    // Built together with an adapter that uses TLS, the HTTP client has it too, and cannot be made without a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

//! No secret is in any log, at any level, the HTTP client's included.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use dbt_controller_domain::ports::ConnectionStore as _;
use dbt_controller_port_contracts::fixtures::fence;
use tracing_subscriber::fmt::MakeWriter;

use crate::airflow::Airflow;
use crate::harness::{adapter_of, connection};
use crate::stub::Play;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // Of this thread only; the test runs on no other. What is logged by the `log` crate goes to the same place.
    let _guard = tracing::subscriber::set_default(subscriber);
    let _ = tracing_log::LogTracer::init();
    for generation in [2, 3] {
        let airflow = Airflow::start(generation).await;
        let (store, mut wanted) = (adapter_of(&airflow), connection());
        wanted.credentials.password = "canary-of-the-server".into();
        store.check().await.unwrap();
        store.put(&wanted, None, &fence()).await.unwrap();
        let known = store.get(&wanted.id).await.unwrap();
        store.put(&wanted, known.as_ref(), &fence()).await.unwrap();
        store.list_ours().await.unwrap();
        airflow.state().tokens.clear();
        store.delete(&wanted.id, &fence()).await.unwrap();
        for play in [Play::Close, Play::html(503), Play::json(400, r#"{"detail": "canary-of-the-server"}"#)] {
            airflow.state().always = Some(play);
            store.put(&wanted, None, &fence()).await.unwrap_err();
        }
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("Airflow answered") && text.contains("TRACE"), "nothing is logged: {text}");
    // The canary is in our password, in the server's, and in each token's signature; basic authentication encodes ours.
    for secret in ["canary", "Y2FuYXJ5", "Bearer", "Basic"] {
        assert!(!text.contains(secret), "`{secret}` is logged:\n{text}");
    }
}

//! A limit for the begin of a watch.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tokio::time::timeout;
use tower::{BoxError, Service};

/// Within this time the API server has begun a watch. It says so at once, before there is anything to tell; a busy one lets requests wait.
const LIMIT: Duration = Duration::from_secs(30);

/// Gives a watch up that is not begun in time.
///
/// The watcher of kube limits the silence of a watch that stands. For one that gets no answer at all it waits as long as the connection
/// lives, which TCP lets be a quarter of an hour when the other side has gone without a word, and meanwhile nothing shows that the watch
/// is none. All other requests have limits of their own.
#[derive(Clone)]
pub(crate) struct WatchLimit<S>(pub(crate) S);

impl<S, B> Service<Request<B>> for WatchLimit<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = if is_watch {
                timeout(LIMIT, answer).await.map_err(|_| format!("the API server has not begun a watch within {} s", LIMIT.as_secs()))?
            } else {
                answer.await
            };
            answer.map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http::Response;

    use super::*;

    /// Asks somebody who never answers; what came of it within ten minutes.
    async fn ask(path: &str) -> Option<Result<Response<()>, BoxError>> {
        let mut silent = WatchLimit(tower::service_fn(|_: Request<()>| pending::<Result<Response<()>, BoxError>>()));
        let request = Request::get(path).body(()).unwrap();
        timeout(LIMIT * 20, silent.call(request)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_watch_that_is_not_begun_is_given_up() {
        let given_up = ask("/api/v1/pods?limit=1&watch=true&timeoutSeconds=60").await.unwrap().unwrap_err();
        assert_eq!(given_up.to_string(), "the API server has not begun a watch within 30 s");
        for path in ["/api/v1/pods", "/api/v1/pods?watch=false", "/api/v1/pods?labelSelector=watch%3Dtrue"] {
            assert!(ask(path).await.is_none(), "{path}");
        }
    }
}

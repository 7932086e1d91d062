//! All of the application: routes, pages, middleware.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error};
use dbt_controller_domain::Controller;
use dbt_controller_domain::ports::Clock;
use paperclip::actix::OpenApiExt as _;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

use crate::deploy_body::RequestDefaults;
use crate::extract::{BodyBudget, path_config, query_config};
use crate::framework::{RequestSpan, head_as_get, shape_errors};
use crate::middleware::age::age;
use crate::middleware::auth::BearerAuth;
use crate::middleware::catch_panic::catch_panic;
use crate::middleware::rate_limit::RateLimit;
use crate::middleware::request_id::request_id;
use crate::middleware::security_headers::security_headers;
use crate::middleware::serving::serving;
use crate::settings::{ApiSettings, ServiceInfo};
use crate::{pages, routes};

/// What all threads of the server share.
pub struct ApiState {
    pub(crate) controller: Arc<Controller>,
    pub(crate) defaults: RequestDefaults,
    pub(crate) info: ServiceInfo,
    pub(crate) clock: Arc<dyn Clock>,
    /// Ends the event streams.
    pub(crate) stop: CancellationToken,
    pub(crate) bodies: BodyBudget,
    auth: BearerAuth,
    limit: RateLimit,
    cors_origins: Vec<String>,
}

impl ApiState {
    /// The state of one server.
    pub fn new(controller: Arc<Controller>, settings: ApiSettings, stop: CancellationToken) -> Data<Self> {
        let ApiSettings { tokens, cors_origins, defaults, requests_per_second, info, clock, workers: _, max_connections: _ } = settings;
        Data::new(Self {
            controller,
            defaults,
            info,
            clock,
            stop,
            bodies: BodyBudget::new(),
            auth: BearerAuth::new(tokens),
            limit: RateLimit::new(requests_per_second),
            cors_origins,
        })
    }
}

/// The application, as the server and the tests run it. It is built once per thread; what is shared is in `state`.
pub fn create_app(
    state: &Data<ApiState>,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<impl MessageBody + use<>>, Error = Error, InitError = ()>
    + use<>,
> {
    // Middleware that comes later in this list sees the request earlier.
    App::new()
        .app_data(state.clone())
        .app_data(query_config())
        .app_data(path_config())
        .wrap_api()
        .configure(routes::configure)
        .build()
        .configure(pages::configure)
        .default_service(web::to(routes::unknown_route))
        .wrap(from_fn(age))
        .wrap(from_fn(head_as_get))
        .wrap(state.limit.clone())
        .wrap(state.auth.clone())
        .wrap(Compress::default())
        .wrap(from_fn(catch_panic))
        .wrap(cors(&state.cors_origins))
        .wrap(from_fn(shape_errors))
        .wrap(from_fn(security_headers))
        .wrap(TracingLogger::<RequestSpan>::new())
        .wrap(from_fn(request_id))
        .wrap(from_fn(serving))
}

/// No credentials: tokens travel in a header that the caller's script sets, and `*` with credentials is refused by browsers.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "DELETE"])
        .allow_any_header()
        .expose_headers([
            "Age",
            "Allow",
            "ETag",
            "Link",
            "Location",
            "Preference-Applied",
            "Retry-After",
            "WWW-Authenticate",
            "X-Request-Id",
        ])
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

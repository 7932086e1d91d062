//! The table of the documented routes. Everything else is a page (`pages`) or a 404.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use paperclip::actix::web;

use crate::error::{ApiError, ErrorCode};
use crate::{deployments, health, names, operations, projects, service};

/// Defines `configure`, and for the tests the paths with their methods. A path answers 405 with `Allow` to every other method.
macro_rules! routes {
    ($($path:literal => $($method:ident $handler:path),+;)+) => {
        /// Registers the routes.
        pub(crate) fn configure(config: &mut web::ServiceConfig) {
            $(
                let allowed = HeaderValue::from_static(allow(&[$(stringify!($method)),+]));
                config.service(
                    web::resource($path)$(.route(web::$method().to($handler)))+.default_service(method_not_allowed(allowed)),
                );
            )+
        }

        /// Each path with its methods in lower case.
        #[cfg(test)]
        pub(crate) const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];
    };
}

routes! {
    "/" => head service::head_root;
    "/info" => get service::get_info;
    "/health/liveness" => get health::liveness;
    "/health/readiness" => get health::readiness;
    "/health/startup" => get health::startup;
    "/api/v1/status" => get service::get_status;
    "/api/v1/deployments" => get deployments::list_deployments, post deployments::create_deployment;
    "/api/v1/deployments/{name}" => get deployments::get_deployment, delete deployments::delete_deployment;
    "/api/v1/deployments/{name}/suspend" => post deployments::suspend_deployment;
    "/api/v1/deployments/{name}/resume" => post deployments::resume_deployment;
    "/api/v1/names" => get names::get_names;
    "/api/v1/projects" => get projects::list_projects;
    "/api/v1/projects/all" => get projects::list_releases;
    "/api/v1/projects/{name}/exists" => get projects::project_exists;
    "/api/v1/operations" => get operations::list_operations;
    "/api/v1/operations/{id}" => get operations::get_operation;
    "/api/v1/operations/{id}/events" => get operations::follow_operation;
}

/// The value of `Allow` for a path with these methods. `HEAD` goes with `GET`, and `OPTIONS` is answered by the CORS middleware.
fn allow(methods: &[&str]) -> &'static str {
    match methods {
        ["get"] => "GET, HEAD, OPTIONS",
        ["head"] => "HEAD, OPTIONS",
        ["post"] => "POST, OPTIONS",
        ["get", "post"] => "GET, HEAD, POST, OPTIONS",
        ["get", "delete"] => "GET, HEAD, DELETE, OPTIONS",
        other => unreachable!("no route has the methods {other:?}"),
    }
}

/// The answer of a path to a method that it does not have.
pub(crate) fn method_not_allowed(allowed: HeaderValue) -> actix_web::Route {
    actix_web::web::to(move |request: HttpRequest| {
        let known = allowed.to_str().unwrap_or_default();
        let message = format!("{} is not a method of `{}`, which has {known}", request.method(), request.path());
        let error = ApiError::new(ErrorCode::MethodNotAllowed, message).with_header(header::ALLOW, allowed.clone());
        async move { HttpResponse::from_error(error) }
    })
}

/// The answer to a path that nobody has.
pub(crate) async fn unknown_route(request: HttpRequest) -> HttpResponse {
    let message = format!("{} `{}` was not found: no route has this path", request.method(), request.path());
    HttpResponse::from_error(ApiError::new(ErrorCode::UnknownRoute, message))
}

//! A resource with its methods, and a 405 that names them for all others (RFC 9110, 15.5.6).

use actix_web::http::header::ALLOW;
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError as _, guard, web};

use super::super::error::ApiError;

/// A resource that is being put together.
pub(in crate::api) struct Methods {
    resource: Resource,
    allowed: Vec<&'static str>,
}

/// Begins one.
pub(in crate::api) fn resource(path: &str) -> Methods {
    Methods { resource: web::resource(path), allowed: Vec::new() }
}

impl Methods {
    /// GET, and HEAD with it: the same without the body.
    pub(in crate::api) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let either = guard::Any(guard::Get()).or(guard::Head());
        self.allowed.extend(["GET", "HEAD"]);
        self.resource = self.resource.route(web::route().guard(either).to(handler));
        self
    }

    pub(in crate::api) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::POST, "POST", handler)
    }

    pub(in crate::api) fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::PUT, "PUT", handler)
    }

    pub(in crate::api) fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::DELETE, "DELETE", handler)
    }

    fn method<F, Args>(mut self, method: Method, name: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.allowed.push(name);
        self.resource = self.resource.route(web::method(method).to(handler));
        self
    }

    /// The resource, with its answer to every other method.
    pub(in crate::api) fn done(self) -> Resource {
        let allowed = self.allowed.join(", ");
        self.resource.default_service(web::to(move || {
            let allowed = allowed.clone();
            async move { not_allowed(allowed) }
        }))
    }
}

fn not_allowed(allowed: String) -> HttpResponse {
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("This path takes {allowed}"));
    let mut response = error.error_response();
    if let Ok(allowed) = allowed.parse() {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

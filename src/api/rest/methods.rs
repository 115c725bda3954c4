//! A resource with its methods, and a 405 that names them for all others (RFC 9110, 15.5.6).

use actix_web::http::header::ALLOW;
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError as _, guard, web};

use super::super::error::ApiError;
use super::super::problem::Problem;

/// A resource that is being put together.
pub(in crate::api) struct Methods {
    #[cfg(test)]
    path: String,
    resource: Resource,
    allowed: Vec<&'static str>,
}

/// Begins one.
pub(in crate::api) fn resource(path: &str) -> Methods {
    Methods {
        #[cfg(test)]
        path: path.to_owned(),
        resource: web::resource(path),
        allowed: Vec::new(),
    }
}

/// Every method and path that has been put together, for the test that compares them with the document.
#[cfg(test)]
static MADE: std::sync::Mutex<Vec<(&str, &str)>> = std::sync::Mutex::new(Vec::new());

#[cfg(test)]
pub(in crate::api) fn made() -> Vec<(&'static str, &'static str)> {
    MADE.lock().expect("no test panics with it").clone()
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

    pub(in crate::api) fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::PATCH, "PATCH", handler)
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
        self.refusing(|detail| ApiError::new(StatusCode::METHOD_NOT_ALLOWED, detail).error_response())
    }

    /// The same, where refusals are problem details.
    pub(in crate::api) fn done_with_problems(self) -> Resource {
        self.refusing(|detail| Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).error_response())
    }

    fn refusing(self, refusal: fn(String) -> HttpResponse) -> Resource {
        #[cfg(test)]
        {
            let mut made = MADE.lock().expect("no test panics with it");
            if !made.iter().any(|(_, path)| *path == self.path) {
                // A test's process is short, and the paths are few.
                let path: &'static str = self.path.clone().leak();
                made.extend(self.allowed.iter().map(|method| (*method, path)));
            }
        }
        let allowed = self.allowed.join(", ");
        self.resource.default_service(web::to(move || {
            let allowed = allowed.clone();
            async move {
                let mut response = refusal(format!("This path takes {allowed}"));
                if let Ok(allowed) = allowed.parse() {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
        }))
    }
}

//! Refusals: a status and a line of plain text, as Nomad answers whatever goes wrong.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub status: u16,
    pub text: String,
    /// What is known besides: the index at which something is not there, for one.
    pub headers: Box<HeaderMap>,
}

impl Refusal {
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), headers: Box::default() }
    }

    /// No such method on that path.
    pub fn method() -> Self {
        Self::new(405, "Invalid method")
    }
}

impl From<crate::dispatching::Refused> for Refusal {
    fn from(why: crate::dispatching::Refused) -> Self {
        Self::new(why.status, why.text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut response = (status, self.text).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response.headers_mut().extend(*self.headers);
        response
    }
}

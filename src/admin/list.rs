//! A long list as JSON, written row by row where the rows are read: all of them at once are much
//! memory, and writing them is no work for the threads that serve webhooks.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::StoreError;

#[derive(Default)]
pub(super) struct List(Vec<u8>);

impl List {
    pub fn add(&mut self, row: &impl Serialize) -> Result<(), StoreError> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.0, row).map_err(StoreError::unread)
    }
}

impl IntoResponse for List {
    fn into_response(mut self) -> Response {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(rows: &[u32]) -> String {
        let mut list = List::default();
        rows.iter().for_each(|row| list.add(row).unwrap());
        let body = list.into_response().into_body();
        let bytes = axum::body::to_bytes(body, 1000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn no_row_one_and_several() {
        assert_eq!(text(&[]).await, "[]");
        assert_eq!(text(&[1]).await, "[1]");
        assert_eq!(text(&[1, 2, 3]).await, "[1,2,3]");
    }
}

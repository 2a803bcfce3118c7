//! Pages of lists, and the `Link` header between them (docs, "Using pagination in the REST API").
//!
//! Read next: `runs.rs`.

use super::{Answer, Call};

/// One page of a list: what to show, and the header, if there are other pages.
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub total: usize,
    link: Option<String>,
}

impl<T> Page<T> {
    /// Cuts out the page that the call asks for: `per_page` is 30 by default, at most 100.
    pub(super) fn of(call: &Call, items: Vec<T>) -> Self {
        let total = items.len();
        let size = call.number("per_page").unwrap_or(30).clamp(1, 100);
        let page = call.number("page").unwrap_or(1).max(1);
        let last = total.div_ceil(size).max(1);
        let items = items.into_iter().skip((page - 1) * size).take(size).collect();
        let mut links = Vec::new();
        if page > 1 {
            links.push(link(call, &[("page", (page - 1).min(last).to_string())], "prev"));
        }
        if page < last {
            links.push(link(call, &[("page", (page + 1).to_string())], "next"));
            links.push(link(call, &[("page", last.to_string())], "last"));
        }
        if page > 1 {
            links.push(link(call, &[("page", "1".to_owned())], "first"));
        }
        let link = (!links.is_empty()).then(|| links.join(", "));
        Self { items, total, link }
    }

    pub(super) fn link_on(self, answer: Answer) -> Answer {
        match self.link {
            Some(link) => answer.header("link", link),
            None => answer,
        }
    }
}

/// One entry of the header: the call's own address with some parameters replaced.
pub(super) fn link(call: &Call, replaced: &[(&str, String)], relation: &str) -> String {
    let mut query = call.query.clone();
    for (name, value) in replaced {
        query.insert((*name).to_owned(), value.clone());
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
    format!("<{}{}?{query}>; rel=\"{relation}\"", call.origin, call.path)
}

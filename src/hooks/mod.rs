//! The command `hooks`: webhooks that tell our door of jobs, on every repository and organization that
//! some pool serves.
//!
//! `picked` says where they belong, `plan` (pure) what is to be done there, `carrying_out` does it. Only
//! webhooks with our address are looked at; whatever else posts elsewhere is somebody else's.

mod carrying_out;
mod many;
mod patience;
mod picked;
mod plan;
mod render;

use std::sync::Arc;

use url::Url;

pub use carrying_out::carry_out;
pub use picked::{Selection, Visibility};
pub use plan::{Aim, Entry, Kind, State};
pub use render::{json, summary, text};

use crate::config::Settings;
use crate::forge::Forges;
use crate::reconcile::Served;

/// What is there and what is to be done, in the order of the names. `told` hears of progress: how many of
/// how many are looked at.
pub async fn plan(
    settings: &Arc<Settings>,
    forges: &Forges,
    url: &Url,
    selection: &Selection,
    aim: Aim,
    told: impl FnMut(usize, usize),
) -> Vec<Entry> {
    let mut served = Served::new(settings.clone(), forges.clone());
    served.refresh(&mut Default::default()).await;
    let picked = picked::pick(settings, forges, &served, selection, aim).await;
    let mut entries = picked.failed;
    let forges = forges.clone();
    let url = url.clone();
    let planned = many::each(picked.places, told, move |place| {
        let (forges, url) = (forges.clone(), url.clone());
        async move { plan::of_place(&forges, place, &url, aim).await }
    });
    entries.extend(planned.await.into_iter().flatten());
    entries
}

//! `report`: reads the rows of ended jobs in pieces, so that other questions have their turn between them, and
//! adds them up.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clock::Clock;

use super::shared::{Door, Shared, problem, read, unread};
use crate::ledger::Time;
use crate::report::{By, Period, Report, Tally};
use crate::store::{Place, StoreError};

/// Rows that are read in one go: some four milliseconds, for which other reads wait.
const PIECE: usize = 4_000;

pub(super) async fn report(State(shared): Door, RawQuery(query): RawQuery) -> Response {
    let (period, by) = match asked(query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let tally = Tally::new(period, by, &shared.explainer.settings);
    match tallied(&shared, [tally]).await {
        Ok([report]) => Json(report).into_response(),
        Err(error) => unread(&error),
    }
}

pub(super) fn asked(query: &str) -> Result<(Period, By), String> {
    let (mut months, mut since, mut by) = (Vec::new(), None, By::default());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "month" => months.push(value.into_owned()),
            "since" => since = Some(value.into_owned()),
            "by" => by = By::named(&value)?,
            key => return Err(format!("{key:?} is unknown here; use month, since and by")),
        }
    }
    let period = Period::read(&months, since.as_deref(), Clock::system().now().into())?;
    Ok((period, by))
}

/// Several are added up in one go through the rows.
pub(super) async fn tallied<const N: usize>(
    shared: &Shared,
    mut tallies: [Tally; N],
) -> Result<[Report; N], StoreError> {
    for repository in read(shared, |reader| reader.repositories()).await? {
        tallies.iter_mut().for_each(|tally| tally.know(repository.clone()));
    }
    let from = tallies.iter().map(Tally::from).min();
    let mut after = Place::before(from.unwrap_or(Time(0)));
    loop {
        let piece = read(shared, move |reader| {
            let next = reader.each_ended_since(after, PIECE, |job| {
                tallies.iter_mut().for_each(|tally| tally.add(job));
            })?;
            Ok((tallies, next))
        });
        let next;
        (tallies, next) = piece.await?;
        match next {
            Some(next) => after = next,
            // Sorting is work too, which no thread that serves webhooks does.
            None => return read(shared, move |_| Ok(tallies.map(Tally::finish))).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_cannot_be_is_answered_in_words() {
        let why = |query: &str| asked(query).unwrap_err();
        assert!(why("month=2026-13").starts_with("\"2026-13\" is not a month; write YYYY-MM"));
        assert!(why("month=9999-12").contains("has not begun yet"));
        assert!(why("since=2026-02-30").contains("is not a day"));
        assert!(why("by=mood").contains("use one of repository, owner"));
        assert!(why("months=2026-01").contains("is unknown here"));
        let (period, by) = asked("month=2025-12&month=2026%2D01&by=pool").unwrap();
        assert_eq!((period.spans().len(), by), (2, By::Pool));
        assert_eq!(asked("").unwrap().1, By::Repository);
    }
}

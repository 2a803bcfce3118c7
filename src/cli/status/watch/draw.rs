//! The lines of the terminal: how things stand, a table or an explanation, what is chosen, the keys.

use serde_json::Value;
use terminal::{Line, Size, Tone, columns};

use super::rows;
use super::table::{WIDE, span};
use super::view::{Page, Shown, View};

/// Of the bar of runners.
const BAR: usize = 20;
/// Lines for what is degraded or not served, also on a low terminal.
const TROUBLES: usize = 3;
/// Of all lines, at most so many are for these, and as many for what is chosen.
const SHARE: usize = 4;

/// Never more than fit.
pub fn lines(view: &mut View, size: Size) -> Vec<Line> {
    // The last column stays free: some terminals wrap there.
    let width = size.width.saturating_sub(1);
    let mut top = vec![bar(view, width)];
    let most = size.height / SHARE;
    top.extend(troubles(view, width, most));
    let detail = match &view.page {
        None if size.height >= 14 => detail(view, width, most),
        _ => Vec::new(),
    };
    let bottom = footer(view, width);
    let around = top.len() + detail.len() + 1;
    let room = size.height.saturating_sub(around);
    (view.width, view.room) = (width, room.saturating_sub(1));
    let mut lines = top;
    lines.extend(match view.page.as_mut() {
        Some(page) => explanation(page, width, room),
        None => table(view, width, room),
    });
    lines.truncate(size.height.saturating_sub(detail.len() + 1));
    let empty = size.height.saturating_sub(lines.len() + detail.len() + 1);
    lines.extend(std::iter::repeat_n(Line::default(), empty));
    lines.extend(detail);
    lines.push(bottom);
    lines.truncate(size.height);
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn bar(view: &View, width: usize) -> Line {
    if view.status.is_null() {
        return Line::default().with(Tone::Dim, " nothing is known yet");
    }
    let number = |key: &str| view.status["capacity"][key].as_u64().unwrap_or_default();
    let (alive, max) = (number("alive"), number("max"));
    let busy: u64 = pools(view).filter_map(|pool| pool["busy"].as_u64()).sum();
    let share = |count: u64| match max.max(alive) {
        0 => 0,
        most => (usize::try_from(count).unwrap_or_default() * BAR)
            .div_ceil(usize::try_from(most).unwrap_or(1)),
    };
    let taken = share(busy).min(BAR);
    let coming = share(alive).min(BAR).saturating_sub(taken);
    let count = |count: usize, what: &str, tone| {
        (if count > 0 { tone } else { Tone::Dim }, format!("{count} {what}"))
    };
    let lists = &view.lists;
    let mut line = Line::default()
        .with(Tone::Strong, " runners ")
        .with(Tone::Busy, "█".repeat(taken))
        .with(Tone::Wait, "▒".repeat(coming))
        .with(Tone::Dim, "░".repeat(BAR - taken - coming))
        .with(Tone::Plain, format!(" {alive}/{max}   "));
    let counts = [
        count(lists.waiting.total, "waiting", Tone::Wait),
        count(lists.running.total, "running", Tone::Busy),
        count(lists.held.total, "held", Tone::Plain),
    ];
    for (place, (tone, text)) in counts.into_iter().enumerate() {
        line = line.with(Tone::Dim, if place > 0 { " · " } else { "" }).with(tone, text);
    }
    let last = view.status["deliveries"]["last_good"].as_str().and_then(rows::at);
    match last {
        Some(last) if width >= WIDE => {
            line.with(Tone::Dim, format!("   last webhook {} ago", span(view.now() - last)))
        }
        _ => line,
    }
}

fn pools(view: &View) -> impl Iterator<Item = &Value> {
    view.status["pools"].as_array().into_iter().flatten()
}

/// What is wrong, whole where there is room: a key shows the rest.
fn troubles(view: &View, width: usize, most: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (tone, text) in all_troubles(view) {
        let wrapped = wrap(&text, width.saturating_sub(3));
        lines.extend(wrapped.iter().enumerate().map(|(place, text)| {
            let sign = if place == 0 { " ! " } else { "   " };
            Line::default().with(tone, format!("{sign}{}", text.trim_end()))
        }));
    }
    let most = most.max(TROUBLES);
    if lines.len() > most {
        lines.truncate(most - 1);
        lines.push(Line::default().with(Tone::Strong, "   d").with(Tone::Dim, " shows the rest"));
    }
    lines
}

pub fn all_troubles(view: &View) -> Vec<(Tone, String)> {
    let mut troubles = Vec::new();
    let mut say = |tone, text: String| troubles.push((tone, text));
    if let Some(why) = &view.away {
        say(Tone::Bad, why.clone());
    }
    for part in view.status["degraded"].as_array().into_iter().flatten() {
        say(Tone::Bad, format!("degraded: {}", part.as_str().unwrap_or_default()));
    }
    let unserved = &view.status["unserved"];
    let newest = &unserved["newest"];
    if let Some(reason) = newest["reason"].as_str() {
        let jobs = unserved["jobs"].as_u64().unwrap_or_default();
        let repository = newest["repository"].as_str().unwrap_or_default();
        say(
            Tone::Wait,
            format!(
                "no pool serves {jobs} waiting jobs; the newest, {} of {repository}: {reason}",
                newest["job"]
            ),
        );
    }
    troubles
}

fn table(view: &mut View, width: usize, room: usize) -> Vec<Line> {
    let now = view.now();
    let filtered = !view.filter.is_empty();
    let mut lines = vec![Line::default()];
    lines.extend(view.table().lines(width, room.saturating_sub(1), now));
    if view.table().counts().0 == 0 {
        let text = match (view.shown, filtered) {
            _ if view.status.is_null() => "",
            (_, true) => "  Nothing matches the filter.",
            (Shown::Jobs, _) => "  No job waits, runs or has ended lately.",
            (Shown::Runners, _) => "  No runner is alive.",
            (Shown::Pools, _) => "  No pools.",
        };
        lines.push(Line::default().with(Tone::Dim, text));
    }
    lines
}

/// What the chosen row has no room for: on two lines, and on more if it is longer.
fn detail(view: &mut View, width: usize, most: usize) -> Vec<Line> {
    let Some(row) = view.table().chosen() else { return Vec::new() };
    let mut wrapped = wrap(&row.note, width.saturating_sub(1));
    let cut = wrapped.len() > most;
    wrapped.truncate(most);
    wrapped.resize(wrapped.len().max(2), String::new());
    let line = |text: String| Line::default().with(Tone::Plain, format!(" {}", text.trim_end()));
    let mut lines: Vec<Line> = wrapped.into_iter().map(line).collect();
    if cut && let Some(last) = lines.last_mut() {
        *last = Line::default().with(Tone::Strong, " Enter").with(Tone::Dim, " shows the rest");
    }
    lines
}

fn explanation(page: &mut Page, width: usize, room: usize) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let room = room.saturating_sub(1);
    let text = match (&page.text, page.job) {
        (Some(text), _) => text,
        (None, Some(job)) => {
            lines.push(Line::default().with(Tone::Dim, format!(" asking about job {job} …")));
            return lines;
        }
        (None, None) => return lines,
    };
    let wrapped: Vec<String> =
        text.lines().flat_map(|line| wrap(line, width.saturating_sub(1))).collect();
    page.top = page.top.min(wrapped.len().saturating_sub(room));
    let shown = wrapped.into_iter().skip(page.top).take(room);
    lines.extend(shown.map(|text| Line::default().with(Tone::Plain, format!(" {text}"))));
    lines
}

fn footer(view: &mut View, width: usize) -> Line {
    let keys = |keys: &[(&str, &str)]| {
        let mut line = Line::default().with(Tone::Dim, " ");
        for (key, what) in keys {
            line = line.with(Tone::Strong, *key).with(Tone::Dim, format!(" {what}  "));
        }
        line
    };
    if view.typing {
        return Line::default()
            .with(Tone::Strong, format!(" filter: {}", view.filter))
            .with(Tone::Chosen, " ")
            .with(Tone::Dim, "   Enter keep   Esc clear");
    }
    if view.page.is_some() {
        return keys(&[("↑↓", "scroll"), ("Esc", "back"), ("Ctrl-C", "quit")]);
    }
    let next = Shown::ALL[(view.shown as usize + 1) % 3].name();
    let mut all =
        vec![("↑↓", "move"), ("s", "sort"), ("r", "reverse"), ("/", "filter"), ("Tab", next)];
    all.push(("Enter", if view.shown == Shown::Pools { "details" } else { "explain" }));
    all.push(("q", "quit"));
    let (shown, rows) = view.table().counts();
    let mut state = format!("by {}", view.table().order());
    if !view.filter.is_empty() {
        state = format!("{shown} of {rows} with “{}” · {state}", view.filter);
    }
    let line = keys(&all);
    let room = width.saturating_sub(line.width());
    match columns(&state) < room {
        true => line.with(Tone::Dim, state),
        // What is filtered away has to be seen.
        false if !view.filter.is_empty() => Line::default()
            .with(Tone::Plain, format!(" {shown} of {rows} with “{}”", view.filter))
            .with(Tone::Dim, "   Esc clear   / change   q quit"),
        false => line,
    }
}

/// At spaces where there are some.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used + columns(word.trim_end()) > width && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for letter in word.chars() {
            let wide = columns(letter.encode_utf8(&mut [0; 4]));
            if used + wide > width {
                // The one at which a line ends.
                if letter == ' ' {
                    continue;
                }
                lines.push(String::new());
                used = 0;
            }
            used += wide;
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use terminal::Key;

    use super::super::view::Wish;
    use super::*;
    use crate::cli::status::follow::News;

    const LONG: &str = "at capacity: pool x64 has its 4 runners (max_runners)";

    fn open(id: u64, name: &str, reason: Option<&str>, runner: Option<(&str, &str)>) -> Value {
        json!({
            "id": id, "name": name, "repository": "octo/app", "head_branch": "main", "pool": "x64",
            "received_at": "2026-11-30T04:12:09Z", "started_at": null, "reason": reason,
            "runner_name": runner.map(|it| it.0), "runner_state": runner.map(|it| it.1),
            "runner_placed": false,
        })
    }

    fn status() -> Value {
        let few = |jobs: Vec<Value>| json!({"total": jobs.len(), "jobs": jobs});
        json!({
            "at": "2026-11-30T04:13:29Z",
            "capacity": {"alive": 5, "max": 20},
            "pools": [{"name": "x64", "labels": ["linux", "x64"], "waiting": 2, "supply": 1, "busy": 2,
                "alive": 5, "max_runners": 4, "paused": false, "waiting_for": [LONG]}],
            "unserved": {"jobs": 0, "more": false, "newest": null},
            "deliveries": {"last_good": "2026-11-30T04:13:20Z"},
            "degraded": ["nomad: it does not answer"],
            "lists": {
                "waiting": few(vec![
                    open(7, "build (stable)", None, Some(("roustabout-x64-1", "dispatched"))),
                    open(8, "evil\u{1b}[2J\u{202e}\nname", Some(LONG), None),
                ]),
                "running": few(vec![open(6, "大きさ", None, Some(("roustabout-x64-0", "busy")))]),
                "held": few(vec![]),
                "ended": [],
                "runners": [],
                "runners_total": 5,
            },
        })
    }

    fn view() -> View {
        let mut view = View::default();
        view.hear(News::Status(status()));
        view.stop_clock();
        view
    }

    fn shown(view: &mut View, width: usize, height: usize) -> String {
        let lines = lines(view, Size { width, height });
        assert!(lines.len() <= height, "{} lines on {height}", lines.len());
        assert!(lines.iter().all(|line| line.width() < width.max(1)));
        let lines: Vec<String> = lines.iter().map(|line| line.show(false)).collect();
        lines.join("\n")
    }

    #[test]
    fn a_narrow_terminal() {
        insta::assert_snapshot!(shown(&mut view(), 80, 14), @r"
         runners ██▒▒▒░░░░░░░░░░░░░░░ 5/20   2 waiting · 1 running · 0 held
         ! degraded: nomad: it does not answer

          STATE     TIME REPOSITORY JOB            WHY
        ▸ waiting  1m20s octo/app   build (stable) runner dispatched: roustabout-x64-1
          waiting  1m20s octo/app   evil [2J  name at capacity: pool x64 has its 4 run…
          running  1m20s octo/app   大きさ         on roustabout-x64-0




         job 7 (main): runner dispatched: roustabout-x64-1

         ↑↓ move  s sort  r reverse  / filter  Tab runners  Enter explain  q quit
        ");
    }

    #[test]
    fn a_wide_one_has_pools_and_steps() {
        insta::assert_snapshot!(shown(&mut view(), 130, 14), @r"
         runners ██▒▒▒░░░░░░░░░░░░░░░ 5/20   2 waiting · 1 running · 0 held   last webhook 9s ago
         ! degraded: nomad: it does not answer

          STATE     TIME POOL REPOSITORY JOB            STEPS  WHY
        ▸ waiting  1m20s x64  octo/app   build (stable) ●●●○○○ runner dispatched: roustabout-x64-1
          waiting  1m20s x64  octo/app   evil [2J  name ●○○○○○ at capacity: pool x64 has its 4 runners (max_runners)
          running  1m20s x64  octo/app   大きさ         ●●●●●● on roustabout-x64-0




         job 7 (main): runner dispatched: roustabout-x64-1

         ↑↓ move  s sort  r reverse  / filter  Tab runners  Enter explain  q quit  by default
        ");
    }

    #[test]
    fn what_is_long_is_wrapped_or_shown_by_a_key() {
        let mut view = view();
        let mut long = status();
        let words = |count: usize| (0..count).map(|at| format!("word{at} ")).collect::<String>();
        long["degraded"] = json!([format!("nomad: {}end", words(18))]);
        long["lists"]["waiting"]["jobs"][0]["reason"] = json!(format!("{}end", words(30)));
        view.hear(News::Status(long.clone()));
        let text = shown(&mut view, 80, 24);
        assert!(text.contains("\n   word10 word11") && text.contains(" word17 end\n"), "{text}");
        assert!(text.contains(" word29 end\n"), "the whole reason: {text}");
        long["degraded"] = json!([format!("nomad: {}end", words(120))]);
        long["pools"][0]["waiting_for"] = json!([format!("{}end", words(120))]);
        view.hear(News::Status(long));
        let text = shown(&mut view, 80, 24);
        assert!(text.contains("   d shows the rest\n") && !text.contains("word119"), "{text}");
        view.press(Key::Char('d'));
        assert!(shown(&mut view, 80, 24).contains("word119"));
        view.press(Key::Escape);
        view.press(Key::Char('3'));
        assert!(shown(&mut view, 80, 24).contains(" Enter shows the rest\n"));
        view.press(Key::Enter);
        assert!(shown(&mut view, 80, 24).contains("word119"));
    }

    #[test]
    fn any_size_is_enough() {
        for width in [0, 1, 2, 10, 40, 100, 300] {
            for height in [0, 1, 2, 3, 5, 13, 14, 60] {
                for keys in ["", "/build", "2", "3", "3\n", "d", "\n"] {
                    let mut view = view();
                    for key in keys.chars() {
                        view.press(if key == '\n' { Key::Enter } else { Key::Char(key) });
                    }
                    shown(&mut view, width, height);
                }
            }
        }
    }

    #[test]
    fn a_daemon_that_is_away_is_told_above_what_was_known_last() {
        let mut view = view();
        view.hear(News::Away("roustabout does not answer at http://127.0.0.1:9090/".to_owned()));
        let text = shown(&mut view, 80, 24);
        assert!(text.contains(" ! roustabout does not answer") && text.contains("build (stable)"));
        view.hear(News::Status(status()));
        assert!(!shown(&mut view, 80, 24).contains("does not answer at"));
    }

    #[test]
    fn keys_filter_sort_turn_and_leave() {
        let mut view = view();
        for key in "/evil q".chars() {
            assert_eq!(view.press(Key::Char(key)), Wish::Nothing, "a letter of the filter");
        }
        assert!(shown(&mut view, 80, 24).contains("Nothing matches the filter."));
        view.press(Key::Backspace);
        view.press(Key::Backspace);
        view.press(Key::Enter);
        let text = shown(&mut view, 80, 24);
        assert!(text.contains("1 of 3 with “evil”") && !text.contains("build (stable)"), "{text}");
        assert_eq!(view.press(Key::Enter), Wish::Explain(8));
        assert!(shown(&mut view, 80, 24).contains("asking about job 8"));
        assert_eq!(view.press(Key::Escape), Wish::Nothing);
        view.press(Key::Escape);
        assert!(shown(&mut view, 80, 24).contains("build (stable)"));
        view.press(Key::Char('s'));
        assert!(shown(&mut view, 80, 24).contains("STATE▼"));
        view.press(Key::Tab);
        assert!(shown(&mut view, 80, 24).contains("No runner is alive."));
        view.press(Key::Tab);
        assert!(shown(&mut view, 80, 24).contains("x64 (linux, x64): at capacity"));
        assert_eq!(view.press(Key::Enter), Wish::Nothing, "a pool is no job");
        assert!(shown(&mut view, 80, 24).contains("x64 (linux, x64): at capacity"));
        assert_eq!(view.press(Key::Char('q')), Wish::Nothing, "back");
        assert_eq!(view.press(Key::Char('q')), Wish::Leave);
        assert_eq!(view.press(Key::Ctrl('c')), Wish::Leave);
    }

    #[test]
    fn text_is_wrapped_at_spaces_and_a_long_word_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij ", "kl"]);
        assert_eq!(wrap("", 4), [""]);
    }
}

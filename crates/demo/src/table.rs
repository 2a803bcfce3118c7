//! The table of a terminal: one line a job with the times of its steps, how much room is taken,
//! who waits and why. A pure function of what has happened, of the time and of the terminal's size.
//!
//! How it is drawn over itself is in `live.rs`.

use simulated::github::Millis;
use terminal::{Line, Size, Tone};

use crate::scene::PLACES;
use crate::story::{JobTale, RunnerTale, Story};

/// From here on there is room for the times of all steps.
const WIDE: usize = 100;
/// A column of times.
const TIME: usize = 9;
const STEPS: [&str; 6] = ["webhook", "hired", "dispatch", "placed", "ready", "running"];
/// Lines that are no jobs: the bar and a blank before, head before and note after.
const AROUND: usize = 6;

/// Never more than fits the terminal, so that it can be drawn over.
pub fn table(story: &Story, now: Millis, size: Size) -> Vec<Line> {
    let wide = size.width >= WIDE;
    let room = size.height.saturating_sub(AROUND + story.troubles.len().min(2) + 1).max(1);
    let mut lines = vec![bar(story, now, wide), Line::default()];
    let names = story.jobs.values().map(|job| job.name.chars().count()).max().unwrap_or(0);
    let columns = Columns {
        repository: story.jobs.values().map(|job| job.repository.len()).max().unwrap_or(0),
        name: names.min(if wide { 26 } else { 24 }),
    };
    lines.push(head(&columns, wide));
    let (shown, done, later) = choose(story, room);
    if done > 0 {
        lines.push(Line::default().with(Tone::Dim, format!("  … {done} more done")));
    }
    for job in shown {
        let row = Row { story, job, runner: runner(story, job), now, columns: &columns };
        lines.push(if wide { row.wide() } else { row.narrow() });
    }
    if later > 0 {
        lines.push(Line::default().with(Tone::Dim, format!("  … {later} more waiting")));
    }
    for trouble in story.troubles.iter().rev().take(2).rev() {
        lines.push(Line::default().with(Tone::Bad, format!("  ! {trouble}")));
    }
    lines.truncate(size.height.saturating_sub(1));
    // The last column stays free: some terminals wrap there.
    lines.into_iter().map(|line| line.cut(size.width.saturating_sub(1))).collect()
}

struct Columns {
    repository: usize,
    name: usize,
}

/// The jobs that have a line, and how many done ones and how many waiting ones have none.
fn choose(story: &Story, room: usize) -> (Vec<&JobTale>, usize, usize) {
    let mut shown: Vec<&JobTale> = story.jobs.values().collect();
    let mut surplus = shown.len().saturating_sub(room);
    let (mut done, mut later) = (0, 0);
    shown.retain(|job| {
        let drop = surplus > 0 && job.ended.is_some();
        surplus -= usize::from(drop);
        done += usize::from(drop);
        !drop
    });
    while surplus > 0 {
        let waits = |job: &&JobTale| job.started.is_empty();
        let plain = |job: &&JobTale| waits(job) && job.explained.is_none() && job.refused.is_none();
        let place = shown.iter().rposition(plain).or_else(|| shown.iter().rposition(waits));
        let Some(place) = place else { break };
        shown.remove(place);
        surplus -= 1;
        later += 1;
    }
    (shown, done, later)
}

fn runner<'a>(story: &'a Story, job: &JobTale) -> Option<&'a RunnerTale> {
    story.runners.get(job.runner.as_ref()?)
}

fn bar(story: &Story, now: Millis, wide: bool) -> Line {
    let alive = story.runners.values().filter(|runner| runner.gone.is_none());
    let (placed, unplaced): (Vec<_>, Vec<_>) = alive.partition(|it| it.placed.is_some());
    let jobs = || story.jobs.values();
    let running = jobs().filter(|job| !job.started.is_empty() && job.ended.is_none()).count();
    let done = jobs().filter(|job| job.ended.is_some()).count();
    let refused = jobs().filter(|job| job.refused.is_some()).count();
    let waiting = jobs().count() - running - done - refused;
    let (taken, coming) = (placed.len(), unplaced.len());
    let free = (PLACES + 1).saturating_sub(taken + coming);
    let time = short(now - story.begin.unwrap_or(now), 1);
    let mut line = Line::default()
        .with(Tone::Plain, format!("{time:>6} s  runners "))
        .with(Tone::Busy, "█".repeat(taken))
        .with(Tone::Wait, "▒".repeat(coming))
        .with(Tone::Dim, "░".repeat(free))
        .with(Tone::Plain, format!(" {}/{}", taken + coming, PLACES + 1))
        .with(Tone::Dim, "   ")
        .with(if waiting > 0 { Tone::Wait } else { Tone::Dim }, format!("{waiting} waiting"))
        .with(Tone::Dim, " · ")
        .with(if running > 0 { Tone::Busy } else { Tone::Dim }, format!("{running} running"))
        .with(Tone::Dim, " · ")
        .with(if done > 0 { Tone::Good } else { Tone::Dim }, format!("{done} done"));
    if refused > 0 {
        line = line.with(Tone::Dim, " · ").with(Tone::Bad, format!("{refused} refused"));
    }
    let (tokens, runners) = (story.tokens, story.runners.len());
    if wide && tokens > 0 {
        line = line.with(Tone::Dim, format!("   {tokens} tokens for {runners} runners"));
    }
    line
}

fn head(columns: &Columns, wide: bool) -> Line {
    let Columns { repository, name } = columns;
    let mut text = format!("  {:<repository$}  {:<name$}  ", "repo", "job");
    if wide {
        for step in STEPS.into_iter().chain(["done"]) {
            text.push_str(&format!("{step:>TIME$}"));
        }
    } else {
        text.push_str("steps    at");
    }
    Line::default().with(Tone::Dim, text)
}

struct Row<'a> {
    story: &'a Story,
    job: &'a JobTale,
    runner: Option<&'a RunnerTale>,
    now: Millis,
    columns: &'a Columns,
}

/// What a job's line says behind the steps.
struct State {
    tone: Tone,
    text: String,
    /// It is a sentence, which takes the place of the steps that have not come.
    sentence: bool,
}

impl Row<'_> {
    fn begin(&self) -> Line {
        let Columns { repository, name } = self.columns;
        let shown: String = self.job.name.chars().take(*name).collect();
        let tone = if self.job.ended.is_some() { Tone::Dim } else { Tone::Plain };
        Line::default()
            .with(Tone::Dim, format!("  {:<repository$}  ", self.job.repository))
            .with(tone, format!("{shown:<name$}  "))
    }

    /// When each of [`STEPS`] came, and since when it is another job's no more.
    fn steps(&self) -> [Option<Millis>; 6] {
        let runner = self.runner;
        [
            self.job.webhook,
            runner.map(|it| it.hired),
            runner.and_then(|it| it.dispatched),
            runner.and_then(|it| it.placed),
            runner.and_then(|it| it.registered),
            self.job.started.first().copied(),
        ]
    }

    fn since(&self, at: Millis) -> Millis {
        at - self.story.begin.unwrap_or(at)
    }

    fn state(&self) -> State {
        let job = self.job;
        let plain = |tone, text: String| State { tone, text, sentence: false };
        let sentence = |tone, text: String| State { tone, text, sentence: true };
        if let Some(ended) = job.ended {
            return match job.conclusion {
                Some("success") => plain(Tone::Good, format!("✔ {}", short(self.since(ended), 2))),
                Some("cancelled") => sentence(Tone::Wait, self.cancelled()),
                other => plain(Tone::Bad, format!("✘ {}", other.unwrap_or_default())),
            };
        }
        if let Some(started) = job.started.first() {
            return plain(Tone::Busy, format!("▶ {}", short(self.now - started, 1)));
        }
        if let Some(why) = &job.refused {
            return sentence(Tone::Bad, format!("refused: {why}"));
        }
        if let Some(why) = &job.explained {
            let why = why.split_once("waits for its runner: ").map_or(why.as_str(), |(_, why)| why);
            return sentence(Tone::Wait, format!("waits: {}", without_name(why)));
        }
        match (self.runner, self.story.reasons.get(&job.repository)) {
            // It is said of all jobs of the repository; this is one of those that have none.
            (None, Some(why)) => {
                let why = why.split_once(" a runner on the way; ").map_or(&**why, |(_, why)| why);
                sentence(Tone::Wait, format!("waits: {why}"))
            }
            (None, None) => plain(Tone::Dim, "queued".to_owned()),
            (Some(_), _) => plain(Tone::Dim, String::new()),
        }
    }

    fn cancelled(&self) -> String {
        match self.runner {
            Some(runner) if runner.gone.is_some() => "cancelled; its runner was let go".to_owned(),
            Some(_) => "cancelled; its runner is let go".to_owned(),
            None => "cancelled".to_owned(),
        }
    }

    fn wide(&self) -> Line {
        let mut line = self.begin();
        let state = self.state();
        let steps = self.steps();
        let come = steps.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for step in &steps[..if state.sentence { come } else { steps.len() }] {
            let text = step.map_or(String::new(), |at| short(self.since(at), 2));
            line = line.with(Tone::Plain, format!("{text:>TIME$}"));
        }
        match state.sentence {
            true => line.with(state.tone, format!("  {}", state.text)),
            false => line.with(state.tone, format!("{:>TIME$}", state.text)),
        }
    }

    fn narrow(&self) -> Line {
        let mut line = self.begin();
        let state = self.state();
        let steps = self.steps();
        let tone = if state.tone == Tone::Dim { Tone::Plain } else { state.tone };
        let dots: String = steps.iter().map(|it| if it.is_some() { '●' } else { '○' }).collect();
        line = line.with(tone, format!("{dots}   "));
        let last = steps.iter().rposition(Option::is_some);
        if state.text.is_empty()
            && let Some(last) = last
        {
            let at = steps[last].map_or(0, |at| self.since(at));
            return line.with(Tone::Dim, format!("{} {}", STEPS[last], short(at, 2)));
        }
        // The tone says so already, and room is scarce.
        line.with(state.tone, state.text.strip_prefix("waits: ").unwrap_or(&state.text))
    }
}

/// A runner's whole name is long, and here it is plain whose it is.
fn without_name(why: &str) -> String {
    match why.split_once("; ") {
        Some((first, reason)) if first.starts_with("Nomad has no room for") => {
            format!("Nomad has no place: {reason}")
        }
        _ => why.to_owned(),
    }
}

/// Seconds with so many digits behind the point.
#[expect(clippy::cast_precision_loss, reason = "a demo is over within minutes")]
fn short(millis: Millis, digits: usize) -> String {
    format!("{:.digits$}", millis.max(0) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(repository: &str, name: &str, runner: Option<&str>) -> JobTale {
        JobTale {
            name: name.to_owned(),
            repository: repository.to_owned(),
            queued: 1_000,
            webhook: Some(1_012),
            runner: runner.map(str::to_owned),
            ..JobTale::default()
        }
    }

    fn runner(number: usize, reached: usize) -> RunnerTale {
        let at = |step, millis: Millis| (reached >= step).then_some(1_000 + millis);
        RunnerTale {
            number,
            hired: 1_020,
            dispatched: at(1, 55),
            placed: at(2, 81),
            registered: at(3, 312),
            gone: at(4, 2_600),
            ..RunnerTale::default()
        }
    }

    /// One job in each of the states that a job can be in.
    fn story() -> Story {
        let mut story = Story { begin: Some(1_000), ..Story::default() };
        let done = JobTale {
            started: vec![1_450],
            ended: Some(3_300),
            conclusion: Some("success"),
            ..job("octo/app", "build (stable, debug)", Some("a"))
        };
        let busy = JobTale {
            started: vec![1_612],
            ..job("octo/app", "build (stable, release)", Some("b"))
        };
        let coming = job("octo/lib", "test (1)", Some("c"));
        let waits = job("octo/lib", "test (2)", None);
        let why = "job 7 (train) of octo/lib waits for its runner: Nomad has no room for \
                   roustabout-huge-1; 1 node: 1 lacks memory";
        let huge =
            JobTale { explained: Some(why.to_owned()), ..job("octo/lib", "train", Some("d")) };
        let refused = "octo/site is public, and pool x64 does not allow public repositories \
                       (public_repositories = true would)";
        let site = JobTale { refused: Some(refused.to_owned()), ..job("octo/site", "build", None) };
        story.jobs = (1..).zip([done, busy, coming, waits, huge, site]).collect();
        for (name, reached) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
            story.runners.insert(name.to_owned(), runner(story.runners.len() + 1, reached));
        }
        let why = "1 of 2 have a runner on the way; at capacity: pool x64 has its 4 runners \
                   (max_runners)";
        story.reasons.insert("octo/lib".to_owned(), why.to_owned());
        story
    }

    fn shown(story: &Story, width: usize, height: usize) -> String {
        let lines = table(story, 4_200, Size { width, height });
        assert!(lines.len() < height, "{} lines on {height}", lines.len());
        assert!(lines.iter().all(|line| line.width() < width));
        let lines: Vec<String> = lines.iter().map(|line| line.show(false)).collect();
        lines.join("\n")
    }

    #[test]
    fn a_wide_terminal_has_the_times_of_all_steps() {
        insta::assert_snapshot!(shown(&story(), 120, 40), @r"
           3.2 s  runners ██▒░░ 3/5   3 waiting · 1 running · 1 done · 1 refused

          repo       job                        webhook    hired dispatch   placed    ready  running     done
          octo/app   build (stable, debug)         0.01     0.02     0.06     0.08     0.31     0.45   ✔ 2.30
          octo/app   build (stable, release)       0.01     0.02     0.06     0.08     0.31     0.61    ▶ 2.6
          octo/lib   test (1)                      0.01     0.02     0.06     0.08
          octo/lib   test (2)                      0.01  waits: at capacity: pool x64 has its 4 runners (max_runners)
          octo/lib   train                         0.01     0.02     0.06  waits: Nomad has no place: 1 node: 1 lacks memory
          octo/site  build                         0.01  refused: octo/site is public, and pool x64 does not allow public repo…
        ");
    }

    #[test]
    fn a_narrow_one_has_a_dot_for_each_step() {
        insta::assert_snapshot!(shown(&story(), 80, 24), @r"
           3.2 s  runners ██▒░░ 3/5   3 waiting · 1 running · 1 done · 1 refused

          repo       job                      steps    at
          octo/app   build (stable, debug)    ●●●●●●   ✔ 2.30
          octo/app   build (stable, release)  ●●●●●●   ▶ 2.6
          octo/lib   test (1)                 ●●●●○○   placed 0.08
          octo/lib   test (2)                 ●○○○○○   at capacity: pool x64 has its 4…
          octo/lib   train                    ●●●○○○   Nomad has no place: 1 node: 1 l…
          octo/site  build                    ●○○○○○   refused: octo/site is public, a…
        ");
    }

    #[test]
    fn where_there_are_too_many_the_done_go_first_and_then_the_last_that_wait() {
        insta::assert_snapshot!(shown(&story(), 80, 10), @r"
           3.2 s  runners ██▒░░ 3/5   3 waiting · 1 running · 1 done · 1 refused

          repo       job                      steps    at
          … 1 more done
          octo/app   build (stable, release)  ●●●●●●   ▶ 2.6
          octo/lib   train                    ●●●○○○   Nomad has no place: 1 node: 1 l…
          octo/site  build                    ●○○○○○   refused: octo/site is public, a…
          … 2 more waiting
        ");
        for (width, height) in [(20, 8), (1, 8), (200, 9), (80, 2)] {
            shown(&story(), width, height);
        }
    }

    #[test]
    fn colours_are_shown_where_they_are_wanted() {
        let lines = table(&story(), 4_200, Size { width: 120, height: 40 });
        let all: String = lines.iter().map(|line| line.show(true)).collect();
        assert!(all.contains("\x1b[32m") && all.contains("\x1b[31m"));
        assert!(!lines.iter().any(|line| line.show(false).contains('\x1b')));
    }

    #[test]
    fn before_anything_has_happened_there_is_an_empty_table() {
        insta::assert_snapshot!(shown(&Story::default(), 80, 24), @r"
           0.0 s  runners ░░░░░ 0/5   0 waiting · 0 running · 0 done

          repo  job  steps    at
        ");
    }
}

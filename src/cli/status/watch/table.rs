//! A table that is sorted, filtered and scrolled, whatever is in it.

use std::cmp::Ordering;

use terminal::{Line, Tone, columns, fit};

/// Of a terminal so wide or more, columns have their full width.
pub const WIDE: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub head: &'static str,
    /// At most so wide on a narrow terminal, where 0 hides it, and on a wide one. The last one has the rest.
    pub most: [usize; 2],
    pub right: bool,
}

/// Milliseconds since 1970.
pub type Millis = i64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(u64),
    /// It goes on since then.
    Since(Millis),
    /// It took so long.
    Took(Millis),
    Nothing,
}

#[derive(Debug, Clone)]
pub struct Cell {
    pub value: Value,
    pub tone: Tone,
}

#[derive(Debug, Clone)]
pub struct Row {
    /// By which it is the same row in the next answer.
    pub key: String,
    /// The job that it is about.
    pub job: Option<u64>,
    pub cells: Vec<Cell>,
    /// What has no room in a cell.
    pub note: String,
}

#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    rows: Vec<Row>,
    /// The column, where it is not the order in which the rows came.
    sort: Option<usize>,
    reverse: bool,
    /// Places in `rows` of those that are shown, in their order.
    shown: Vec<usize>,
    /// Of `shown`.
    cursor: usize,
    top: usize,
}

impl Table {
    pub fn new(columns: &'static [Column]) -> Self {
        let (rows, shown) = (Vec::new(), Vec::new());
        Self { columns, rows, sort: None, reverse: false, shown, cursor: 0, top: 0 }
    }

    /// Other rows.
    pub fn fill(&mut self, rows: Vec<Row>, filter: &str, now: Millis) {
        let chosen = self.chosen().map(|row| row.key.clone());
        self.rows = rows;
        self.choose_again(chosen, filter, now);
    }

    /// Filtered and sorted.
    pub fn arrange(&mut self, filter: &str, now: Millis) {
        let chosen = self.chosen().map(|row| row.key.clone());
        self.choose_again(chosen, filter, now);
    }

    /// The cursor stays on its row, wherever that is now, and on its line if the row is not shown any more.
    fn choose_again(&mut self, chosen: Option<String>, filter: &str, now: Millis) {
        self.filter_and_sort(filter, now);
        let place =
            chosen.and_then(|key| self.shown.iter().position(|it| self.rows[*it].key == key));
        if let Some(place) = place {
            self.cursor = place;
        }
    }

    fn filter_and_sort(&mut self, filter: &str, now: Millis) {
        let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
        let shows = |row: &Row| words.iter().all(|word| has(row, word));
        self.shown = (0..self.rows.len()).filter(|place| shows(&self.rows[*place])).collect();
        if let Some(column) = self.sort {
            let cell = |place: &usize| &self.rows[*place].cells[column].value;
            // Stable: equal ones stay in the order in which they came.
            self.shown.sort_by(|one, other| compare(cell(one), cell(other), now));
        }
        if self.reverse {
            self.shown.reverse();
        }
        self.cursor = self.cursor.min(self.shown.len().saturating_sub(1));
    }

    /// By the next column, and at last in the order in which the rows came.
    pub fn sort_next(&mut self, width: usize) {
        let next = self.sort.map_or(0, |column| column + 1);
        self.sort = (next..self.columns.len()).find(|column| self.columns[*column].most(width) > 0);
    }

    pub fn reverse(&mut self) {
        self.reverse = !self.reverse;
    }

    pub fn move_by(&mut self, rows: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
    }

    pub fn chosen(&self) -> Option<&Row> {
        self.shown.get(self.cursor).map(|place| &self.rows[*place])
    }

    pub fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.rows.len())
    }

    /// In words, for the line below.
    pub fn order(&self) -> String {
        let column = self.sort.map_or("default", |column| self.columns[column].head);
        format!("{}{}", column.to_lowercase(), if self.reverse { ", reversed" } else { "" })
    }

    /// The head and as many rows as there is room for.
    pub fn lines(&mut self, width: usize, height: usize, now: Millis) -> Vec<Line> {
        let height = height.saturating_sub(1);
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        if self.cursor >= self.top + height {
            self.top = self.cursor + 1 - height.max(1);
        }
        // No empty room below, where there are rows above.
        self.top = self.top.min(self.shown.len().saturating_sub(height));
        let places: Vec<usize> = self.shown.iter().skip(self.top).take(height).copied().collect();
        let widths = self.widths(width);
        let mut lines = vec![self.head(&widths)];
        for (place, row) in places.into_iter().enumerate() {
            let line = self.line(&self.rows[row], &widths, self.top + place == self.cursor, now);
            lines.push(match self.top + place == self.cursor {
                true => line.cut(width).all(Tone::Chosen, width),
                false => line,
            });
        }
        lines
    }

    /// Of each column that is shown: as wide as what is in it, within its limit.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let last = self.columns.len() - 1;
        let widths = self.columns.iter().enumerate().map(|(place, column)| {
            let most = column.most(width);
            if most == 0 || place == last {
                return (place == last).then_some(0);
            }
            let texts = self.rows.iter().map(|row| match &row.cells[place].value {
                Value::Text(text) => columns(text),
                Value::Nothing => 0,
                _ => 6,
            });
            // A place for the sign of the order.
            let widest = texts.max().unwrap_or_default();
            Some(widest.min(most).max(columns(column.head) + usize::from(self.sort == Some(place))))
        });
        widths.collect()
    }

    fn head(&self, widths: &[Option<usize>]) -> Line {
        let mut text = "  ".to_owned();
        for (place, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            let Some(width) = width else { continue };
            let sign = match self.sort == Some(place) {
                true if self.reverse => "▲",
                true => "▼",
                false => "",
            };
            text.push_str(&pad(&format!("{}{sign}", column.head), *width, column.right));
        }
        Line::default().with(Tone::Dim, text)
    }

    fn line(&self, row: &Row, widths: &[Option<usize>], chosen: bool, now: Millis) -> Line {
        let mut line = Line::default().with(Tone::Strong, if chosen { "▸ " } else { "  " });
        for ((cell, column), width) in row.cells.iter().zip(self.columns).zip(widths) {
            let Some(width) = width else { continue };
            line = line.with(cell.tone, pad(&cell.value.show(now), *width, column.right));
        }
        line
    }
}

impl Column {
    fn most(&self, width: usize) -> usize {
        self.most[usize::from(width >= WIDE)]
    }
}

/// 0: the last column, which is cut with its line.
fn pad(text: &str, width: usize, right: bool) -> String {
    match (width, right) {
        (0, _) => text.to_owned(),
        (_, true) => {
            format!("{}{} ", " ".repeat(width.saturating_sub(columns(text))), fit_end(text, width))
        }
        (_, false) => format!("{} ", fit(text, width)),
    }
}

fn fit_end(text: &str, width: usize) -> String {
    if columns(text) > width { fit(text, width) } else { text.to_owned() }
}

impl Value {
    pub fn show(&self, now: Millis) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Since(at) => span(now - at),
            Value::Took(time) => span(*time),
            Value::Nothing => String::new(),
        }
    }
}

/// The longest and the most come first, as does the first letter.
fn compare(one: &Value, other: &Value, now: Millis) -> Ordering {
    let amount = |value: &Value| match value {
        Value::Number(number) => i64::try_from(*number).ok(),
        Value::Since(at) => Some(now - at),
        Value::Took(time) => Some(*time),
        Value::Text(_) | Value::Nothing => None,
    };
    let text = |value: &Value| match value {
        Value::Text(text) => text.to_lowercase(),
        _ => String::new(),
    };
    amount(other).cmp(&amount(one)).then_with(|| {
        let (one, other) = (text(one), text(other));
        // What has none comes last.
        (one.is_empty(), one).cmp(&(other.is_empty(), other))
    })
}

fn has(row: &Row, word: &str) -> bool {
    let text = |text: &str| text.to_lowercase().contains(word);
    let cell = |cell: &Cell| matches!(&cell.value, Value::Text(it) if text(it));
    text(&row.key) || text(&row.note) || row.cells.iter().any(cell)
}

/// `45s`, `3m20s`, `2h05m`, `3d04h`.
pub fn span(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { head: "NAME", most: [6, 20], right: false },
        Column { head: "TIME", most: [6, 6], right: true },
        Column { head: "WHY", most: [1, 1], right: false },
    ];

    fn row(name: &str, since: Millis, why: &str) -> Row {
        let text = |text: &str| Cell { value: Value::Text(text.to_owned()), tone: Tone::Plain };
        let time = Cell { value: Value::Since(since), tone: Tone::Plain };
        Row {
            key: name.to_owned(),
            job: None,
            cells: vec![text(name), time, text(why)],
            note: why.to_owned(),
        }
    }

    fn table(filter: &str) -> Table {
        let mut table = Table::new(&COLUMNS);
        let rows = vec![
            row("beta", 50_000, "no room"),
            row("Alpha", 90_000, "paused"),
            row("gamma-ray", 0, "No room"),
        ];
        table.fill(rows, filter, 100_000);
        table
    }

    fn shown(table: &mut Table, width: usize, height: usize) -> String {
        let lines: Vec<String> =
            table.lines(width, height, 100_000).iter().map(|line| line.show(false)).collect();
        lines.join("\n")
    }

    #[test]
    fn a_narrow_terminal_has_narrow_columns() {
        insta::assert_snapshot!(shown(&mut table(""), 40, 10), @r"
          NAME     TIME WHY
        ▸ beta      50s no room
          Alpha     10s paused
          gamma…  1m40s No room
        ");
    }

    #[test]
    fn sorted_by_each_column_in_turn_and_the_other_way_round() {
        let mut table = table("");
        let mut order = || -> String {
            table.arrange("", 100_000);
            table.shown.iter().map(|place| table.rows[*place].key.chars().next().unwrap()).collect()
        };
        assert_eq!(order(), "bAg");
        let mut orders = Vec::new();
        for _ in 0..4 {
            table.sort_next(80);
            table.arrange("", 100_000);
            let keys =
                table.shown.iter().map(|place| table.rows[*place].key.chars().next().unwrap());
            orders.push((table.order(), keys.collect::<String>()));
        }
        let said = |order: &str, keys: &str| (order.to_owned(), keys.to_owned());
        assert_eq!(
            orders,
            [said("name", "Abg"), said("time", "gbA"), said("why", "bgA"), said("default", "bAg")]
        );
        table.reverse();
        table.arrange("", 100_000);
        assert_eq!(
            (table.order(), table.shown.clone()),
            ("default, reversed".to_owned(), vec![2, 1, 0])
        );
    }

    #[test]
    fn a_filter_is_words_that_are_all_there() {
        assert_eq!(table("ROOM").counts(), (2, 3));
        assert_eq!(table("room gam").counts(), (1, 3));
        assert_eq!(table("nothing").counts(), (0, 3));
        assert!(table("nothing").chosen().is_none());
    }

    #[test]
    fn the_cursor_stays_on_its_row_and_the_rows_follow_it() {
        let mut table = table("");
        table.move_by(2);
        assert_eq!(table.chosen().unwrap().key, "gamma-ray");
        assert!(shown(&mut table, 40, 3).ends_with("▸ gamma…  1m40s No room"));
        table.fill(vec![row("gamma-ray", 0, ""), row("beta", 0, "")], "", 100_000);
        assert_eq!(table.chosen().unwrap().key, "gamma-ray");
        table.fill(vec![row("beta", 0, "")], "", 100_000);
        assert_eq!(table.chosen().unwrap().key, "beta");
        table.move_by(-10);
        table.move_by(isize::MAX);
        assert_eq!(shown(&mut table, 40, 1).lines().count(), 1, "the head alone");
        table.fill(Vec::new(), "", 100_000);
        assert_eq!(shown(&mut table, 40, 9).lines().count(), 1);
    }

    #[test]
    fn the_cursor_stays_on_its_row_when_the_order_or_the_filter_changes() {
        let mut table = table("");
        let chosen = |table: &Table| table.chosen().unwrap().key.clone();
        table.sort_next(80);
        table.arrange("", 100_000);
        assert_eq!(chosen(&table), "beta", "which has become the second");
        table.reverse();
        table.arrange("", 100_000);
        table.move_by(1);
        assert_eq!(chosen(&table), "Alpha");
        table.arrange("beta", 100_000);
        assert_eq!(chosen(&table), "beta", "the other one is not shown");
        table.arrange("", 100_000);
        assert_eq!((chosen(&table), table.cursor), ("beta".to_owned(), 1));
    }

    #[test]
    fn times_are_short() {
        let spans = [-5_000, 0, 59_999, 60_000, 3_599_000, 7_500_000, 273_600_000].map(span);
        assert_eq!(spans, ["0s", "0s", "59s", "1m00s", "59m59s", "2h05m", "3d04h"]);
    }
}

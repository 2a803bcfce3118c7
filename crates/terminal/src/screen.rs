//! The whole terminal, for a program that draws on all of it and is told each key: in its alternate
//! screen, so that what stood there comes back at the end.
//!
//! Only lines that differ from what stands there are written: it is quick over a slow connection.

use std::io::{self, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Line, Size};

/// Alternate screen, no cursor, no wrapping at the right edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

pub struct Screen {
    /// As the terminal was before.
    before: Termios,
    drawn: Vec<String>,
    size: Option<Size>,
}

impl Screen {
    /// Takes the terminal that standard input and output are.
    pub fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut screen = Self { before, drawn: Vec::new(), size: None };
        screen.enter()?;
        Ok(screen)
    }

    /// Again, after [`Screen::leave`].
    pub fn enter(&mut self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        self.size = None;
        write(ENTER)
    }

    /// Gives the terminal back as it was.
    pub fn leave(&mut self) -> io::Result<()> {
        let given = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
        write(LEAVE)?;
        Ok(given?)
    }

    /// Stops this program, as Ctrl-Z does elsewhere, until it is continued.
    pub fn suspend(&mut self) -> io::Result<()> {
        use rustix::process::{Signal, getpid, kill_process};
        self.leave()?;
        kill_process(getpid(), Signal::TSTP)?;
        self.enter()
    }

    /// So that these lines stand there, and nothing else.
    pub fn draw(&mut self, lines: &[Line], size: Size, colour: bool) -> io::Result<()> {
        let lines: Vec<String> =
            lines.iter().take(size.height).map(|line| line.show(colour)).collect();
        if self.size != Some(size) {
            self.drawn.clear();
            self.size = Some(size);
            write("\x1b[2J")?;
        }
        let frame = frame(&self.drawn, &lines);
        self.drawn = lines;
        if frame.is_empty() { Ok(()) } else { write(&frame) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody reads any more, or all is as it was.
        let _ = self.leave();
    }
}

/// What to write where `before` stands, for `after` to stand there.
fn frame(before: &[String], after: &[String]) -> String {
    let mut frame = String::new();
    for (row, line) in after.iter().enumerate() {
        if before.get(row) != Some(line) {
            frame.push_str(&format!("\x1b[{};1H{line}\x1b[K", row + 1));
        }
    }
    if after.len() < before.len() {
        frame.push_str(&format!("\x1b[{};1H\x1b[J", after.len() + 1));
    }
    frame
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_changed_is_written_and_the_rest_stays() {
        let mut terminal = vt100::Parser::new(5, 20, 0);
        let mut drawn = Vec::new();
        for shown in ["one\ntwo\nthree", "one\n2\nthree", "one\n2\nthree", "one", "", "a\nb"] {
            let next = lines(shown);
            terminal.process(frame(&drawn, &next).as_bytes());
            drawn = next;
            assert_eq!(terminal.screen().contents(), shown);
        }
        assert_eq!(frame(&lines("a\nb"), &lines("a\nb")), "");
        assert!(!frame(&lines("a\nb"), &lines("a\nc")).contains('a'));
    }
}

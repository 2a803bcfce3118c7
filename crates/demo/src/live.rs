//! Draws lines over the ones that were drawn before, with cursor movements alone.

use terminal::{Line, Size};

/// What stands on the terminal, above the cursor.
#[derive(Debug, Default)]
pub struct Live {
    /// The width of each line.
    drawn: Vec<usize>,
}

impl Live {
    /// What to write so that these lines stand where the ones before stood. A terminal that was
    /// made narrower since has wrapped those: they are counted as they lie now.
    pub fn frame(&mut self, lines: &[Line], size: Size, colour: bool) -> String {
        let width = size.width.max(1);
        let rows: usize = self.drawn.iter().map(|drawn| drawn.div_ceil(width).max(1)).sum();
        // What has scrolled away is out of reach.
        let up = rows.min(size.height.saturating_sub(1));
        let mut frame = String::new();
        if up > 0 {
            frame.push_str(&format!("\x1b[{up}A\r"));
        }
        for line in lines {
            frame.push_str(&line.show(colour));
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.drawn = lines.iter().map(Line::width).collect();
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Story;
    use crate::table::table;

    #[test]
    fn a_frame_goes_over_the_one_before_however_wide_the_terminal_is_by_now() {
        let size = Size { width: 80, height: 24 };
        let lines = table(&Story::default(), 0, size);
        let mut live = Live::default();
        let first = live.frame(&lines, size, false);
        assert!(!first.contains('A') && first.ends_with("\x1b[J"), "{first:?}");
        assert_eq!(lines.len(), 3);
        assert!(live.frame(&lines, size, false).starts_with("\x1b[3A\r"));
        // The first line is 60 wide or so, and lies on more rows now.
        let wide = lines[0].width();
        let narrow = Size { width: 30, height: 24 };
        let rows: usize = lines.iter().map(|line| line.width().div_ceil(30).max(1)).sum();
        assert!(wide > 30 && rows > 3);
        assert!(live.frame(&lines, narrow, false).starts_with(&format!("\x1b[{rows}A\r")));
        let low = Size { width: 80, height: 3 };
        assert!(live.frame(&lines, low, false).starts_with("\x1b[2A\r"));
    }
}

//! How large a terminal is.

/// A terminal, as far as a text has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// Of the terminal that standard output is; the usual size where it does not say.
pub fn size() -> Size {
    let usual = Size { width: 80, height: 24 };
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(usual, |found| {
        let or = |said: u16, usual| if said == 0 { usual } else { usize::from(said) };
        Size { width: or(found.ws_col, usual.width), height: or(found.ws_row, usual.height) }
    })
}

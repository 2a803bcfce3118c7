//! What the daemon cannot do yet, so that no scenario asks it. The list is to become empty: whoever
//! makes one of these true deletes its line.

use crate::troubles::Trouble;

pub const NOT_YET: &[Trouble] = &[];

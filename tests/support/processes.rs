//! What every process of the machine shows of itself while a test runs: its arguments and its variables, looked
//! at all the time, for many live for a moment only.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One program in one process.
pub struct Process {
    pub id: u32,
    /// Who started it.
    pub parent: u32,
    pub arguments: Vec<u8>,
    /// Empty where only root may see them.
    pub variables: Vec<u8>,
}

pub struct Watch {
    over: Arc<AtomicBool>,
    looking: JoinHandle<Vec<Process>>,
}

impl Watch {
    pub fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        Self { over, looking: std::thread::spawn(move || look_until(&ends)) }
    }

    /// All that were seen.
    pub fn end(self) -> Vec<Process> {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}

fn look_until(over: &AtomicBool) -> Vec<Process> {
    // A process may become another program.
    let mut seen: BTreeMap<(u32, Vec<u8>), (u32, Vec<u8>)> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let all = fs::read_dir("/proc").unwrap().flatten();
        for id in all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            // It may have ended.
            let Ok(arguments) = fs::read(format!("/proc/{id}/cmdline")) else { continue };
            let variables = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            seen.insert((id, arguments), (parent_of(id).unwrap_or_default(), variables));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let seen = seen.into_iter();
    seen.map(|((id, arguments), (parent, variables))| Process { id, parent, arguments, variables })
        .collect()
}

fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name, which is in parentheses, and the state.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

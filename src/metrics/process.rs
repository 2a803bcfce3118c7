//! This process, by the names that Prometheus' own clients use. Read from `/proc` (proc(5)); what cannot be
//! read is left out.

use std::fs;

use super::exposition::{Exposition, Kind};

pub fn write(to: &mut Exposition) {
    if let Some((cpu, started)) = times() {
        to.family("process_cpu_seconds", Kind::Counter, "Processor time, user and system.");
        to.counter_of_seconds(cpu);
        to.family("process_start_time_seconds", Kind::Gauge, "Start, in seconds since 1970.");
        to.gauge(&[], started);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = [
        ("VmRSS:", "process_resident_memory_bytes", "Memory in RAM."),
        ("VmSize:", "process_virtual_memory_bytes", "Address space."),
    ];
    for (field, name, help) in memory {
        if let Some(kilobytes) = number_after(&status, field) {
            to.family(name, Kind::Gauge, help);
            to.gauge(&[], kilobytes * 1024.0);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        to.family("process_open_fds", Kind::Gauge, "Open file descriptors.");
        to.gauge(&[], open.count() as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number_after(&limits, "Max open files") {
        to.family("process_max_fds", Kind::Gauge, "Limit of open file descriptors.");
        to.gauge(&[], most);
    }
    if let Some(threads) = number_after(&status, "Threads:") {
        to.family("process_threads", Kind::Gauge, "Threads.");
        to.gauge(&[], threads);
    }
}

fn number_after(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time, and when it started, in seconds.
fn times() -> Option<(f64, f64)> {
    // Linux counts in hundredths for programs, whatever its own clock is (proc_pid_stat(5), USER_HZ).
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let booted = number_after(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    // Fields 14, 15 and 22; the third is the first after the name.
    Some(((ticks(11)? + ticks(12)?) / TICKS, booted + ticks(19)? / TICKS))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_a_start() {
        let mut to = Exposition::new(Format::Prometheus);
        write(&mut to);
        let text = to.finish();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is missing: {text}")).parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") > 2.0);
        assert!(value("process_max_fds") > 2.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!((now - value("process_start_time_seconds")).abs() < 3600.0, "{now} {text}");
    }
}

//! CPU time and memory of another process, from `/proc` (Linux).

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of `/proc/*/stat` per second: `USER_HZ`, which Linux fixes at 100 for user space.
const USER_HZ: f64 = 100.0;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Memory resident now, in bytes.
    pub rss: u64,
    /// Most memory that was ever resident, in bytes.
    pub rss_peak: u64,
}

impl Usage {
    /// Of the process `pid`.
    ///
    /// # Errors
    /// When there is no such process, or no `/proc`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        parse(&stat, &status)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc format"))
    }
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The command name, in parentheses, may hold spaces and parentheses itself. Behind it come
    // the fields from the third on; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Usage {
        cpu: Duration::from_secs_f64(ticks as f64 / USER_HZ),
        rss: kib("VmRSS:")? * 1024,
        rss_peak: kib("VmHWM:")? * 1024,
    })
}

#[cfg(test)]
#[path = "usage_test.rs"]
mod tests;

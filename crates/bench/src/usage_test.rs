//! Reading `/proc`.

use super::*;

#[test]
fn a_command_name_may_hold_anything() {
    let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 1 2 3";
    let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
    let usage = parse(stat, status).unwrap();
    assert_eq!(usage.cpu, Duration::from_secs(3));
    assert_eq!((usage.rss, usage.rss_peak), (1 << 20, 2 << 20));
}

#[test]
fn another_format_is_an_error() {
    assert_eq!(parse("7 (x) S", "VmRSS: 1 kB"), None);
    assert_eq!(parse("", ""), None);
}

#[test]
#[cfg(target_os = "linux")]
fn this_process_has_used_memory() {
    let usage = Usage::of(std::process::id()).unwrap();
    assert!(usage.rss > 0 && usage.rss_peak >= usage.rss);
}

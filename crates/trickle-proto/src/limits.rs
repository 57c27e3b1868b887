//! What a relay allows: every bound in one place, with the status that a breach is answered by.

/// Bounds that a relay keeps. A breach refuses the one request that caused it and touches no
/// other channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one segment; more is answered 413 and ends the segment.
    pub segment_bytes: u64,
    /// Bytes that one channel keeps; older segments leave the ring early to stay within. A
    /// segment that alone needs more is answered 413.
    pub channel_bytes: u64,
    /// Segments of one channel that wait for their first byte; more is answered 429.
    pub waiting_segments: usize,
    /// Channels; one more is answered 503.
    pub channels: usize,
    /// Readers of one channel at once; one more is answered 429.
    pub subscribers: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Bytes of a channel's name; a longer one is answered 414.
    pub name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            channel_bytes: 512 << 20,
            waiting_segments: 16,
            channels: 10_000,
            subscribers: 10_000,
            connections: 19_000,
            name_bytes: 1024,
        }
    }
}

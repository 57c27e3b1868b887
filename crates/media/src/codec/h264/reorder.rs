//! From decode order to display order, by time stamps.

use std::collections::VecDeque;

use crate::frame::VideoFrame;
use crate::time::Timestamp;

/// Most pictures that any H.264 stream holds back (`max_num_reorder_frames`, E.2.1).
const MAX_DEPTH: usize = 16;
/// A stream that states that it reorders, and did not in so many pictures, is no longer waited for.
const CALM: u32 = 64;
/// The same of one that has reordered before.
const CALM_AGAIN: u32 = 512;

/// Holds pictures until none that is shown earlier can come.
///
/// A picture is due when its unit's decoding time has come: whatever is decoded later is shown
/// later still (ISO/IEC 13818-1, 2.7.5). So a stream without reordering, whose two times are
/// equal, is never held back. Where the stream states how far it reorders, no more than that is
/// held. As long as no decoding time was ahead of its picture's, or once one was behind, the times
/// are those of a muxer that does not know better, and what the stream states is held instead.
/// Where all are wrong, the first picture that comes too late is lost and the depth grows by one.
#[derive(Debug)]
pub(super) struct Reorder {
    /// Sorted by presentation time.
    held: VecDeque<VideoFrame>,
    /// Most pictures held.
    most: usize,
    /// What the stream stated when it was opened; 0 where it stated nothing, or nobody asked.
    stated: usize,
    /// A decoding time was ahead of its picture's.
    leads: bool,
    /// A decoding time was behind its picture's.
    lags: bool,
    /// Pictures since the last that did not come in the order in which they are shown.
    in_order: u32,
    /// How many of these make the stream calm.
    calm_after: u32,
    /// Pictures held in any case, learned from the ones that came too late.
    least: usize,
    last: Option<Timestamp>,
}

/// A picture came after one that is shown later than it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLate;

impl Reorder {
    /// `depth`: how many pictures the stream holds back at most, where it says so.
    pub(super) fn new(depth: Option<u32>) -> Self {
        let mut reorder = Self {
            held: VecDeque::new(),
            most: MAX_DEPTH,
            stated: 0,
            leads: false,
            lags: false,
            in_order: 0,
            calm_after: CALM,
            least: 0,
            last: None,
        };
        reorder.set_depth(depth);
        if depth.is_some() {
            reorder.stated = reorder.most;
        }
        reorder
    }

    /// The stream says anew how many pictures it holds back at most.
    pub(super) fn set_depth(&mut self, depth: Option<u32>) {
        let most = depth.and_then(|depth| usize::try_from(depth).ok());
        self.most = most.unwrap_or(MAX_DEPTH).clamp(self.least, MAX_DEPTH);
    }

    fn reordered(&mut self) {
        self.in_order = 0;
        self.calm_after = CALM_AGAIN;
    }

    /// Pictures held whatever their times say.
    fn floor(&self) -> usize {
        let times_tell = self.leads && !self.lags;
        if times_tell || self.in_order >= self.calm_after {
            self.least
        } else {
            self.least.max(self.stated)
        }
    }

    /// Takes the picture of the unit that is decoded at `decoded`, and moves what is due to `out`.
    pub(super) fn push(
        &mut self,
        frame: VideoFrame,
        decoded: Timestamp,
        out: &mut VecDeque<VideoFrame>,
    ) -> Result<(), TooLate> {
        if self.last.is_some_and(|last| frame.pts() < last) {
            self.reordered();
            self.least = (self.least + 1).min(MAX_DEPTH);
            self.most = self.most.max(self.least);
            return Err(TooLate);
        }
        self.leads |= decoded < frame.pts();
        self.lags |= decoded > frame.pts();
        let at = self.held.partition_point(|held| held.pts() <= frame.pts());
        if at == self.held.len() {
            self.in_order = self.in_order.saturating_add(1);
        } else {
            self.reordered();
        }
        self.held.insert(at, frame);
        let floor = self.floor();
        while let Some(first) = self.held.front() {
            let due = first.pts() <= decoded && self.held.len() > floor;
            if !due && self.held.len() <= self.most {
                break;
            }
            self.last = Some(first.pts());
            out.extend(self.held.pop_front());
        }
        Ok(())
    }

    /// Moves everything to `out`: nothing that comes later is shown before it.
    pub(super) fn drain(&mut self, out: &mut VecDeque<VideoFrame>) {
        out.append(&mut self.held);
        self.last = None;
    }
}

#[cfg(test)]
#[path = "reorder_test.rs"]
mod tests;

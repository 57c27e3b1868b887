//! From decode order to display order, by time stamps.

use std::collections::VecDeque;

use crate::frame::VideoFrame;
use crate::time::Timestamp;

/// Most pictures that any H.264 stream holds back (`max_num_reorder_frames`, E.2.1).
const MAX_DEPTH: usize = 16;

/// Holds pictures until none that is shown earlier can come.
///
/// A picture is due when its unit's decoding time has come: whatever is decoded later is shown
/// later still (ISO/IEC 13818-1, 2.7.5). So a stream without reordering, whose two times are
/// equal, is never held back. Where the stream states how far it reorders, no more than that is
/// held. Where either is wrong, the first picture that comes too late is lost and the depth grows
/// by one.
#[derive(Debug)]
pub(super) struct Reorder {
    /// Sorted by presentation time.
    held: VecDeque<VideoFrame>,
    /// Most pictures held.
    most: usize,
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
            least: 0,
            last: None,
        };
        reorder.set_depth(depth);
        reorder
    }

    /// The stream says anew how many pictures it holds back at most.
    pub(super) fn set_depth(&mut self, depth: Option<u32>) {
        let most = depth.and_then(|depth| usize::try_from(depth).ok());
        self.most = most.unwrap_or(MAX_DEPTH).clamp(self.least, MAX_DEPTH);
    }

    /// Takes the picture of the unit that is decoded at `decoded`, and moves what is due to `out`.
    pub(super) fn push(
        &mut self,
        frame: VideoFrame,
        decoded: Timestamp,
        out: &mut VecDeque<VideoFrame>,
    ) -> Result<(), TooLate> {
        if self.last.is_some_and(|last| frame.pts() < last) {
            self.least = (self.least + 1).min(MAX_DEPTH);
            self.most = self.most.max(self.least);
            return Err(TooLate);
        }
        let at = self.held.partition_point(|held| held.pts() <= frame.pts());
        self.held.insert(at, frame);
        while let Some(first) = self.held.front() {
            let due = first.pts() <= decoded && self.held.len() > self.least;
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

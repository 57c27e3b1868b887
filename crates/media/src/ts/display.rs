//! When pictures are shown whose PES packets do not say so: by their order among those that do.

use crate::time::{TimeBase, Timestamp};

/// Steps of the order count from one frame to the next, as nearly all encoders write it.
const USUAL_COUNTS: i64 = 2;

/// Learns from the pictures with a stated time when the others are shown.
#[derive(Debug, Default)]
pub(super) struct DisplayTimes {
    /// Order count and time of the last picture with a stated time since the count began anew.
    anchor: Option<(i64, i64)>,
    /// Ticks of one count.
    pace: Option<i64>,
    /// Time from decoding to showing of a picture at which the count begins anew.
    delay: i64,
}

impl DisplayTimes {
    /// The picture with this count states when it is shown. `restart`: the count begins with it.
    pub(super) fn stated(&mut self, count: i64, restart: bool, pts: Timestamp, dts: Timestamp) {
        let pts = pts.in_base(TimeBase::MPEG);
        if restart {
            self.delay = pts.saturating_sub(dts.in_base(TimeBase::MPEG));
        } else if let Some((earlier, at)) = self.anchor
            && let Some(pace) = pts.saturating_sub(at).checked_div(count - earlier)
            && pace > 0
        {
            self.pace = Some(pace);
        }
        self.anchor = Some((count, pts));
    }

    /// When the picture with this count is shown, which is decoded at `dts`; `step`: ticks of a
    /// frame, where the stream states them.
    pub(super) fn guessed(
        &mut self,
        count: i64,
        restart: bool,
        dts: Timestamp,
        step: Option<i64>,
    ) -> Option<Timestamp> {
        if restart {
            let pts = dts.offset(self.delay);
            self.anchor = Some((count, pts.ticks));
            return Some(pts);
        }
        let (from, at) = self.anchor?;
        let pace = self.pace.or(step.map(|step| step / USUAL_COUNTS))?;
        let ticks = (count - from).checked_mul(pace)?.checked_add(at)?;
        Some(Timestamp::mpeg(ticks))
    }
}

//! One clock for a program: 33-bit timestamps counted on past their wraps.

use super::pes::TIMESTAMP_BITS;

/// A step of more than this is a jump, or damage, until the next timestamp confirms it: 10 s.
pub(super) const MAX_STEP: i64 = 10 * 90_000;

/// Unwraps the timestamps of all streams of a program against one reference, so that audio and
/// video which wrap at different moments agree.
///
/// A timestamp is taken as the number nearest to the reference that has its 33 bits. One wrong
/// timestamp far away does not move the reference; two that agree do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgramClock {
    reference: Option<i64>,
    // A timestamp far from the reference, which the next one may confirm.
    doubtful: Option<i64>,
}

impl ProgramClock {
    /// Counts a 33-bit timestamp on.
    pub(super) fn unwrap(&mut self, timestamp: u64) -> i64 {
        let Some(reference) = self.reference else {
            let time = timestamp as i64;
            self.reference = Some(time);
            return time;
        };
        if let Some(doubtful) = self.doubtful.take() {
            let time = nearest(timestamp, doubtful);
            if time.abs_diff(doubtful) <= MAX_STEP as u64
                && nearest(timestamp, reference).abs_diff(reference) > MAX_STEP as u64
            {
                self.reference = Some(time);
                return time;
            }
        }
        let time = nearest(timestamp, reference);
        if time.abs_diff(reference) <= MAX_STEP as u64 {
            self.reference = Some(time);
        } else {
            self.doubtful = Some(time);
        }
        time
    }

    /// The latest time, for units that state none.
    pub(super) fn latest(&self) -> Option<i64> {
        self.reference
    }
}

fn nearest(timestamp: u64, reference: i64) -> i64 {
    let shift = 64 - TIMESTAMP_BITS;
    // The difference modulo 2^33, as a signed number of 33 bits.
    let difference = (timestamp.wrapping_sub(reference as u64) << shift) as i64 >> shift;
    reference.saturating_add(difference)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WRAP: i64 = 1 << TIMESTAMP_BITS;

    fn unwrapped(times: &[i64]) -> Vec<i64> {
        let mut clock = ProgramClock::default();
        times
            .iter()
            .map(|time| clock.unwrap(time.rem_euclid(WRAP) as u64))
            .collect()
    }

    #[test]
    fn streams_that_wrap_at_different_moments_agree() {
        // Video, audio a little behind, and so on, over the wrap.
        let times = [
            WRAP - 100,
            WRAP - 5_000,
            WRAP + 2_900,
            WRAP - 3_080,
            WRAP + 5_900,
        ];
        assert_eq!(unwrapped(&times), times);
    }

    #[test]
    fn a_stream_that_begins_before_the_wrap_of_another_is_negative() {
        assert_eq!(unwrapped(&[5, WRAP - 3_000]), [5, -3_000]);
    }

    #[test]
    fn one_wrong_timestamp_moves_nothing() {
        // Half a wrap away and a bit: taken as the reference, it would shift all that follow.
        let wrong = 90_000 + WRAP / 2 + 10;
        let times = unwrapped(&[90_000, wrong, 93_000, 96_000]);
        assert_eq!(times[2..], [93_000, 96_000]);
    }

    #[test]
    fn a_jump_that_the_next_timestamp_confirms_is_taken() {
        let far = 90_000 + 4_000_000_000;
        let times = [
            90_000,
            far,
            far + 3_000,
            far + 4_200_000_000,
            far + 4_200_003_000,
        ];
        assert_eq!(unwrapped(&times), times);
    }

    proptest! {
        #[test]
        fn small_steps_are_followed_over_any_number_of_wraps(
            start in 0..WRAP,
            steps in prop::collection::vec(-MAX_STEP / 2..MAX_STEP, 1..200),
        ) {
            let mut time = start;
            let times: Vec<i64> = steps.iter().map(|step| { time += step; time }).collect();
            let expected: Vec<i64> = times.iter().map(|time| time - times[0] + times[0].rem_euclid(WRAP)).collect();
            prop_assert_eq!(unwrapped(&times), expected);
        }
    }
}

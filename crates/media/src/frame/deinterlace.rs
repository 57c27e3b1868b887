//! Two fields to one picture, where they differ.
//!
//! The rows of the top field stay. A sample `c` of the bottom field between `a` above and `b`
//! below stays as well, unless it sticks out of both in the same direction by more than
//! [`COMBING`]: then it belongs to another moment, and becomes their mean, halves rounded up.
//!
//! So what stands still keeps its full sharpness, and a stream that is only called interlaced
//! loses nothing but single rows that stand out; what moves has the sharpness of one field and no
//! combs. The picture shows the moment of its top field. No picture waits for another.

/// How far a sample sticks out where there is a comb: more than noise, less than edges.
const COMBING: i16 = 5;

/// Removes combs from a plane with rows of `row` samples.
pub(super) fn deinterlace(plane: &mut [u8], row: usize) {
    if row == 0 {
        return;
    }
    let mut rest = plane;
    while rest.len() >= 3 * row {
        let (above, after) = rest.split_at_mut(row);
        let (bottom, below) = after.split_at_mut(row);
        for ((c, a), b) in bottom.iter_mut().zip(&*above).zip(&*below) {
            *c = without_comb(*a, *c, *b);
        }
        rest = below;
    }
    if let Some((above, bottom)) = rest.split_at_mut_checked(row) {
        // The last row has nothing below it.
        for (c, a) in bottom.iter_mut().zip(&*above) {
            *c = without_comb(*a, *c, *a);
        }
    }
}

fn without_comb(above: u8, sample: u8, below: u8) -> u8 {
    let (a, c, b) = (i16::from(above), i16::from(sample), i16::from(below));
    let out = (c - a.max(b)).max(a.min(b) - c);
    if out > COMBING {
        ((a + b + 1) / 2) as u8
    } else {
        sample
    }
}

#[cfg(test)]
#[path = "deinterlace_test.rs"]
mod tests;

//! Colour that a stream does not state.

use super::*;

#[test]
fn an_unstated_matrix_is_guessed_from_the_size_once_and_for_all() {
    let hd = ColorDescription::UNSPECIFIED.resolved(1280, 720);
    assert_eq!(hd.yuv_matrix(512, 512), YuvMatrix::Bt709);
    let sd = ColorDescription::UNSPECIFIED.resolved(640, 360);
    assert_eq!(sd.yuv_matrix(1920, 1080), YuvMatrix::Bt601);
}

#[test]
fn a_stated_matrix_stays() {
    assert_eq!(
        ColorDescription::BT601.resolved(1920, 1080),
        ColorDescription::BT601
    );
}

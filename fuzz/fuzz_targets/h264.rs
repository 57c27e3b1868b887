//! Any byte stream is cut into access units without panic, at places that lie in order inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trickle_media::h264::AccessUnitDetector;
use trickle_media::h264::annexb::nal_units;
use trickle_media::h264::pps::Pps;
use trickle_media::h264::sps::Sps;

fuzz_target!(|data: &[u8]| {
    if let Ok(sps) = Sps::parse(data) {
        let params = sps.video_params();
        assert!(params.width <= sps.coded_width && params.height <= sps.coded_height);
    }
    let _ = Pps::parse(data);
    let mut detector = AccessUnitDetector::new();
    let mut last = 0;
    for nal in nal_units(data) {
        if let (Some(boundary), _) = detector.push(nal) {
            assert!(boundary.offset >= last && boundary.offset <= nal.offset);
            last = boundary.offset;
        }
    }
});

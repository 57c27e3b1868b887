//! NVENC, emulated, where it holds pictures back, fails, or gives nothing: frames and pictures keep
//! step, and no input is lost.

use trickle_gpu::CudaBackend;
use trickle_media::frame::Image;
use trickle_media::{CodecError, Timestamp};

use crate::emulated::{MACHINE, Machine};
use crate::encode::{decoded, distance, encode, encoder, frame, picture, settings};

/// A machine whose encoder gives every third picture those before it.
const HOLDS: Machine = Machine {
    settings: "holds-pictures",
    ..MACHINE
};

#[test]
fn an_encoder_that_wants_more_pictures_first_gives_them_all_in_step() {
    HOLDS.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        let (mut units, mut waves) = (Vec::new(), Vec::new());
        for number in 0..8 {
            encoder
                .push(frame(Image::Planar(picture(number)), number))
                .unwrap();
            let before = units.len();
            units.extend(std::iter::from_fn(|| encoder.pull()));
            waves.push(units.len() - before);
        }
        assert_eq!(waves, [0, 0, 3, 0, 0, 3, 0, 0]);
        encoder.flush().unwrap();
        units.extend(std::iter::from_fn(|| encoder.pull()));
        for (number, luma) in decoded(&units).iter().enumerate() {
            assert_eq!(units[number].pts, Timestamp::mpeg(3000 * number as i64));
            let far = distance(luma, picture(number).plane(0));
            assert!(far < 3.0, "picture {number}: {far}");
        }
        assert_eq!(units.len(), 8);
        // A change takes out what is held back, and nothing is lost.
        encoder.push(frame(Image::Planar(picture(8)), 8)).unwrap();
        assert!(encoder.pull().is_none());
        encoder.reconfigure(&settings()).unwrap();
        assert_eq!(encoder.pull().unwrap().pts, Timestamp::mpeg(24_000));
        // One that is let go of with pictures in it gives back its inputs.
        encoder.push(frame(Image::Planar(picture(9)), 9)).unwrap();
    });
}

#[test]
fn an_encoder_that_only_takes_is_broken_before_it_has_all_memory() {
    let machine = Machine {
        settings: "holds-all",
        ..MACHINE
    };
    machine.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        let pushed: Vec<bool> = (0..10)
            .map(|number| {
                encoder
                    .push(frame(Image::Planar(picture(number)), number))
                    .is_ok()
            })
            .collect();
        assert_eq!(pushed, [[true; 8].as_slice(), &[false; 2]].concat());
        // What it has taken is given back with it.
    });
}

#[test]
fn a_picture_that_cannot_be_read_takes_no_other_with_it() {
    let machine = Machine {
        settings: "holds-pictures,second-lock-fails",
        ..MACHINE
    };
    machine.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        for number in 0..5 {
            let pushed = encoder.push(frame(Image::Planar(picture(number)), number));
            assert_eq!(
                pushed.is_err(),
                number == 2,
                "the first three are read with this push"
            );
        }
        encoder.flush().unwrap();
        let times: Vec<i64> = std::iter::from_fn(|| encoder.pull())
            .map(|unit| unit.pts.ticks / 3000)
            .collect();
        // Those around it are there, each at its own time.
        assert_eq!(times, [0, 2, 3, 4]);
    });
}

#[test]
fn an_encoder_that_fails_or_gives_nothing_is_broken_and_keeps_no_input() {
    for settings in ["third-picture-fails", "third-lock-gives-nothing"] {
        let machine = Machine {
            settings,
            ..MACHINE
        };
        machine.run(|| {
            let backend = CudaBackend::open(0).unwrap();
            let mut encoder = encoder(&backend);
            for number in 0..2 {
                encode(&mut encoder, frame(Image::Planar(picture(number)), number));
            }
            let error = encoder
                .push(frame(Image::Planar(picture(2)), 2))
                .unwrap_err();
            assert!(
                matches!(
                    error,
                    CodecError::Broken {
                        backend: "nvenc",
                        ..
                    }
                ),
                "{error}"
            );
            assert!(encoder.pull().is_none());
        });
    }
}

#[test]
fn pictures_that_are_refused_use_no_inputs_up() {
    let machine = Machine {
        settings: "third-picture-fails",
        ..MACHINE
    };
    machine.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        for number in 0..2 {
            encode(&mut encoder, frame(Image::Planar(picture(number)), number));
        }
        // More often than there can be inputs: each is free again.
        for number in 2..14 {
            let pushed = encoder.push(frame(Image::Planar(picture(number)), number));
            let error = pushed.unwrap_err().to_string();
            assert!(error.contains("NV_ENC_ERR_GENERIC"), "{number}: {error}");
        }
    });
}

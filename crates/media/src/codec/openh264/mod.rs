//! H.264 on the CPU: Cisco's OpenH264, built from source.
//!
//! | file | what for |
//! |---|---|
//! | `sys` | the calls into the library, the only unsafe code |
//! | `decoder` | access units to frames |
//! | `unit` | what the library gets to see of an access unit |
//! | `sps`, `rbsp` | parameter sets, adapted on the way in and out |
//! | `reorder` | decode order to display order |
//! | `encoder` | frames to access units |
//! | `source` | frames as the library takes them |

mod decoder;
mod encoder;
mod rbsp;
mod reorder;
mod source;
mod sps;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod testing;
mod unit;

pub(super) use decoder::H264Decoder;
pub(super) use encoder::H264Encoder;

/// Name of the implementation in logs and status.
const NAME: &str = "openh264";

/// Name and version for people, such as `OpenH264 2.6.0`.
pub(super) fn title() -> String {
    format!("OpenH264 {}", sys::version())
}

/// What an operator should know of this build: that it is the slow one.
pub(super) fn slow_build_warning() -> Option<String> {
    let warning = "OpenH264 was built without its assembler code and is two to three times slower: \
                   build with `./run`, or with NASM on the PATH";
    (!sys::has_assembler()).then(|| warning.to_owned())
}

//! H.264 on the CPU: Cisco's OpenH264, built from source.
//!
//! | file | what for |
//! |---|---|
//! | `sys` | the calls into the library, the only unsafe code |
//! | `engine` | decoding: the library behind [`Engine`](super::h264::Engine) |
//! | `sps`, `rbsp` | parameter sets, adapted on the way in and out |
//! | `encoder` | frames to access units |

mod encoder;
mod engine;
mod rbsp;
mod sps;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod testing;

pub(super) use encoder::H264Encoder;
pub(super) use engine::OpenH264;

/// Name of the implementation in logs and status.
const NAME: &str = "openh264";

/// Name and version for people, such as `OpenH264 2.6.0`.
pub(super) fn title() -> String {
    format!("OpenH264 {}", sys::version())
}

/// What an operator should know of this build: that it is a slow one.
pub(super) fn slow_build_warning() -> Option<String> {
    let warning = match sys::assembler() {
        sys::Assembler::Full => return None,
        sys::Assembler::None => {
            "OpenH264 was built without its assembler code and is two to three times slower: \
             build with `./run`, or with NASM on the PATH"
        }
        sys::Assembler::WithoutAvx2 => {
            "OpenH264 was built without its AVX2 code and encodes a quarter slower: build in \
             trickle's repository, or with the environment that its `.cargo/config.toml` sets"
        }
    };
    Some(warning.to_owned())
}

/// Smallest block that is given back at once: a picture of 720p. It is more than what a relay
/// gathers of a segment, again and again, which had better be kept.
const GIVEN_BACK: i32 = 5 << 18;

/// Has the memory of the CPU codecs given back when a stream ends; `false` where there is nothing to
/// be done.
///
/// OpenH264 takes its pictures from the C library's allocator. glibc's keeps blocks of a size that
/// was given back to it before, each thread's apart, so that a worker grows from stream to stream.
/// This is set for the whole process, which is why a program has to ask for it.
pub fn give_memory_back() -> bool {
    sys::map_blocks_from(GIVEN_BACK)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn memory_is_given_back() {
        assert!(super::give_memory_back());
    }

    #[test]
    fn this_repository_builds_the_fast_one() {
        // Without NASM there is another warning, which `./run` prevents.
        assert_ne!(super::sys::assembler(), super::sys::Assembler::WithoutAvx2);
    }
}

//! Runs a test again, in a process that finds the emulator's libraries.

use std::any::type_name_of_val;
use std::ffi::c_char;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which of the driver's libraries a machine has.
pub(crate) const ALL: &[&str] = &["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"];

/// Set in the process that the test really runs in.
const MARK: &str = "TRICKLE_TEST_EMULATED";

/// A machine to run a test on.
pub(crate) struct Machine {
    pub(crate) libraries: &'static [&'static str],
    /// Words of `TRICKLE_EMULATOR`.
    pub(crate) settings: &'static str,
}

/// A machine with a whole driver.
pub(crate) const MACHINE: Machine = Machine {
    libraries: ALL,
    settings: "",
};

impl Machine {
    /// Runs `body`, the whole of a `#[test]`, on this machine. Everything must be let go of at
    /// its end.
    pub(crate) fn run<F: FnOnce()>(self, body: F) {
        if std::env::var_os(MARK).is_some() {
            body();
            assert_eq!(alive(), "", "still alive at the end");
            return;
        }
        // device::probe::a_test::{{closure}}
        let name = type_name_of_val(&body);
        let name = name.trim_end_matches("::{{closure}}");
        let name = name.split_once("::").unwrap().1;
        let folder = self.folder();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("LD_LIBRARY_PATH", &folder)
            .env("TRICKLE_EMULATOR", self.settings)
            .env(MARK, "1")
            .output()
            .unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{name}: {}\n{text}\n{errors}",
            output.status
        );
        assert!(
            text.contains("1 passed"),
            "no test of this name: {name}\n{text}"
        );
    }

    /// A folder with links to the emulator under the libraries' names.
    fn folder(&self) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("driver-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for library in self.libraries {
            std::os::unix::fs::symlink(emulator(), folder.join(library)).unwrap();
        }
        folder
    }
}

/// The emulator as a shared library, which cargo built beside this test.
fn emulator() -> PathBuf {
    let file = std::env::current_exe()
        .unwrap()
        .with_file_name("libtrickle_gpu_emu.so");
    assert!(file.exists(), "{} is missing", file.display());
    file
}

/// What the driver still holds; nothing where there is no driver.
fn alive() -> String {
    type Alive = unsafe extern "C" fn(*mut c_char, i32) -> i32;
    // SAFETY: the emulator, which is loaded already or runs nothing when it is.
    let Ok(library) = (unsafe { libloading::Library::new("libcuda.so.1") }) else {
        return String::new();
    };
    // SAFETY: the function's signature.
    let alive = unsafe { library.get::<Alive>(b"trickleEmulatorAlive") }.unwrap();
    let mut text = vec![0u8; 1 << 16];
    // SAFETY: `text` is as long as said.
    let status = unsafe { alive(text.as_mut_ptr().cast(), 1 << 16) };
    assert_eq!(status, 0);
    let end = text.iter().position(|&byte| byte == 0).unwrap();
    String::from_utf8_lossy(&text[..end]).into_owned()
}

//! Runs a test again, in a process that finds the emulator's libraries.

use std::any::type_name_of_val;
use std::ffi::{c_char, c_int, c_void};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use libloading::Library;

/// Which of the driver's libraries a machine has.
pub(crate) const ALL: &[&str] = &[
    "libcuda.so.1",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-ml.so.1",
];

/// Set in the process that the test really runs in.
const MARK: &str = "TRICKLE_TEST_EMULATED";

/// A machine to run a test on.
pub(crate) struct Machine {
    pub(crate) libraries: &'static [&'static str],
    /// Words of `TRICKLE_EMULATOR`.
    pub(crate) settings: &'static str,
    /// Handles are left behind on purpose.
    pub(crate) abandons: bool,
    /// The signal that ends the process, where one must.
    pub(crate) signal: Option<i32>,
}

/// A machine with a whole driver.
pub(crate) const MACHINE: Machine = Machine {
    libraries: ALL,
    settings: "",
    abandons: false,
    signal: None,
};

impl Machine {
    /// Runs `body`, the whole of a `#[test]`, on this machine. Everything must be let go of at
    /// its end.
    pub(crate) fn run<F: FnOnce()>(self, body: F) {
        if std::env::var_os(MARK).is_some() {
            body();
            if !self.abandons {
                assert_eq!(alive(), "", "still alive at the end");
            }
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
        if let Some(signal) = self.signal {
            assert_eq!(
                output.status.signal(),
                Some(signal),
                "{name}: {text}\n{errors}"
            );
            return;
        }
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

/// Runs `work` with the driver; `None` where there is none.
fn with_driver<T>(work: impl FnOnce(&Library) -> T) -> Option<T> {
    // SAFETY: the emulator: loading it runs nothing.
    let library = unsafe { Library::new("libcuda.so.1") }.ok()?;
    Some(work(&library))
}

/// What the driver still holds; nothing where there is no driver.
pub(crate) fn alive() -> String {
    with_driver(|driver| {
        type Alive = unsafe extern "C" fn(*mut c_char, i32) -> i32;
        // SAFETY: the function's signature.
        let alive = unsafe { driver.get::<Alive>(b"trickleEmulatorAlive") }.unwrap();
        let mut text = vec![0u8; 1 << 16];
        // SAFETY: `text` is as long as said.
        let status = unsafe { alive(text.as_mut_ptr().cast(), 1 << 16) };
        assert_eq!(status, 0);
        let end = text.iter().position(|&byte| byte == 0).unwrap();
        String::from_utf8_lossy(&text[..end]).into_owned()
    })
    .unwrap_or_default()
}

/// The context that is current on this thread; 0 for none.
pub(crate) fn current_context() -> usize {
    with_driver(|driver| {
        type GetCurrent = unsafe extern "C" fn(*mut usize) -> c_int;
        // SAFETY: the function's signature.
        let get = unsafe { driver.get::<GetCurrent>(b"cuCtxGetCurrent") }.unwrap();
        let mut context = 0;
        // SAFETY: `context` is writable.
        unsafe { get(&raw mut context) };
        context
    })
    .unwrap()
}

/// Calls a function that takes nothing.
pub(crate) fn call(name: &str) -> c_int {
    with_driver(|driver| {
        // SAFETY: the caller names such a function.
        let function = unsafe { driver.get::<unsafe extern "C" fn() -> c_int>(name.as_bytes()) };
        // SAFETY: it takes nothing.
        unsafe { function.unwrap()() }
    })
    .unwrap()
}

/// `cuMemcpyDtoHAsync`.
pub(crate) fn download(to: *mut c_void, from: u64, bytes: usize, stream: *mut c_void) -> c_int {
    with_driver(|driver| {
        type Copy = unsafe extern "C" fn(*mut c_void, u64, usize, *mut c_void) -> c_int;
        // SAFETY: the function's signature.
        let copy = unsafe { driver.get::<Copy>(b"cuMemcpyDtoHAsync_v2") }.unwrap();
        // SAFETY: the caller keeps `to` until the stream was synchronised.
        unsafe { copy(to, from, bytes, stream) }
    })
    .unwrap()
}

/// `cuMemsetD8Async`.
pub(crate) fn fill(to: u64, value: u8, bytes: usize, stream: *mut c_void) -> c_int {
    with_driver(|driver| {
        type Fill = unsafe extern "C" fn(u64, u8, usize, *mut c_void) -> c_int;
        // SAFETY: the function's signature.
        let fill = unsafe { driver.get::<Fill>(b"cuMemsetD8Async") }.unwrap();
        // SAFETY: the emulator checks that the memory is there.
        unsafe { fill(to, value, bytes, stream) }
    })
    .unwrap()
}

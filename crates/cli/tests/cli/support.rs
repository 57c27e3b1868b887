//! Runs the binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The binary, with nothing of this process's environment that it reads.
pub fn trickle(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trickle"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("TRICKLE_") || text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    trickle(arguments).output().unwrap()
}

/// Runs it to its end, which must be good, and gives what it printed.
#[track_caller]
pub fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it to its end, which must be this status, and gives what it said about that.
#[track_caller]
pub fn fail(status: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {errors}"
    );
    errors
}

#[track_caller]
pub fn probe(source: &str) -> Value {
    serde_json::from_str(&succeed(&["probe", source, "--json"])).unwrap()
}

/// The stream of a probe's report that is video, or audio.
#[track_caller]
pub fn stream<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let streams = report["streams"].as_array().unwrap();
    streams
        .iter()
        .find(|stream| stream["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {report}"))
}

/// A command that runs in the background until it is dropped.
pub struct Background(Child);

impl Background {
    /// A server, and the URL that it prints once it listens.
    pub fn server(arguments: &[&str]) -> (Self, String) {
        let mut command = trickle(arguments);
        command.stderr(Stdio::null());
        Self::spawn(command)
    }

    /// A server whose other streams are the caller's choice.
    pub fn spawn(mut command: Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line.trim_end().to_owned();
        assert!(url.starts_with("http"), "{url:?}");
        (Self(child), url)
    }

    pub fn start(arguments: &[&str]) -> Self {
        let mut command = trickle(arguments);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// Its process.
    #[cfg(target_os = "linux")]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it says on stderr, if that was to be piped.
    pub fn stderr(&mut self) -> ChildStderr {
        self.0.stderr.take().unwrap()
    }

    /// Sends a signal, by its short name.
    pub fn signal(&self, name: &str) {
        let (flag, id) = (format!("-{name}"), self.0.id().to_string());
        let sent = Command::new("kill").args([flag, id]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub fn wait(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One HTTP request: status line, headers and body as text.
pub fn http(method: &str, url: &str, headers: &str, body: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Posts bytes as one segment.
pub fn post(url: &str, bytes: &[u8]) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: video/mp2t\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    )
    .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The beginning of what a GET is answered, as soon as it comes.
#[cfg(target_os = "linux")]
pub fn first_bytes(url: &str, patience: Duration) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// A directory for one test's files, gone afterwards.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn clip(name: &str) -> String {
    trickle_testkit::clip(name).to_str().unwrap().to_owned()
}

//! What a person sees on stderr: progress that logs and messages do not tear apart.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::error::CliError;

/// How often a bar that shows time is redrawn.
const TICK: Duration = Duration::from_millis(200);

/// The terminal. Clones share it.
#[derive(Clone)]
pub(crate) struct Ui {
    bars: MultiProgress,
    live: bool,
}

impl Ui {
    /// Progress is drawn when stderr is a terminal and nobody asked for quiet.
    pub(crate) fn new(quiet: bool) -> Self {
        let live = !quiet && io::stderr().is_terminal();
        let target = if live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            live,
        }
    }

    /// Whether progress is drawn.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// A line with the time that has passed and a message, for work whose end is not known.
    pub(crate) fn spinner(&self) -> ProgressBar {
        self.bar(
            ProgressBar::no_length(),
            "{spinner} {elapsed_precise} {msg}",
        )
    }

    /// A bar over `length` bytes.
    pub(crate) fn bytes(&self, length: u64) -> ProgressBar {
        self.bar(
            ProgressBar::new(length),
            "{elapsed_precise} [{bar:30}] {percent:>3}% {bytes}/{total_bytes} {msg}",
        )
    }

    /// A bar over `length` milliseconds.
    pub(crate) fn millis(&self, length: u64) -> ProgressBar {
        self.bar(
            ProgressBar::new(length),
            "{elapsed_precise} [{bar:30}] {percent:>3}% {msg}",
        )
    }

    fn bar(&self, bar: ProgressBar, template: &str) -> ProgressBar {
        let bar = self.bars.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        bar
    }

    /// A line for the person, above the bars.
    pub(crate) fn say(&self, line: &str) {
        // A closed stderr leaves nobody to tell.
        drop(self.write(format!("{line}\n").as_bytes()));
    }

    pub(crate) fn report(&self, error: &CliError) {
        self.say(&error.to_string());
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.bars.suspend(|| io::stderr().write_all(bytes))
    }
}

/// Logs go between the bars too.
impl Write for Ui {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Ui {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

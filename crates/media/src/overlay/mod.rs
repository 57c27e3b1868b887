//! The loading overlay: a card with a message, progress and a spinner, drawn into a picture.
//!
//! It is drawn into YUV planes as they are, so that a frame which only waits for its model is
//! never converted. The spinner turns with the time that it is given: viewers see that the stream
//! lives although the model is silent.

mod canvas;
mod text;

use std::time::Duration;

use self::canvas::{Canvas, Rect};
use crate::frame::PlanarImage;
use crate::stream::ColorDescription;

/// Most characters of a message; what is longer is cut, and says so by an ellipsis.
const MAX_MESSAGE: usize = 160;
/// Most lines that a message is laid out over.
const MAX_LINES: usize = 3;
/// How much of the picture behind the card is hidden.
const CARD: f32 = 0.75;
/// Dots of the spinner.
const DOTS: usize = 8;
/// One turn of the spinner.
const TURN: Duration = Duration::from_millis(1200);

/// What viewers are shown instead of, or over, a picture that is not ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    message: String,
    progress: Option<f32>,
}

impl Overlay {
    /// With a message, without progress. At most 160 characters of it are kept.
    pub fn new(message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push_str("...");
        }
        Self {
            message,
            progress: None,
        }
    }

    /// With a progress bar, filled from 0 to 1. What is no number takes the bar away.
    #[must_use]
    pub fn progress(mut self, progress: f32) -> Self {
        self.progress = (!progress.is_nan()).then(|| progress.clamp(0.0, 1.0));
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How far it is, from 0 to 1, where that is known.
    pub fn fraction(&self) -> Option<f32> {
        self.progress
    }

    /// Draws it into the middle of `image`, whose samples are coded as `color` says. `at` is the
    /// picture's time: the spinner stands where it is then.
    ///
    /// Pictures of any size take it; of what there is no room for, the message goes first and the
    /// spinner last.
    pub fn draw(&self, image: &mut PlanarImage, color: ColorDescription, at: Duration) {
        let mut canvas = Canvas::new(image, color);
        let layout = Layout::of(self, canvas.width(), canvas.height());
        canvas.shade(layout.card, CARD);
        spinner(&mut canvas, layout.spinner, at);
        for (line, rect) in &layout.lines {
            text::draw(&mut canvas, line, *rect, layout.cell);
        }
        if let (Some(progress), Some(bar)) = (self.progress, layout.bar) {
            canvas.fill(bar, 0.35, 1.0);
            let filled = Rect {
                width: (bar.width as f32 * progress).round() as usize,
                ..bar
            };
            canvas.fill(filled, 1.0, 1.0);
        }
    }
}

/// Where everything stands.
struct Layout<'a> {
    card: Rect,
    spinner: Rect,
    /// Side of a character's square.
    cell: usize,
    lines: Vec<(&'a str, Rect)>,
    bar: Option<Rect>,
}

impl<'a> Layout<'a> {
    fn of(overlay: &'a Overlay, width: usize, height: usize) -> Self {
        // Some forty characters fill a line, and text stays in proportion on portrait screens.
        let cell = (width.min(height * 16 / 9) / 44).max(6);
        let pad = cell;
        let inner = (width * 9 / 10).saturating_sub(2 * pad);
        let spin = (3 * cell).min(width).min(height);
        let mut lines = text::wrap(&overlay.message, inner / cell, MAX_LINES);
        let mut bar_height = if overlay.progress.is_some() {
            (cell / 2).max(2)
        } else {
            0
        };
        let line_height = cell * 3 / 2;
        let needed = |lines: usize, bar: usize| {
            let gap = |there: bool| if there { pad } else { 0 };
            2 * pad + spin + gap(lines > 0) + lines * line_height + gap(bar > 0) + bar
        };
        while needed(lines.len(), bar_height) > height && lines.pop().is_some() {}
        if needed(0, bar_height) > height || inner < 2 * cell {
            bar_height = 0;
            lines.clear();
        }
        let longest = lines.iter().map(|line| line.chars().count()).max();
        let text_width = longest.unwrap_or(0) * cell;
        // Wide enough for the bar to be read, no wider than it must be.
        let content = text_width.max(spin).max(if bar_height > 0 {
            inner.min(20 * cell)
        } else {
            0
        });
        let card = Rect::centred(
            width,
            height,
            content + 2 * pad,
            needed(lines.len(), bar_height),
        );
        let mut y = card.y + (card.height.saturating_sub(needed(lines.len(), bar_height))) / 2;
        y += pad.min(card.height.saturating_sub(spin) / 2);
        let row = |y: usize, row_width: usize, row_height: usize| Rect {
            x: (width.saturating_sub(row_width)) / 2,
            y,
            width: row_width,
            height: row_height,
        };
        let spinner = row(y, spin, spin);
        y += spin + if lines.is_empty() { 0 } else { pad };
        let lines = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| {
                let rect = row(
                    y + index * line_height + (line_height - cell) / 2,
                    line.chars().count() * cell,
                    cell,
                );
                (line, rect)
            })
            .collect::<Vec<_>>();
        y += lines.len() * line_height + pad;
        let bar = (bar_height > 0).then(|| row(y, content, bar_height));
        Self {
            card,
            spinner,
            cell,
            lines,
            bar,
        }
    }
}

/// Dots on a circle, of which the brightest goes round.
fn spinner(canvas: &mut Canvas<'_>, area: Rect, at: Duration) {
    let side = area.width.min(area.height) as f32;
    let (x, y) = (
        area.x as f32 + area.width as f32 / 2.0,
        area.y as f32 + area.height as f32 / 2.0,
    );
    let dot = (side / 10.0).max(0.5);
    let radius = side / 2.0 - dot;
    let turn = (at.as_secs_f64() / TURN.as_secs_f64()).fract() as f32;
    for index in 0..DOTS {
        let place = index as f32 / DOTS as f32;
        // How long ago the brightest was here, in turns.
        let age = (turn - place).rem_euclid(1.0);
        let angle = std::f32::consts::TAU * place;
        canvas.disc(
            (x + radius * angle.sin(), y - radius * angle.cos()),
            dot,
            1.0 - 0.8 * age,
        );
    }
}

#[cfg(test)]
#[path = "../overlay_test.rs"]
mod tests;

//! Text from an 8×8 bitmap font, smoothed to any size.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

use super::canvas::{Canvas, Rect};

/// Side of a glyph.
const GLYPH: usize = 8;
/// What stands for a character that the font lacks.
const UNKNOWN: char = '?';

/// Breaks `text` into at most `lines` lines of at most `columns` characters: between words where
/// that goes. What does not fit is left out.
pub(super) fn wrap(text: &str, columns: usize, lines: usize) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while columns > 0 && !rest.is_empty() && out.len() < lines {
        let cut = rest
            .char_indices()
            .nth(columns)
            .map_or(rest.len(), |(at, _)| at);
        let (head, _) = rest.split_at(cut);
        let next = rest.get(cut..).and_then(|tail| tail.chars().next());
        let end = match (head.find('\n'), next) {
            (Some(at), _) => at,
            (None, None) => cut,
            (None, Some(next)) if next.is_whitespace() => cut,
            (None, Some(_)) => head.rfind(char::is_whitespace).unwrap_or(cut),
        };
        let (line, tail) = rest.split_at(end);
        out.push(line.trim());
        rest = tail.trim_start();
    }
    out
}

/// Draws one line from the left of `rect` on, in squares of `cell` samples.
pub(super) fn draw(canvas: &mut Canvas<'_>, line: &str, rect: Rect, cell: usize) {
    for (index, character) in line.chars().enumerate() {
        let bitmap = glyph(character);
        let left = rect.x + index * cell;
        for y in 0..cell {
            for x in 0..cell {
                let strength = coverage(&bitmap, x, y, cell);
                if strength > 0.0 {
                    canvas.blend_at(left + x, rect.y + y, strength);
                }
            }
        }
    }
}

fn glyph(character: char) -> [u8; GLYPH] {
    let find = |character| {
        BASIC_FONTS
            .get(character)
            .or_else(|| LATIN_FONTS.get(character))
    };
    find(character)
        .or_else(|| find(UNKNOWN))
        .unwrap_or_default()
}

/// How much of a sample the glyph covers: the bitmap between its dots' centres, with the slope
/// made steep, so that slants and rounds come out smooth rather than in steps.
fn coverage(bitmap: &[u8; GLYPH], x: usize, y: usize, cell: usize) -> f32 {
    let scale = GLYPH as f32 / cell as f32;
    let place = |at: usize| (at as f32 + 0.5) * scale - 0.5;
    let (px, py) = (place(x), place(y));
    let (fx, fy) = (px - px.floor(), py - py.floor());
    let (column, row) = (px.floor() as i32, py.floor() as i32);
    let dot = |column: i32, row: i32| {
        let bits = usize::try_from(row).ok().and_then(|row| bitmap.get(row));
        let set =
            (0..GLYPH as i32).contains(&column) && bits.is_some_and(|bits| bits >> column & 1 == 1);
        f32::from(u8::from(set))
    };
    let top = dot(column, row) * (1.0 - fx) + dot(column + 1, row) * fx;
    let bottom = dot(column, row + 1) * (1.0 - fx) + dot(column + 1, row + 1) * fx;
    let value = top * (1.0 - fy) + bottom * fy;
    ((value - 0.5) * 2.5 + 0.5).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("Loading the model", 9, 3), ["Loading", "the model"]);
        assert_eq!(wrap("Loading the model", 7, 2), ["Loading", "the"]);
        assert_eq!(wrap("incomprehensible", 6, 9), ["incomp", "rehens", "ible"]);
        assert_eq!(wrap("one\ntwo", 20, 3), ["one", "two"]);
        assert_eq!(wrap("größer als", 6, 3), ["größer", "als"]);
        assert_eq!(wrap("  ", 6, 3), [""; 0]);
        assert_eq!(wrap("text", 0, 3), [""; 0]);
    }

    #[test]
    fn characters_without_a_glyph_are_question_marks() {
        assert_eq!(glyph('漢'), glyph('?'));
        assert_ne!(glyph('ß'), glyph('?'));
        assert_ne!(glyph('a'), glyph('b'));
    }
}

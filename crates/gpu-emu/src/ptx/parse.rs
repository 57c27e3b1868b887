//! Reads PTX text, as NVRTC writes it: one statement a line.

use super::decode::Body;
use super::error::{ParseError, Problem};
use super::isa::{Instr, Op};

/// The newest PTX that every supported driver loads, as (major, minor).
const NEWEST_VERSION: (u32, u32) = (6, 3);
/// The oldest architecture supported: code for it runs on all later ones.
const NEWEST_TARGET: u32 = 75;

/// A PTX module: its kernels.
#[derive(Clone, Debug)]
pub struct Module {
    kernels: Vec<Kernel>,
}

/// A kernel, decoded.
#[derive(Clone, Debug)]
pub struct Kernel {
    name: String,
    params: Vec<Param>,
    pub(super) registers: usize,
    pub(super) code: Vec<Instr>,
}

/// Where a parameter lies among the bytes of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// First byte.
    pub offset: usize,
    /// Length.
    pub bytes: usize,
}

impl Module {
    /// Decodes a module.
    ///
    /// # Errors
    /// [`ParseError`] names the first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut lines = Lines::new(text);
        let mut kernels = Vec::new();
        let mut header = [false; 3];
        while let Some((line, text)) = lines.next_code() {
            let refuse = |problem| refuse(line, text, problem);
            let (directive, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            match directive {
                ".version" => header[0] = version_fits(rest),
                ".target" => header[1] = target_fits(rest),
                ".address_size" => header[2] = rest.trim() == "64",
                ".visible" if header == [true; 3] => {
                    let name = rest
                        .trim()
                        .strip_prefix(".entry")
                        .and_then(|name| name.trim().strip_suffix('('))
                        .ok_or_else(|| refuse(Problem::Directive))?;
                    kernels.push(kernel(name.trim(), &mut lines)?);
                }
                ".visible" => return Err(refuse(Problem::Header)),
                _ => return Err(refuse(Problem::Directive)),
            }
        }
        Ok(Self { kernels })
    }

    /// All kernels, in the order of the text.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The kernel of that name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }
}

impl Kernel {
    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parameters, in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Bytes of all parameters.
    pub fn param_bytes(&self) -> usize {
        self.params
            .last()
            .map_or(0, |last| last.offset + last.bytes)
    }
}

fn version_fits(text: &str) -> bool {
    let numbers = text.trim().split_once('.');
    let version = numbers.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    version.is_some_and(|version: (u32, u32)| version <= NEWEST_VERSION)
}

fn target_fits(text: &str) -> bool {
    let number = text.trim().strip_prefix("sm_").map(str::parse::<u32>);
    matches!(number, Some(Ok(number)) if number <= NEWEST_TARGET)
}

fn refuse(line: u32, text: &str, problem: Problem) -> ParseError {
    ParseError {
        line,
        text: text.to_owned(),
        problem,
    }
}

/// Lines that are neither empty nor comment, with their numbers.
struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    last: u32,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: text.lines().enumerate(),
            last: 0,
        }
    }

    fn next_code(&mut self) -> Option<(u32, &'a str)> {
        for (index, line) in self.lines.by_ref() {
            let code = line.split_once("//").map_or(line, |(code, _)| code).trim();
            self.last = index as u32 + 1;
            if !code.is_empty() {
                return Some((self.last, code));
            }
        }
        None
    }

    fn expect_code(&mut self) -> Result<(u32, &'a str), ParseError> {
        let line = self.last;
        self.next_code()
            .ok_or_else(|| refuse(line, "", Problem::Unfinished))
    }
}

fn kernel(name: &str, lines: &mut Lines<'_>) -> Result<Kernel, ParseError> {
    let mut body = Body::default();
    let mut params = Vec::new();
    let mut end = 0;
    loop {
        let (line, text) = lines.expect_code()?;
        if text == ")" {
            break;
        }
        let (name, param) = param(text, end).ok_or_else(|| refuse(line, text, Problem::Param))?;
        end = param.offset + param.bytes;
        params.push(param);
        body.params.insert(name.to_owned(), param);
    }
    loop {
        let (line, text) = lines.expect_code()?;
        match text {
            "{" => {}
            "}" => break,
            _ => body
                .statement(line, text)
                .map_err(|problem| refuse(line, text, problem))?,
        }
    }
    for (at, label, line) in std::mem::take(&mut body.branches) {
        let target = body.labels.get(&label);
        let target = *target.ok_or_else(|| refuse(line, &label, Problem::Label))?;
        body.code[at].op = Op::Branch(target);
    }
    Ok(Kernel {
        name: name.to_owned(),
        params,
        registers: body.registers.len(),
        code: body.code,
    })
}

/// `.param .align 8 .b8 name[32]` or `.param .u64 name`, placed after `end`.
fn param(text: &str, end: usize) -> Option<(&str, Param)> {
    let mut words = text.trim_end_matches(',').split_whitespace();
    (words.next()? == ".param").then_some(())?;
    let mut word = words.next()?;
    let mut align = None;
    if word == ".align" {
        align = Some(words.next()?.parse().ok()?);
        word = words.next()?;
    }
    let name = words.next()?;
    let size = match word {
        ".b8" | ".u8" => 1,
        ".u16" => 2,
        ".u32" | ".s32" | ".b32" | ".f32" => 4,
        ".u64" | ".s64" | ".b64" => 8,
        _ => return None,
    };
    let (name, count) = match name.split_once('[') {
        Some((name, count)) => (name, count.strip_suffix(']')?.parse().ok()?),
        None => (name, 1usize),
    };
    let offset = end.next_multiple_of(align.unwrap_or(size));
    let bytes = size.checked_mul(count)?;
    Some((name, Param { offset, bytes }))
}

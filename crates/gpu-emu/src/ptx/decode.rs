//! Decodes the statements of a kernel's body.

use std::collections::HashMap;

use super::error::Problem;
use super::isa::{
    Compare, FloatFn, FloatOp, Instr, Int, IntOp, Op, Operand, Reg, Special, Src, mask,
};
use super::parse::Param;

/// What a register can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Class {
    Predicate,
    Bits(u32),
    Float,
}

/// A kernel while it is read.
#[derive(Default)]
pub(super) struct Body {
    pub(super) params: HashMap<String, Param>,
    pub(super) registers: HashMap<String, (Reg, Class)>,
    pub(super) labels: HashMap<String, usize>,
    /// Branches, with the label each names.
    pub(super) branches: Vec<(usize, String, u32)>,
    pub(super) code: Vec<Instr>,
}

impl Body {
    pub(super) fn statement(&mut self, line: u32, text: &str) -> Result<(), Problem> {
        if let Some(label) = text.strip_suffix(':') {
            let earlier = self.labels.insert(label.to_owned(), self.code.len());
            return earlier.map_or(Ok(()), |_| Err(Problem::Label));
        }
        let text = text.strip_suffix(';').ok_or(Problem::Operands)?;
        if let Some(declaration) = text.strip_prefix(".reg") {
            return self.declare(declaration);
        }
        if text.starts_with('.') {
            // How often a loop is unrolled changes nothing here.
            let pragma = text.starts_with(".pragma") && text.contains("\"nounroll\"");
            return if pragma {
                Ok(())
            } else {
                Err(Problem::Directive)
            };
        }
        let (guard, text) = match text.strip_prefix('@') {
            None => (None, text),
            Some(text) => {
                let (name, text) = text
                    .split_once(char::is_whitespace)
                    .ok_or(Problem::Operands)?;
                let (name, wanted) = name
                    .strip_prefix('!')
                    .map_or((name, true), |name| (name, false));
                (Some((self.register(name, Class::Predicate)?, wanted)), text)
            }
        };
        let (opcode, operands) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text.trim(), ""));
        let operands: Vec<&str> = split_operands(operands);
        let op = self.op(line, opcode, &operands)?;
        self.code.push(Instr { line, guard, op });
        Ok(())
    }

    /// `.f32 %f<10>`: %f0 to %f9.
    fn declare(&mut self, text: &str) -> Result<(), Problem> {
        let (class, names) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or(Problem::Operands)?;
        let class = match class {
            ".pred" => Class::Predicate,
            ".b16" => Class::Bits(16),
            ".b32" => Class::Bits(32),
            ".b64" => Class::Bits(64),
            ".f32" => Class::Float,
            _ => return Err(Problem::RegisterType),
        };
        let (prefix, count) = names.trim().split_once('<').ok_or(Problem::Operands)?;
        let count: u16 = count
            .strip_suffix('>')
            .and_then(|count| count.parse().ok())
            .ok_or(Problem::Operands)?;
        for index in 0..count {
            let register = u16::try_from(self.registers.len()).map_err(|_| Problem::Register)?;
            self.registers
                .insert(format!("{prefix}{index}"), (register, class));
        }
        Ok(())
    }

    fn op(&mut self, line: u32, opcode: &str, operands: &[&str]) -> Result<Op, Problem> {
        let parts: Vec<&str> = opcode.split('.').collect();
        let op = match (parts.as_slice(), operands) {
            (["ret"], []) => Op::Return,
            (["bra"] | ["bra", "uni"], [label]) => {
                self.branches
                    .push((self.code.len(), (*label).to_owned(), line));
                Op::Branch(usize::MAX)
            }
            (["ld", "param", ty], [dst, place]) => self.load_param(ty, &[dst], place)?,
            (["ld", "param", "v2", ty], [dst, place]) => {
                let pair = dst.strip_prefix('{').and_then(|dst| dst.strip_suffix('}'));
                let (a, b) = pair
                    .and_then(|pair| pair.split_once(','))
                    .ok_or(Problem::Operands)?;
                self.load_param(ty, &[a.trim(), b.trim()], place)?
            }
            (["ld", "global", ty], [dst, place]) => {
                let (base, offset) = self.address(place)?;
                let (ty, dst) = (memory_type(ty)?, self.wide_enough(dst, ty)?);
                Op::Load {
                    ty,
                    dst,
                    base,
                    offset,
                }
            }
            (["st", "global", ty], [place, value]) => {
                let (base, offset) = self.address(place)?;
                let bytes = memory_type(ty)?.bits as usize / 8;
                let value = Src::Reg(self.wide_enough(value, ty)?);
                Op::Store {
                    bytes,
                    value,
                    base,
                    offset,
                }
            }
            (["mov", "f32"], [dst, a]) => self.float_fn(FloatFn::Move, dst, a)?,
            (["mov", "pred"], _) => return Err(Problem::Opcode),
            (["mov", ty], [dst, a]) => self.moved(bit_type(ty)?, bit_type(ty)?, dst, a)?,
            (["cvta", "to", "global", "u64"], [dst, a]) => {
                self.moved(bit_type("u64")?, bit_type("u64")?, dst, a)?
            }
            (["cvt", rounding @ .., to, from], [dst, a]) => {
                self.convert(rounding, to, from, dst, a)?
            }
            (["abs", "f32"], [dst, a]) => self.float_fn(FloatFn::Abs, dst, a)?,
            (["neg", "f32"], [dst, a]) => self.float_fn(FloatFn::Neg, dst, a)?,
            (["rcp", "rn", "f32"], [dst, a]) => self.float_fn(FloatFn::Reciprocal, dst, a)?,
            (["add", "rn", "f32"], [dst, a, b]) => self.float(FloatOp::Add, dst, a, b)?,
            (["sub", "rn", "f32"], [dst, a, b]) => self.float(FloatOp::Sub, dst, a, b)?,
            (["mul", "rn", "f32"], [dst, a, b]) => self.float(FloatOp::Mul, dst, a, b)?,
            (["div", "rn", "f32"], [dst, a, b]) => self.float(FloatOp::Div, dst, a, b)?,
            (["min", "f32"], [dst, a, b]) => self.float(FloatOp::Min, dst, a, b)?,
            (["max", "f32"], [dst, a, b]) => self.float(FloatOp::Max, dst, a, b)?,
            (["mul", "wide", ty], [dst, a, b]) => {
                let ty = number_type(ty)?;
                Op::MulWide {
                    ty,
                    dst: self.register(dst, Class::Bits(2 * ty.bits))?,
                    a: self.integer_src(ty, a)?,
                    b: self.integer_src(ty, b)?,
                }
            }
            (["mad", "lo", ty], [dst, a, b, c]) => {
                let ty = number_type(ty)?;
                Op::MulAdd {
                    ty,
                    dst: self.register(dst, Class::Bits(ty.bits))?,
                    a: self.integer_src(ty, a)?,
                    b: self.integer_src(ty, b)?,
                    c: self.integer_src(ty, c)?,
                }
            }
            (["setp", compare, ty], [dst, a, b]) => self.compare(compare, ty, dst, a, b)?,
            (["selp", ty], [dst, a, b, when]) => {
                let when = self.register(when, Class::Predicate)?;
                let (dst, a, b) = match *ty {
                    "f32" => (
                        self.register(dst, Class::Float)?,
                        self.float_src(a)?,
                        self.float_src(b)?,
                    ),
                    _ => {
                        let ty = bit_type(ty)?;
                        (
                            self.register(dst, Class::Bits(ty.bits))?,
                            self.integer_src(ty, a)?,
                            self.integer_src(ty, b)?,
                        )
                    }
                };
                Op::Select { dst, a, b, when }
            }
            (["not", ty], [dst, a]) => {
                let (bits, class) = logic_type(ty)?;
                let dst = self.register(dst, class)?;
                let a = Src::Reg(self.register(a, class)?);
                Op::Not { bits, dst, a }
            }
            ([name @ ("and" | "or" | "xor"), ty], [dst, a, b]) => {
                let op = match *name {
                    "and" => IntOp::And,
                    "or" => IntOp::Or,
                    _ => IntOp::Xor,
                };
                self.logic(op, ty, dst, a, b)?
            }
            (["shl", ty], [dst, a, b]) => self.shift(IntOp::Shl, bit_type(ty)?, dst, a, b)?,
            (["shr", ty], [dst, a, b]) => self.shift(IntOp::Shr, bit_type(ty)?, dst, a, b)?,
            (["mul", "lo", ty], [dst, a, b]) => self.integer(IntOp::Mul, ty, dst, a, b)?,
            (["add", ty], [dst, a, b]) => self.integer(IntOp::Add, ty, dst, a, b)?,
            (["sub", ty], [dst, a, b]) => self.integer(IntOp::Sub, ty, dst, a, b)?,
            (["min", ty], [dst, a, b]) => self.integer(IntOp::Min, ty, dst, a, b)?,
            (["max", ty], [dst, a, b]) => self.integer(IntOp::Max, ty, dst, a, b)?,
            _ => return Err(Problem::Opcode),
        };
        Ok(op)
    }

    fn load_param(&self, ty: &str, dst: &[&str], place: &str) -> Result<Op, Problem> {
        let (name, offset) = split_place(place)?;
        let param = self.params.get(name).ok_or(Problem::Param)?;
        let bytes = memory_type(ty)?.bits as usize / 8;
        let offset = usize::try_from(offset).map_err(|_| Problem::Param)?;
        if offset + bytes * dst.len() > param.bytes {
            return Err(Problem::Param);
        }
        Ok(Op::LoadParam {
            bytes,
            dst: dst
                .iter()
                .map(|dst| self.wide_enough(dst, ty))
                .collect::<Result<_, _>>()?,
            offset: param.offset + offset,
        })
    }

    fn convert(
        &self,
        rounding: &[&str],
        to: &str,
        from: &str,
        dst: &str,
        a: &str,
    ) -> Result<Op, Problem> {
        Ok(match (rounding, to, from) {
            (["sat"], "f32", "f32") => self.float_fn(FloatFn::Saturate, dst, a)?,
            (["rpi"], "f32", "f32") => self.float_fn(FloatFn::Ceil, dst, a)?,
            (["rmi"], "f32", "f32") => self.float_fn(FloatFn::Floor, dst, a)?,
            (["rni"], "f32", "f32") => self.float_fn(FloatFn::Even, dst, a)?,
            (["rn"], "f32", from) => {
                let from = number_type(from)?;
                Op::IntToFloat {
                    from,
                    dst: self.register(dst, Class::Float)?,
                    a: self.integer_src(from, a)?,
                }
            }
            ([rounding @ ("rni" | "rzi")], "u32" | "s32", "f32") => {
                let to = number_type(to)?;
                Op::FloatToInt {
                    to,
                    nearest: *rounding == "rni",
                    dst: self.register(dst, Class::Bits(to.bits))?,
                    a: self.float_src(a)?,
                }
            }
            ([], to, from) => self.moved(number_type(from)?, number_type(to)?, dst, a)?,
            _ => return Err(Problem::Opcode),
        })
    }

    fn moved(&self, from: Int, to: Int, dst: &str, a: &str) -> Result<Op, Problem> {
        Ok(Op::Move {
            from,
            to: to.bits,
            dst: self.register(dst, Class::Bits(to.bits))?,
            a: self.integer_src(from, a)?,
        })
    }

    fn integer(&self, op: IntOp, ty: &str, dst: &str, a: &str, b: &str) -> Result<Op, Problem> {
        let ty = number_type(ty)?;
        Ok(Op::Int {
            op,
            ty,
            dst: self.register(dst, Class::Bits(ty.bits))?,
            a: self.integer_src(ty, a)?,
            b: self.integer_src(ty, b)?,
        })
    }

    /// The distance of a shift is a `u32`, whatever is shifted.
    fn shift(&self, op: IntOp, ty: Int, dst: &str, a: &str, b: &str) -> Result<Op, Problem> {
        Ok(Op::Int {
            op,
            ty,
            dst: self.register(dst, Class::Bits(ty.bits))?,
            a: self.integer_src(ty, a)?,
            b: self.integer_src(number_type("u32")?, b)?,
        })
    }

    fn logic(&self, op: IntOp, ty: &str, dst: &str, a: &str, b: &str) -> Result<Op, Problem> {
        let (bits, class) = logic_type(ty)?;
        let ty = Int {
            bits,
            signed: false,
        };
        let src = |text| match class {
            Class::Bits(_) => self.integer_src(ty, text),
            _ => self.register(text, class).map(Src::Reg),
        };
        Ok(Op::Int {
            op,
            ty,
            dst: self.register(dst, class)?,
            a: src(a)?,
            b: src(b)?,
        })
    }

    fn float(&self, op: FloatOp, dst: &str, a: &str, b: &str) -> Result<Op, Problem> {
        Ok(Op::Float {
            op,
            dst: self.register(dst, Class::Float)?,
            a: self.float_src(a)?,
            b: self.float_src(b)?,
        })
    }

    fn float_fn(&self, op: FloatFn, dst: &str, a: &str) -> Result<Op, Problem> {
        Ok(Op::FloatFn {
            op,
            dst: self.register(dst, Class::Float)?,
            a: self.float_src(a)?,
        })
    }

    fn compare(&self, compare: &str, ty: &str, dst: &str, a: &str, b: &str) -> Result<Op, Problem> {
        let op = match compare {
            "eq" => Compare::Eq,
            "ne" => Compare::Ne,
            "lt" => Compare::Lt,
            "le" => Compare::Le,
            "gt" => Compare::Gt,
            "ge" => Compare::Ge,
            _ => return Err(Problem::Opcode),
        };
        let (ty, a, b) = if ty == "f32" {
            (Operand::Float, self.float_src(a)?, self.float_src(b)?)
        } else {
            let ty = number_type(ty)?;
            (
                Operand::Int(ty),
                self.integer_src(ty, a)?,
                self.integer_src(ty, b)?,
            )
        };
        let dst = self.register(dst, Class::Predicate)?;
        Ok(Op::Compare { op, ty, dst, a, b })
    }

    fn register(&self, name: &str, class: Class) -> Result<Reg, Problem> {
        match self.registers.get(name) {
            Some(&(register, found)) if found == class => Ok(register),
            Some(_) => Err(Problem::RegisterType),
            None => Err(Problem::Register),
        }
    }

    /// A register for a load or store, which may be wider than what is moved.
    fn wide_enough(&self, name: &str, ty: &str) -> Result<Reg, Problem> {
        let bits = memory_type(ty)?.bits;
        match self.registers.get(name) {
            Some(&(register, Class::Bits(found))) if found >= bits && ty != "f32" => Ok(register),
            Some(&(register, Class::Float)) if ty == "f32" => Ok(register),
            Some(_) => Err(Problem::RegisterType),
            None => Err(Problem::Register),
        }
    }

    fn integer_src(&self, ty: Int, text: &str) -> Result<Src, Problem> {
        if let Some(special) = special(text) {
            return if ty.bits == 32 {
                Ok(Src::Special(special))
            } else {
                Err(Problem::RegisterType)
            };
        }
        if text.starts_with('%') {
            return self.register(text, Class::Bits(ty.bits)).map(Src::Reg);
        }
        let value: i128 = text.parse().map_err(|_| Problem::Operands)?;
        let fits = (-(1i128 << (ty.bits - 1))..1i128 << ty.bits).contains(&value);
        fits.then_some(Src::Imm(value as u64 & mask(ty.bits)))
            .ok_or(Problem::Operands)
    }

    /// A register, or `0f` and the eight hexadecimal digits of a value.
    fn float_src(&self, text: &str) -> Result<Src, Problem> {
        match text.strip_prefix("0f") {
            Some(digits) => u32::from_str_radix(digits, 16)
                .map(|bits| Src::Imm(u64::from(bits)))
                .map_err(|_| Problem::Operands),
            None => self.register(text, Class::Float).map(Src::Reg),
        }
    }

    /// `[%rd1+4]`.
    fn address(&self, place: &str) -> Result<(Reg, i64), Problem> {
        let (base, offset) = split_place(place)?;
        Ok((self.register(base, Class::Bits(64))?, offset))
    }
}

/// Operands between commas, those within braces together.
fn split_operands(text: &str) -> Vec<&str> {
    let mut operands = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                operands.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        operands.push(last);
    }
    operands
}

/// `[base+offset]` or `[base]`.
fn split_place(place: &str) -> Result<(&str, i64), Problem> {
    let inner = place
        .strip_prefix('[')
        .and_then(|place| place.strip_suffix(']'))
        .ok_or(Problem::Operands)?;
    match inner.split_once('+') {
        Some((base, offset)) => Ok((base, offset.parse().map_err(|_| Problem::Operands)?)),
        None => Ok((inner, 0)),
    }
}

fn special(text: &str) -> Option<Special> {
    let (name, axis) = text.split_once('.')?;
    let axis = match axis {
        "x" => 0,
        "y" => 1,
        "z" => 2,
        _ => return None,
    };
    Some(match name {
        "%tid" => Special::Thread(axis),
        "%ntid" => Special::Threads(axis),
        "%ctaid" => Special::Block(axis),
        "%nctaid" => Special::Blocks(axis),
        _ => return None,
    })
}

/// Types with a sign.
fn number_type(name: &str) -> Result<Int, Problem> {
    let (signed, bits) = match name {
        "u16" => (false, 16),
        "s16" => (true, 16),
        "u32" => (false, 32),
        "s32" => (true, 32),
        "u64" => (false, 64),
        "s64" => (true, 64),
        _ => return Err(Problem::Opcode),
    };
    Ok(Int { bits, signed })
}

/// Types with or without a sign.
fn bit_type(name: &str) -> Result<Int, Problem> {
    let bits = match name {
        "b16" => 16,
        "b32" => 32,
        "b64" => 64,
        _ => return number_type(name),
    };
    Ok(Int {
        bits,
        signed: false,
    })
}

/// Types of `and`, `or`, `not`; a predicate is one bit.
fn logic_type(name: &str) -> Result<(u32, Class), Problem> {
    match name {
        "pred" => Ok((1, Class::Predicate)),
        "b16" | "b32" | "b64" => bit_type(name).map(|ty| (ty.bits, Class::Bits(ty.bits))),
        _ => Err(Problem::Opcode),
    }
}

/// Types of loads and stores: zero-extended.
fn memory_type(name: &str) -> Result<Int, Problem> {
    let bits = match name {
        "u8" | "b8" => 8,
        "u16" | "b16" => 16,
        "u32" | "b32" | "f32" => 32,
        "u64" | "b64" => 64,
        _ => return Err(Problem::Opcode),
    };
    Ok(Int {
        bits,
        signed: false,
    })
}

//! Runs a kernel: thread after thread, each until it returns.

use std::fmt;

use super::error::{Access, LaunchError};
use super::isa::{Compare, FloatFn, FloatOp, Int, IntOp, Op, Operand, Special, Src, mask};
use super::memory::Memory;
use super::parse::Kernel;

/// More than any kernel of the project needs for a pixel (an 8K picture shrunk to one pixel is
/// refused by its callers).
const MAX_STEPS: u64 = 10_000_000;
const MAX_BLOCK_THREADS: u64 = 1024;
/// What NVIDIA hardware returns for NaN results (PTX ISA, 9.7.3).
const CANONICAL_NAN: u64 = 0x7fff_ffff;

/// Shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// In which order threads run. Hardware promises none.
    pub order: Order,
}

impl Launch {
    /// Refuses what hardware refuses.
    ///
    /// # Errors
    /// [`LaunchError::Shape`].
    pub fn check(&self) -> Result<(), LaunchError> {
        let Self { grid, block, .. } = *self;
        let fits = (1..=MAX_BLOCK_THREADS).contains(&product(block));
        // Bits of a grid in y and z: 16 (CUDA C++ Programming Guide, compute capabilities).
        let grid_fits = product(grid) > 0 && grid[1] < 1 << 16 && grid[2] < 1 << 16;
        if fits && grid_fits {
            Ok(())
        } else {
            Err(LaunchError::Shape { grid, block })
        }
    }
}

fn product(sides: [u32; 3]) -> u64 {
    sides
        .iter()
        .fold(1, |product, &side| product.saturating_mul(side.into()))
}

/// Order of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the first to the last.
    #[default]
    Forward,
    /// From the last to the first.
    Backward,
}

/// A thread of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId {
    /// Its block in the grid.
    pub block: [u32; 3],
    /// Its place in the block.
    pub thread: [u32; 3],
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {:?} thread {:?}", self.block, self.thread)
    }
}

impl Kernel {
    /// Runs every thread of the launch. `params` holds the parameters as
    /// [`params`](Self::params) places them.
    ///
    /// # Errors
    /// [`LaunchError`]; what earlier threads stored stays stored.
    pub fn run(
        &self,
        launch: Launch,
        params: &[u8],
        memory: &mut impl Memory,
    ) -> Result<(), LaunchError> {
        launch.check()?;
        let Launch { grid, block, order } = launch;
        let (blocks, threads) = (product(grid), product(block));
        if params.len() != self.param_bytes() {
            return Err(LaunchError::Params {
                kernel: self.name().to_owned(),
                expected: self.param_bytes(),
                got: params.len(),
            });
        }
        let mut registers = vec![0; self.registers];
        for index in 0..threads * blocks {
            let index = match order {
                Order::Forward => index,
                Order::Backward => threads * blocks - 1 - index,
            };
            let id = ThreadId {
                block: split(index / threads, grid),
                thread: split(index % threads, block),
            };
            let mut thread = Thread {
                kernel: self,
                launch: &launch,
                id,
                registers: &mut registers,
            };
            thread.run(params, memory)?;
        }
        Ok(())
    }
}

/// Place number `index` in a box, x fastest.
fn split(index: u64, [x, y, _]: [u32; 3]) -> [u32; 3] {
    let (x, y) = (u64::from(x), u64::from(y));
    [
        (index % x) as u32,
        (index / x % y) as u32,
        (index / (x * y)) as u32,
    ]
}

struct Thread<'a> {
    kernel: &'a Kernel,
    launch: &'a Launch,
    id: ThreadId,
    registers: &'a mut [u64],
}

impl Thread<'_> {
    fn run(&mut self, params: &[u8], memory: &mut impl Memory) -> Result<(), LaunchError> {
        let code = &self.kernel.code;
        let mut at = 0;
        for _ in 0..MAX_STEPS {
            let Some(instr) = code.get(at) else {
                return Ok(());
            };
            at += 1;
            if let Some((predicate, wanted)) = instr.guard
                && (self.registers[usize::from(predicate)] != 0) != wanted
            {
                continue;
            }
            match &instr.op {
                Op::Branch(target) => at = *target,
                Op::Return => return Ok(()),
                Op::LoadParam { bytes, dst, offset } => {
                    for (index, &dst) in dst.iter().enumerate() {
                        let start = offset + index * bytes;
                        let mut value = [0; 8];
                        value[..*bytes].copy_from_slice(&params[start..start + bytes]);
                        self.set(dst, u64::from_le_bytes(value));
                    }
                }
                Op::Load {
                    ty,
                    dst,
                    base,
                    offset,
                } => {
                    let address = self.registers[usize::from(*base)].wrapping_add_signed(*offset);
                    let bytes = ty.bits as usize / 8;
                    let value = memory.load(address, bytes).map_err(|fault| {
                        self.refused(instr.line, Access::Load, address, bytes, fault)
                    })?;
                    self.set(*dst, value);
                }
                Op::Store {
                    bytes,
                    value,
                    base,
                    offset,
                } => {
                    let address = self.registers[usize::from(*base)].wrapping_add_signed(*offset);
                    let value = self.get(*value);
                    memory.store(address, *bytes, value).map_err(|fault| {
                        self.refused(instr.line, Access::Store, address, *bytes, fault)
                    })?;
                }
                op => self.compute(op),
            }
        }
        Err(LaunchError::Endless {
            kernel: self.kernel.name().to_owned(),
            thread: self.id,
            steps: MAX_STEPS,
        })
    }

    /// The instructions that touch registers only.
    fn compute(&mut self, op: &Op) {
        let (dst, value) = match *op {
            Op::Int { op, ty, dst, a, b } => (dst, integer(op, ty, self.get(a), self.get(b))),
            Op::MulWide { ty, dst, a, b } => {
                let product = extend(ty, self.get(a)).wrapping_mul(extend(ty, self.get(b)));
                (dst, product as u64 & mask(2 * ty.bits))
            }
            Op::MulAdd { ty, dst, a, b, c } => {
                let product = self.get(a).wrapping_mul(self.get(b));
                (dst, product.wrapping_add(self.get(c)) & mask(ty.bits))
            }
            Op::Float { op, dst, a, b } => (dst, float(op, self.float(a), self.float(b))),
            Op::FloatFn { op, dst, a } => (dst, float_fn(op, self.float(a), self.get(a))),
            Op::Move { from, to, dst, a } => (dst, extend(from, self.get(a)) as u64 & mask(to)),
            Op::IntToFloat { from, dst, a } => (dst, bits(extend(from, self.get(a)) as f32)),
            Op::FloatToInt {
                to,
                nearest,
                dst,
                a,
            } => {
                let value = self.float(a);
                let value = if nearest {
                    value.round_ties_even()
                } else {
                    value
                };
                let whole = match to.signed {
                    true => i64::from(value as i32) as u64,
                    false => u64::from(value as u32),
                };
                (dst, whole & mask(to.bits))
            }
            Op::Compare { op, ty, dst, a, b } => {
                let (a, b) = match ty {
                    Operand::Int(ty) => {
                        let (a, b) = (extend(ty, self.get(a)), extend(ty, self.get(b)));
                        return self.set(dst, u64::from(holds(op, &a, &b)));
                    }
                    Operand::Float => (self.float(a), self.float(b)),
                };
                // Ordered comparisons: false for NaN, `ne` included.
                let value = !a.is_nan() && !b.is_nan() && holds(op, &a, &b);
                (dst, u64::from(value))
            }
            Op::Select { dst, a, b, when } => {
                let chosen = if self.registers[usize::from(when)] != 0 {
                    a
                } else {
                    b
                };
                (dst, self.get(chosen))
            }
            Op::Not { bits, dst, a } => (dst, !self.get(a) & mask(bits)),
            // Handled by `run`.
            Op::LoadParam { .. }
            | Op::Load { .. }
            | Op::Store { .. }
            | Op::Branch(_)
            | Op::Return => {
                return;
            }
        };
        self.set(dst, value);
    }

    fn get(&self, src: Src) -> u64 {
        match src {
            Src::Reg(register) => self.registers[usize::from(register)],
            Src::Imm(value) => value,
            Src::Special(special) => u64::from(match special {
                Special::Thread(axis) => self.id.thread[axis],
                Special::Threads(axis) => self.launch.block[axis],
                Special::Block(axis) => self.id.block[axis],
                Special::Blocks(axis) => self.launch.grid[axis],
            }),
        }
    }

    fn float(&self, src: Src) -> f32 {
        f32::from_bits(self.get(src) as u32)
    }

    fn set(&mut self, register: u16, value: u64) {
        self.registers[usize::from(register)] = value;
    }

    fn refused(
        &self,
        line: u32,
        access: Access,
        address: u64,
        bytes: usize,
        fault: super::Fault,
    ) -> LaunchError {
        LaunchError::Memory {
            kernel: self.kernel.name().to_owned(),
            line,
            thread: self.id,
            access,
            address,
            bytes,
            fault,
        }
    }
}

/// The number that the low bits of `value` stand for.
fn extend(ty: Int, value: u64) -> i128 {
    let value = value & mask(ty.bits);
    if ty.signed {
        let unused = 64 - ty.bits;
        i128::from((value << unused).cast_signed() >> unused)
    } else {
        i128::from(value)
    }
}

fn integer(op: IntOp, ty: Int, a: u64, b: u64) -> u64 {
    let value = match op {
        IntOp::Add => a.wrapping_add(b),
        IntOp::Sub => a.wrapping_sub(b),
        IntOp::Mul => a.wrapping_mul(b),
        IntOp::And => a & b,
        IntOp::Or => a | b,
        IntOp::Xor => a ^ b,
        IntOp::Min => extend(ty, a).min(extend(ty, b)) as u64,
        IntOp::Max => extend(ty, a).max(extend(ty, b)) as u64,
        // Shifts by the width or more give what shifting all the way gives (PTX ISA, 9.7.8).
        IntOp::Shl if b >= u64::from(ty.bits) => 0,
        IntOp::Shl => a << b,
        IntOp::Shr => (extend(ty, a) >> b.min(64)) as u64,
    };
    value & mask(ty.bits)
}

fn bits(value: f32) -> u64 {
    if value.is_nan() {
        CANONICAL_NAN
    } else {
        u64::from(value.to_bits())
    }
}

fn float(op: FloatOp, a: f32, b: f32) -> u64 {
    bits(match op {
        FloatOp::Add => a + b,
        FloatOp::Sub => a - b,
        FloatOp::Mul => a * b,
        FloatOp::Div => a / b,
        FloatOp::Min => pick(a, b, |a, b| a < b || (a == b && a.is_sign_negative())),
        FloatOp::Max => pick(a, b, |a, b| a > b || (a == b && a.is_sign_positive())),
    })
}

/// The number, where one operand is NaN; −0 is less than +0 (PTX ISA, 9.7.3).
fn pick(a: f32, b: f32, first: impl Fn(f32, f32) -> bool) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if first(a, b) => a,
        _ => b,
    }
}

fn float_fn(op: FloatFn, a: f32, raw: u64) -> u64 {
    bits(match op {
        // Moving changes no bit, NaN payloads included.
        FloatFn::Move => return raw,
        FloatFn::Abs => a.abs(),
        FloatFn::Neg => -a,
        FloatFn::Reciprocal => 1.0 / a,
        FloatFn::Ceil => a.ceil(),
        FloatFn::Floor => a.floor(),
        FloatFn::Even => a.round_ties_even(),
        FloatFn::Saturate if a > 0.0 => a.min(1.0),
        FloatFn::Saturate => 0.0,
    })
}

fn holds<T: PartialOrd>(op: Compare, a: &T, b: &T) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

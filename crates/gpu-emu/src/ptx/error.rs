//! What can be wrong with PTX text, and with a launch of it.

use std::fmt;

use thiserror::Error;

use super::exec::ThreadId;

/// A line of PTX that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}: `{text}`")]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// Its text.
    pub text: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The header names something else than `.version` up to 6.3, `.target sm_75` or below and
    /// 64-bit addresses.
    #[error("the header asks for more than drivers of CUDA 10 offer")]
    Header,
    /// A directive that is not needed here.
    #[error("unknown directive")]
    Directive,
    /// An opcode, or a modifier of it, that is not needed here.
    #[error("unknown opcode")]
    Opcode,
    /// The opcode is known, its operands do not fit.
    #[error("operands do not fit")]
    Operands,
    /// A register that was not declared.
    #[error("unknown register")]
    Register,
    /// A register narrower, wider or of another kind than the instruction's type.
    #[error("register of another type")]
    RegisterType,
    /// A label that does not exist, or exists twice.
    #[error("label missing or doubled")]
    Label,
    /// A parameter that does not exist, or an access outside of it.
    #[error("no such parameter")]
    Param,
    /// The text ends within a kernel.
    #[error("the kernel has no end")]
    Unfinished,
}

/// A launch that was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The parameter bytes do not have the kernel's size.
    #[error("{kernel} takes {expected} bytes of parameters, got {got}")]
    Params {
        /// Kernel.
        kernel: String,
        /// Bytes it takes.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// A side of grid or block is zero, or a block has more than 1,024 threads.
    #[error("grid {grid:?} of blocks {block:?} cannot be launched")]
    Shape {
        /// Blocks in x, y, z.
        grid: [u32; 3],
        /// Threads in x, y, z.
        block: [u32; 3],
    },
    /// A load or store that memory refused.
    #[error("{kernel}, line {line}, {thread}: {access} of {bytes} bytes at {address:#x}: {fault}")]
    Memory {
        /// Kernel.
        kernel: String,
        /// Line of the PTX text.
        line: u32,
        /// Thread.
        thread: ThreadId,
        /// Load or store.
        access: Access,
        /// First byte.
        address: u64,
        /// Length.
        bytes: usize,
        /// Why.
        fault: Fault,
    },
    /// A thread ran longer than any of the kernels needs.
    #[error("{kernel}, {thread}: no end after {steps} instructions")]
    Endless {
        /// Kernel.
        kernel: String,
        /// Thread.
        thread: ThreadId,
        /// Instructions run.
        steps: u64,
    },
}

/// Direction of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Memory to register.
    Load,
    /// Register to memory.
    Store,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Store => "store",
        })
    }
}

/// Why memory refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// No allocation holds all of the bytes.
    #[error("outside of every allocation")]
    OutOfBounds,
    /// The address is no multiple of the access's size.
    #[error("misaligned")]
    Misaligned,
}

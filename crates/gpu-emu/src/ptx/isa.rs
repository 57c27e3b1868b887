//! The instructions that are understood, decoded.

/// Index into a thread's registers.
pub(super) type Reg = u16;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Src {
    Reg(Reg),
    /// Already cut to the instruction's width.
    Imm(u64),
    Special(Special),
}

/// Read-only registers that tell a thread which one it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Special {
    /// `%tid`, by axis.
    Thread(usize),
    /// `%ntid`.
    Threads(usize),
    /// `%ctaid`.
    Block(usize),
    /// `%nctaid`.
    Blocks(usize),
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Int {
    pub(super) bits: u32,
    pub(super) signed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum IntOp {
    Add,
    Sub,
    /// Low half of the product.
    Mul,
    Min,
    Max,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FloatFn {
    Move,
    Abs,
    Neg,
    /// `rcp.rn`.
    Reciprocal,
    /// `cvt.rpi`.
    Ceil,
    /// `cvt.rmi`.
    Floor,
    /// `cvt.rni`.
    Even,
    /// `cvt.sat`: to [0, 1], NaN to 0.
    Saturate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What a comparison compares. Float comparisons with NaN are false, `Ne` included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operand {
    Int(Int),
    Float,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Int {
        op: IntOp,
        ty: Int,
        dst: Reg,
        a: Src,
        b: Src,
    },
    /// `mul.wide`: product in twice the width.
    MulWide {
        ty: Int,
        dst: Reg,
        a: Src,
        b: Src,
    },
    /// `mad.lo`.
    MulAdd {
        ty: Int,
        dst: Reg,
        a: Src,
        b: Src,
        c: Src,
    },
    Float {
        op: FloatOp,
        dst: Reg,
        a: Src,
        b: Src,
    },
    FloatFn {
        op: FloatFn,
        dst: Reg,
        a: Src,
    },
    /// Moves bits; also `cvta` and widening or narrowing integer conversions.
    Move {
        from: Int,
        to: u32,
        dst: Reg,
        a: Src,
    },
    IntToFloat {
        from: Int,
        dst: Reg,
        a: Src,
    },
    /// Saturating, NaN to 0.
    FloatToInt {
        to: Int,
        /// To the nearest, ties to even (`rni`), else towards zero (`rzi`).
        nearest: bool,
        dst: Reg,
        a: Src,
    },
    Compare {
        op: Compare,
        ty: Operand,
        dst: Reg,
        a: Src,
        b: Src,
    },
    /// `dst = if when { a } else { b }`.
    Select {
        dst: Reg,
        a: Src,
        b: Src,
        when: Reg,
    },
    Not {
        bits: u32,
        dst: Reg,
        a: Src,
    },
    LoadParam {
        bytes: usize,
        dst: Vec<Reg>,
        offset: usize,
    },
    Load {
        ty: Int,
        dst: Reg,
        base: Reg,
        offset: i64,
    },
    Store {
        bytes: usize,
        value: Src,
        base: Reg,
        offset: i64,
    },
    Branch(usize),
    Return,
}

/// An instruction of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instr {
    pub(super) line: u32,
    /// Predicate register, and the value at which the instruction runs.
    pub(super) guard: Option<(Reg, bool)>,
    pub(super) op: Op,
}

/// All ones in the low `bits`.
pub(super) const fn mask(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

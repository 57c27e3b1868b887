//! The interpreter: what it understands, what it refuses, how it counts.

use super::*;

/// A module with one kernel `k(.u64 out)`, whose body is `code` with %rd0 = out.
fn module(code: &str) -> String {
    format!(
        ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry k(\n\t.param .u64 k_param_0\n)\n{{\n\
         .reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .b32 %r<9>;\n.reg .f32 %f<9>;\n.reg .b64 %rd<9>;\n\
         ld.param.u64 %rd0, [k_param_0];\n{code}\n}}\n"
    )
}

/// First line of `code` in [`module`].
const FIRST: u32 = 14;

const ONE_THREAD: Launch = Launch {
    grid: [1; 3],
    block: [1; 3],
    order: Order::Forward,
};

fn run(code: &str, launch: Launch, bytes: usize) -> Result<Vec<u8>, LaunchError> {
    let module = Module::parse(&module(code)).unwrap();
    let mut arena = Arena::new();
    let out = arena.put(vec![0; bytes]);
    let kernel = module.kernel("k").unwrap();
    kernel.run(launch, &out.to_le_bytes(), &mut arena)?;
    Ok(arena.get(out).unwrap().to_vec())
}

/// The u32 that `code` leaves in %r1.
fn word(code: &str) -> u32 {
    let code = format!("{code}\nst.global.u32 [%rd0], %r1;\nret;");
    let bytes = run(&code, ONE_THREAD, 4).unwrap();
    u32::from_le_bytes(bytes.try_into().unwrap())
}

/// The bits of the f32 that `op` gives for operands with these bits.
fn float(op: &str, operands: &[f32]) -> u32 {
    let operands: Vec<String> = operands
        .iter()
        .map(|value| format!("0f{:08X}", value.to_bits()))
        .collect();
    word(&format!(
        "{op} %f1, {};\nmov.f32 %f2, %f1;\nst.global.f32 [%rd0], %f2;\nld.global.u32 %r1, [%rd0];",
        operands.join(", ")
    ))
}

fn problem(code: &str) -> (u32, Problem) {
    let error = Module::parse(&module(code)).unwrap_err();
    (error.line - FIRST, error.problem)
}

#[test]
fn integer_arithmetic_wraps_and_knows_signs() {
    assert_eq!(word("mov.u32 %r2, 4294967295;\nadd.s32 %r1, %r2, 3;"), 2);
    assert_eq!(
        word("mov.u32 %r2, 5;\nsub.s32 %r1, %r2, 7;"),
        (-2i32).cast_unsigned()
    );
    assert_eq!(
        word("mov.u32 %r2, -6;\nshr.s32 %r1, %r2, 1;"),
        (-3i32).cast_unsigned()
    );
    assert_eq!(word("mov.u32 %r2, -6;\nshr.u32 %r1, %r2, 1;"), 0x7fff_fffd);
    assert_eq!(
        word("mov.u32 %r2, 1;\nshl.b32 %r1, %r2, 32;"),
        0,
        "no wrap of the distance"
    );
    assert_eq!(word("mov.u32 %r2, -1;\nmax.u32 %r1, %r2, 7;"), u32::MAX);
    assert_eq!(word("mov.u32 %r2, -1;\nmax.s32 %r1, %r2, 7;"), 7);
    assert_eq!(word("mov.u32 %r2, 7;\nmad.lo.s32 %r1, %r2, %r2, -9;"), 40);
    assert_eq!(
        word(
            "mov.u32 %r2, -1;\nmul.wide.u32 %rd1, %r2, 16;\nshr.u64 %rd2, %rd1, 32;\ncvt.u32.u64 %r1, %rd2;"
        ),
        15
    );
    assert_eq!(
        word(
            "mov.u32 %r2, -1;\nmul.wide.s32 %rd1, %r2, 16;\nshr.u64 %rd2, %rd1, 32;\ncvt.u32.u64 %r1, %rd2;"
        ),
        u32::MAX
    );
    assert_eq!(
        word(
            "mov.u32 %r2, -2;\ncvt.s64.s32 %rd1, %r2;\nshr.s64 %rd2, %rd1, 33;\ncvt.u32.u64 %r1, %rd2;"
        ),
        u32::MAX
    );
}

#[test]
fn floats_round_each_operation_on_its_own() {
    // 1 + 2⁻¹² squared, minus its rounded square: zero, which fused multiply-add would not give.
    let a = 1.0 + f32::powi(2.0, -12);
    let product = f32::from_bits(float("mul.rn.f32", &[a, a]));
    assert_eq!(float("sub.rn.f32", &[product, a * a]), 0);
    assert_eq!(float("div.rn.f32", &[1.0, 3.0]), (1.0f32 / 3.0).to_bits());
    assert_eq!(float("rcp.rn.f32", &[3.0]), (1.0f32 / 3.0).to_bits());
    assert_eq!(
        float("mul.rn.f32", &[1e-30, 1e-10]),
        (1e-30f32 * 1e-10).to_bits(),
        "denormals stay"
    );
}

#[test]
fn nan_is_canonical_and_loses_against_numbers() {
    let payload = f32::from_bits(0xffc0_1234);
    assert_eq!(float("add.rn.f32", &[payload, 1.0]), 0x7fff_ffff);
    assert_eq!(float("mov.f32", &[payload]), 0xffc0_1234);
    assert_eq!(float("max.f32", &[f32::NAN, -1.0]), (-1.0f32).to_bits());
    assert_eq!(float("min.f32", &[2.0, f32::NAN]), 2.0f32.to_bits());
    assert_eq!(float("max.f32", &[-0.0, 0.0]), 0);
    assert_eq!(float("min.f32", &[0.0, -0.0]), (-0.0f32).to_bits());
    assert_eq!(float("cvt.sat.f32.f32", &[f32::NAN]), 0);
    assert_eq!(float("cvt.sat.f32.f32", &[1.5]), 1.0f32.to_bits());
}

#[test]
fn conversions_to_integers_saturate_and_round_as_told() {
    let to = |op: &str, value: f32| word(&format!("{op} %r1, 0f{:08X};", value.to_bits()));
    assert_eq!(to("cvt.rni.u32.f32", 2.5), 2);
    assert_eq!(to("cvt.rni.u32.f32", 3.5), 4);
    assert_eq!(to("cvt.rzi.u32.f32", 2.9), 2);
    assert_eq!(to("cvt.rzi.u32.f32", -3.0), 0);
    assert_eq!(to("cvt.rzi.u32.f32", 1e20), u32::MAX);
    assert_eq!(to("cvt.rzi.s32.f32", -2.9), (-2i32).cast_unsigned());
    assert_eq!(to("cvt.rni.u32.f32", f32::NAN), 0);
}

#[test]
fn comparisons_with_nan_are_false() {
    let holds = |op: &str, a: f32, b: f32| {
        word(&format!(
            "setp.{op}.f32 %p1, 0f{:08X}, 0f{:08X};\nselp.u32 %r1, 1, 0, %p1;",
            a.to_bits(),
            b.to_bits()
        )) == 1
    };
    assert!(holds("lt", 1.0, 2.0) && !holds("lt", 2.0, 1.0));
    assert!(!holds("ne", f32::NAN, 1.0) && !holds("ge", f32::NAN, 1.0));
}

#[test]
fn predicates_guard_and_branches_loop() {
    let sum = "mov.u32 %r1, 0;\nmov.u32 %r2, 0;\n$again:\nadd.s32 %r2, %r2, 1;\nadd.s32 %r1, %r1, %r2;\n\
               setp.lt.u32 %p1, %r2, 10;\n@%p1 bra $again;\nnot.pred %p2, %p1;\n@!%p2 mov.u32 %r1, 0;";
    assert_eq!(word(sum), 55);
}

#[test]
fn every_thread_runs_once_in_either_order() {
    let code = "mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmov.u32 %r3, %tid.x;\n\
                mad.lo.s32 %r4, %r1, %r2, %r3;\ncvt.u64.u32 %rd1, %r4;\nadd.s64 %rd2, %rd0, %rd1;\n\
                ld.global.u8 %rs1, [%rd2];\ncvt.u32.u16 %r5, %rs1;\nadd.s32 %r6, %r5, %r4;\nadd.s32 %r7, %r6, 1;\n\
                st.global.u8 [%rd2], %r7;\nret;";
    for order in [Order::Forward, Order::Backward] {
        let launch = Launch {
            grid: [3, 1, 1],
            block: [4, 1, 1],
            order,
        };
        assert_eq!(
            run(code, launch, 12).unwrap(),
            (1..=12).collect::<Vec<u8>>()
        );
    }
}

#[test]
fn an_access_outside_names_line_and_thread() {
    let code = "mov.u32 %r1, %tid.x;\nmul.wide.u32 %rd1, %r1, 4;\nadd.s64 %rd2, %rd0, %rd1;\nst.global.u32 [%rd2], %r1;\nret;";
    let launch = Launch {
        grid: [1; 3],
        block: [8, 1, 1],
        order: Order::Forward,
    };
    assert_eq!(run(code, launch, 32).unwrap().len(), 32);
    let error = run(code, launch, 30).unwrap_err();
    assert_eq!(
        error,
        LaunchError::Memory {
            kernel: "k".into(),
            line: FIRST + 3,
            thread: ThreadId {
                block: [0; 3],
                thread: [7, 0, 0]
            },
            access: Access::Store,
            address: (1 << 32) + 28,
            bytes: 4,
            fault: Fault::OutOfBounds,
        }
    );
    assert_eq!(
        error.to_string(),
        "k, line 17, block [0, 0, 0] thread [7, 0, 0]: store of 4 bytes at 0x10000001c: outside of every allocation"
    );
}

#[test]
fn a_misaligned_access_is_refused() {
    let error = run("ld.global.u32 %r1, [%rd0+2];", ONE_THREAD, 8).unwrap_err();
    assert!(matches!(
        error,
        LaunchError::Memory {
            fault: Fault::Misaligned,
            access: Access::Load,
            ..
        }
    ));
}

#[test]
fn a_kernel_that_never_ends_is_stopped() {
    let error = run("$again:\nbra.uni $again;", ONE_THREAD, 4).unwrap_err();
    assert!(matches!(error, LaunchError::Endless { .. }), "{error}");
}

#[test]
fn unknown_opcodes_and_modifiers_are_refused_with_their_line() {
    for code in [
        "fma.rn.f32 %f1, %f2, %f3, %f4;",
        "add.f32 %f1, %f2, %f3;",
        "add.rn.ftz.f32 %f1, %f2, %f3;",
        "bar.sync 0;",
        "ld.shared.u32 %r1, [%rd0];",
        "atom.global.add.u32 %r1, [%rd0], 1;",
        "sqrt.approx.f32 %f1, %f2;",
        "cvt.rn.f16.f32 %rs1, %f1;",
    ] {
        assert_eq!(
            problem(&format!("ret;\n{code}")),
            (1, Problem::Opcode),
            "{code}"
        );
    }
    assert_eq!(problem(".shared .b8 tile[32];"), (0, Problem::Directive));
}

#[test]
fn operands_are_checked_against_the_instruction() {
    assert_eq!(problem("add.s32 %r1, %r2, %r9;"), (0, Problem::Register));
    assert_eq!(
        problem("add.s32 %r1, %r2, %rd3;"),
        (0, Problem::RegisterType)
    );
    assert_eq!(
        problem("add.rn.f32 %f1, %f2, %r3;"),
        (0, Problem::RegisterType)
    );
    assert_eq!(
        problem("add.s32 %r1, %r2, 4294967296;"),
        (0, Problem::Operands)
    );
    assert_eq!(
        problem("ld.global.u32 %rs1, [%rd0];"),
        (0, Problem::RegisterType)
    );
    assert_eq!(
        problem("ld.param.u64 %rd1, [k_param_0+8];"),
        (0, Problem::Param)
    );
    assert_eq!(
        problem("ld.param.u64 %rd1, [k_param_1];"),
        (0, Problem::Param)
    );
    assert_eq!(problem("bra nowhere;"), (0, Problem::Label));
    assert_eq!(problem("a:\na:"), (1, Problem::Label));
}

#[test]
fn newer_ptx_than_old_drivers_take_is_refused() {
    for (old, new) in [("6.3", "8.8"), ("sm_75", "sm_90")] {
        let text = module("ret;").replace(old, new);
        assert_eq!(
            Module::parse(&text).unwrap_err().problem,
            Problem::Header,
            "{new}"
        );
    }
}

#[test]
fn a_cut_text_is_refused() {
    let text = module("ret;");
    let cut = text.trim_end().strip_suffix('}').unwrap();
    assert_eq!(Module::parse(cut).unwrap_err().problem, Problem::Unfinished);
}

#[test]
fn parameters_lie_where_the_device_puts_them() {
    let text = ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry k(\n.param .u32 a,\n\
                .param .align 8 .b8 b[12],\n.param .align 4 .b8 c[8]\n)\n{\nret;\n}\n";
    let module = Module::parse(text).unwrap();
    let kernel = module.kernel("k").unwrap();
    let places: Vec<(usize, usize)> = kernel
        .params()
        .iter()
        .map(|p| (p.offset, p.bytes))
        .collect();
    assert_eq!(places, [(0, 4), (8, 12), (20, 8)]);
    let error = kernel
        .run(ONE_THREAD, &[0; 27], &mut Arena::new())
        .unwrap_err();
    assert!(matches!(
        error,
        LaunchError::Params {
            expected: 28,
            got: 27,
            ..
        }
    ));
}

#[test]
fn launches_that_hardware_refuses_are_refused() {
    for (grid, block) in [
        ([0, 1, 1], [1, 1, 1]),
        ([1, 1, 1], [1, 0, 1]),
        ([1, 1, 1], [64, 32, 1]),
    ] {
        let launch = Launch {
            grid,
            block,
            order: Order::Forward,
        };
        assert_eq!(
            run("ret;", launch, 4).unwrap_err(),
            LaunchError::Shape { grid, block }
        );
    }
}

//! Passes on where ramp-nasm has put the assembler that it built.

fn main() {
    let nasm = std::env::var("DEP_RAMP_NASM_BIN").expect("ramp-nasm says where its binary is");
    println!("cargo::rustc-env=NASM={nasm}");
}

#!/usr/bin/env python3
"""Compiles the kernels to the PTX that is committed beside them; `--check` compares instead.

No GPU and no CUDA toolkit is needed: the compiler (NVRTC) and the assembler (ptxas) come from
PyPI, pinned, into a virtual environment under target/. The header is rewritten to PTX 6.3 so that
drivers older than the compiler load it. Every kernel is then assembled for each architecture of
ARCHITECTURES; spilled registers are an error.
"""

import ctypes
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
PACKAGES = ["nvidia-cuda-nvrtc-cu12==12.9.86", "nvidia-cuda-nvcc-cu12==12.9.86"]
SOURCES = [HERE / name for name in ["convert.cu", "resize.cu", "overlay.cu", "color.cu"]]
SOURCES.append(ROOT / "examples/cuda-kernel/src/vignette.cu")
# Seconds that installing the tools may take.
INSTALL_TIMEOUT = 300
# Exit status where they cannot be had: nothing was checked.
NO_TOOLS = 3
ARCHITECTURES = ["sm_75", "sm_86", "sm_89", "sm_90"]
# No fused multiply-add: results equal the scalar reference bit for bit.
OPTIONS = ["--gpu-architecture=compute_75", "--fmad=false", "--std=c++17", "--device-as-default-execution-space"]
PTX_VERSION = "6.3"


def tools():
    """Installs the pinned packages once; returns the folder that holds them."""
    home = ROOT / "target" / "ptx-tools"
    stamp = home / "installed"
    if not (stamp.exists() and stamp.read_text().split() == PACKAGES):
        try:
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            pip = [home / "bin" / "pip", "install", "--quiet", *PACKAGES]
            subprocess.run(pip, check=True, timeout=INSTALL_TIMEOUT)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"the compiler cannot be installed: {error}", file=sys.stderr)
            sys.exit(NO_TOOLS)
        stamp.write_text("\n".join(PACKAGES))
    return next(home.glob("lib/python3*/site-packages/nvidia"))


class Nvrtc:
    """The four calls of NVRTC that are needed."""

    def __init__(self, folder):
        # The compiler opens its builtins by name; loading them first makes that succeed.
        ctypes.CDLL(str(next(folder.glob("libnvrtc-builtins.so*"))), mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(str(folder / "libnvrtc.so.12"))

    def text(self, program, kind):
        size = ctypes.c_size_t()
        getattr(self.lib, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.lib, f"nvrtcGet{kind}")(program, buffer)
        return buffer.value.decode()

    def compile(self, source):
        name, source = source.stem, source.read_bytes()
        header = (HERE / "pixel.cuh").read_bytes()
        program = ctypes.c_void_p()
        self.lib.nvrtcCreateProgram(
            ctypes.byref(program), source, f"{name}.cu".encode(), 1,
            (ctypes.c_char_p * 1)(header), (ctypes.c_char_p * 1)(b"pixel.cuh"),
        )
        options = (ctypes.c_char_p * len(OPTIONS))(*[o.encode() for o in OPTIONS])
        if self.lib.nvrtcCompileProgram(program, len(OPTIONS), options) != 0:
            sys.exit(f"{name}.cu does not compile:\n{self.text(program, 'ProgramLog')}")
        ptx = self.text(program, "PTX")
        ptx, count = re.subn(r"^\.version .*$", f".version {PTX_VERSION}", ptx, flags=re.M)
        if count != 1 or "fma." in ptx:
            sys.exit(f"{name}.cu: unexpected PTX (version lines: {count}, fused: {'fma.' in ptx})")
        return ptx


def assemble(ptxas, name, ptx):
    """Assembles for every architecture; prints registers, fails on spills."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.ptx"
        file.write_text(ptx)
        for arch in ARCHITECTURES:
            result = subprocess.run(
                [ptxas, "-v", f"-arch={arch}", "--fmad=false", file, "-o", f"{folder}/{name}.cubin"],
                capture_output=True, text=True,
            )
            if result.returncode != 0:
                sys.exit(f"{name}.ptx does not assemble for {arch}:\n{result.stderr}")
            spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", result.stderr)
            registers = re.findall(r"Used (\d+) registers", result.stderr)
            if not registers or any(s != "0" for s in spills):
                sys.exit(f"{name}.ptx spills registers on {arch}:\n{result.stderr}")
            print(f"{name}: {arch}: registers {', '.join(registers)}; no spills")


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: build.py [--check]")
    nvidia = tools()
    nvrtc = Nvrtc(nvidia / "cuda_nvrtc" / "lib")
    stale = []
    for source in SOURCES:
        name = source.stem
        ptx = nvrtc.compile(source)
        assemble(nvidia / "cuda_nvcc" / "bin" / "ptxas", name, ptx)
        target = source.with_suffix(".ptx")
        if check and (not target.exists() or target.read_text() != ptx):
            stale.append(target.name)
        elif not check:
            target.write_text(ptx)
    if stale:
        sys.exit(f"out of date: {', '.join(stale)}; run `just ptx` and commit")


main()

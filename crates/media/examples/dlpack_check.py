#!/usr/bin/env python3
"""Tensors between this crate and NumPy, both ways, in both forms of DLPack.

NumPy comes from PyPI, pinned, into a virtual environment under target/. Run by `just dlpack-check`.
"""

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ["numpy==2.2.6"]
# Where cargo puts examples, told by the recipe.
LIBRARY = ROOT / "target" / "debug" / "examples" / "libdlpack_capsule.so"

# A capsule keeps the pointer to its name, so that names must stay.
TAKEN = {name: b"used_" + name for name in [b"dltensor", b"dltensor_versioned"]}


def with_numpy():
    """Runs this script again where NumPy is."""
    home = ROOT / "target" / "dlpack-tools"
    stamp = home / "installed"
    if not (stamp.exists() and stamp.read_text().split() == PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text("\n".join(PACKAGES))
    os.execv(home / "bin" / "python", [str(home / "bin" / "python"), __file__, "--inside"])


class Capsule:
    """A producer as NumPy wants it: the tensor of one call of the library."""

    def __init__(self, library, function, name):
        pointer = ctypes.pythonapi.PyCapsule_New
        pointer.restype, pointer.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        lend = getattr(library, function)
        lend.restype = ctypes.c_void_p
        self.name = name
        self.capsule = pointer(lend(), name, None)

    def __dlpack__(self, **options):
        if self.name == b"dltensor_versioned" and (options.get("max_version") or (0, 0)) < (1, 0):
            raise SystemExit("this NumPy does not know DLPack 1")
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def take(library, function, array, **options):
    """Hands an array over, as a consumer takes it out of its capsule."""
    capsule = array.__dlpack__(**options)
    name = b"dltensor_versioned" if options else b"dltensor"
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    pointer = get(capsule, name)
    rename = ctypes.pythonapi.PyCapsule_SetName
    rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
    rename(capsule, TAKEN[name])
    call = getattr(library, function)
    call.restype, call.argtypes = ctypes.c_double, [ctypes.c_void_p]
    return call(pointer)


def main():
    import numpy as np

    library = ctypes.CDLL(str(LIBRARY))
    counted = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for function, name in [("lend_versioned", b"dltensor_versioned"), ("lend_legacy", b"dltensor")]:
        array = np.from_dlpack(Capsule(library, function, name))
        assert array.dtype == np.float32 and array.shape == (2, 3, 4), (array.dtype, array.shape)
        assert (array == counted).all() and not array.flags.writeable
        part = array[1, :, ::2]
        del array
        gc.collect()
        assert library.lent() == 1, "given back while it is used"
        assert (part == counted[1, :, ::2]).all()
        del part
        gc.collect()
        assert library.lent() == 0, f"{function}: not given back"
    frame = np.from_dlpack(Capsule(library, "lend_tensor", b"dltensor_versioned"))
    assert (frame == np.arange(18, dtype=np.float32).reshape(2, 3, 3)).all()

    picture = np.random.default_rng(1).random((5, 7, 3), dtype=np.float32)
    views = {
        "packed": picture,
        "upside down": picture[::-1],
        "every other column": picture[:, ::2],
        "planes": np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0),
        "gray": picture[:, :, 0],
    }
    for what, view in views.items():
        flat = np.ascontiguousarray(view).ravel().astype(np.float64)
        expected = float((flat * np.arange(flat.size)).sum())
        before = sys.getrefcount(view)
        for function, options in [("take_versioned", {"max_version": (1, 0)}), ("take_legacy", {})]:
            got = take(library, function, view, **options)
            assert abs(got - expected) < 1e-6 * expected, (what, function, got, expected)
        assert sys.getrefcount(view) == before, f"{what}: not given back"
    assert take(library, "take_versioned", picture.astype(np.float64), max_version=(1, 0)) == -2.0
    print(f"DLPack: NumPy {np.__version__} and trickle-media agree, both ways, in both forms")


main() if "--inside" in sys.argv else with_numpy()

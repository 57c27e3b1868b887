#!/usr/bin/env python3
"""Pictures between this crate and PyTorch on one GPU, both ways, without a copy.

    torch_check.py LIBRARY CLIP

Run by `just gpu-check` where `python3` has a PyTorch that finds the GPU.
"""

import ctypes
import gc
import sys

import torch

NAME = b"dltensor_versioned"
# A capsule keeps the pointer to its name, so that names must stay.
TAKEN = b"used_" + NAME
GET, NEW, RENAME = (
    getattr(ctypes.pythonapi, "PyCapsule_" + name) for name in ["GetPointer", "New", "SetName"]
)
GET.restype, GET.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
NEW.restype, NEW.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
RENAME.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Picture:
    """A picture as PyTorch asks for it."""

    def __init__(self, library, number):
        self.library, self.number = library, number

    def __dlpack__(self, stream=None, max_version=(0, 0), **_):
        assert max_version >= (1, 0), "this PyTorch does not know DLPack 1"
        # 1 is the protocol's name of the default stream, which is null.
        handle = None if stream in (None, 1) else stream
        return NEW(self.library.lend(self.number, handle), NAME, None)

    def __dlpack_device__(self):
        return (2, 0)


def load(path):
    library = ctypes.CDLL(path)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, result, arguments in [
        ("open", size, [ctypes.c_char_p]),
        ("stream", pointer, []),
        ("address", ctypes.c_uint64, [size]),
        ("lend", pointer, [size, pointer]),
        ("take_inverse", size, [size, pointer]),
        ("holders", size, [size]),
    ]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main():
    library = load(sys.argv[1])
    # PyTorch first: its context is the primary one, which ours is to join.
    torch.zeros(1, device="cuda")
    count = library.open(sys.argv[2].encode())
    assert count > 0
    streams = [torch.cuda.default_stream(), torch.cuda.Stream()]
    for number in range(count):
        with torch.cuda.stream(streams[number % 2]):
            picture = torch.from_dlpack(Picture(library, number))
            assert picture.data_ptr() == library.address(number), "copied"
            assert picture.dtype == torch.float32 and picture.shape[2] == 3, picture.shape
            assert library.holders(number) == 2
            # Work that takes a while on this stream, then the inverse: ours has to wait for it.
            busy = torch.randn(2048, 2048, device="cuda")
            for _ in range(8):
                busy = busy @ busy * 1e-3
            inverse = 1.0 - picture
            capsule = inverse.__dlpack__(stream=library.stream(), max_version=(1, 0))
            tensor = GET(capsule, NAME)
            RENAME(capsule, TAKEN)
            del inverse
            wrong = library.take_inverse(number, tensor)
            assert wrong == 0, f"picture {number}: {wrong} values are wrong"
            assert 0 <= picture.min() and picture.max() <= 1
            del picture
        gc.collect()
        assert library.holders(number) == 1, f"picture {number} was not given back"
    print(f"PyTorch {torch.__version__} shares {count} pictures on {torch.cuda.get_device_name()}")


main()

#!/usr/bin/env python3
"""Writes h264_paff.ts: H.264 whose pictures are coded as fields or as frames, one by one.

x264 does not code fields, so this does: a bitstream of I_PCM macroblocks, and of P and B ones whose
references and vectors are random (and the same each time), so that a decoder that orders its lists
of reference fields wrongly shows it. What is right is what FFmpeg decodes: testdata/figures.
"""
import random
import sys
from pathlib import Path

WIDTH, HEIGHT = 96, 64
COLUMNS, ROWS = WIDTH // 16, HEIGHT // 16
REFERENCE_FRAMES = 3
FRAME_NUM_BITS, ORDER_BITS = 4, 8
FRAME_TICKS = 3600
P, B, I = 0, 1, 2
draw = random.Random(7)


class Bits:
    def __init__(self):
        self.text = ""

    def u(self, count, value):
        self.text += format(value, f"0{count}b")
        return self

    def ue(self, value):
        code = format(value + 1, "b")
        self.text += "0" * (len(code) - 1) + code
        return self

    def se(self, value):
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def te(self, most, value):
        """A number of at most `most`, which needs no bits where that is 0."""
        if most == 1:
            self.u(1, 1 - value)
        elif most > 1:
            self.ue(value)

    def nal(self, header):
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        out, zeros = bytearray([header]), 0
        for at in range(0, len(text), 8):
            byte = int(text[at : at + 8], 2)
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes(out)


def parameter_sets():
    sps = Bits().u(8, 77).u(8, 0).u(8, 30).ue(0)
    sps.ue(FRAME_NUM_BITS - 4).ue(0).ue(ORDER_BITS - 4).ue(REFERENCE_FRAMES).u(1, 0)
    # Fields are possible, macroblocks do not choose for themselves; direct_8x8_inference.
    sps.ue(COLUMNS - 1).ue(ROWS // 2 - 1).u(1, 0).u(1, 0).u(1, 1).u(1, 0)
    # VUI: 25 frames per second, at most two pictures out of order.
    sps.u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 1).u(32, 1).u(32, 50).u(1, 1)
    sps.u(1, 0).u(1, 0).u(1, 1).u(1, 1).u(1, 1).ue(0).ue(0).ue(10).ue(10).ue(2).ue(4)
    # CAVLC; frames state the order of their bottom field.
    pps = Bits().ue(0).ue(0).u(1, 0).u(1, 1).ue(0).ue(0).ue(0).u(1, 0).u(2, 0)
    pps.se(0).se(0).se(0).u(1, 0).u(1, 0).u(1, 0)
    return sps.nal(0x67) + pps.nal(0x68)


def pcm(bits, frame, column, row, bottom):
    """Gradients that move with the frame, the fields apart."""
    bits.text += "0" * (-len(bits.text) % 8)
    for y in range(16):
        for x in range(16):
            at = 5 * (16 * column + x) + 7 * (16 * row + y) + 11 * frame + 40 * bottom
            bits.u(8, 1 + at % 250)
    for plane in range(2):
        for y in range(8):
            for x in range(8):
                at = 9 * (8 * column + x) * (1 + plane) + 3 * (8 * row + y) + 5 * frame
                bits.u(8, 1 + at % 250)


def vector(bits):
    bits.se(draw.randint(-9, 9)).se(draw.randint(-7, 7))


def macroblocks(bits, kind, picture, bottom, rows, lists):
    skipped = 0
    for at in range(COLUMNS * rows):
        column, row = at % COLUMNS, at // COLUMNS
        if kind == I:
            bits.ue(25)
            pcm(bits, picture.shown, column, row, bottom)
            continue
        if draw.random() < 0.25:
            skipped += 1
            continue
        bits.ue(skipped)
        skipped = 0
        if draw.random() < 0.06:
            bits.ue({P: 5, B: 23}[kind] + 25)
            pcm(bits, picture.shown + 3, column, row, bottom)
            continue
        use = [0] if kind == P else draw.choice([[0], [1], [0, 1]])
        bits.ue({P: 0, B: {(0,): 1, (1,): 2, (0, 1): 3}[tuple(use)]}[kind] if kind == B else 0)
        for one in use:
            bits.te(lists[one] - 1, draw.randrange(lists[one]))
        for _ in use:
            vector(bits)
        # coded_block_pattern: no residual
        bits.ue(0)
    if skipped:
        bits.ue(skipped)


def slice_nal(picture, kind, structure, references, idr, order, order_delta=0):
    bits = Bits().ue(0).ue(kind + 5).ue(0).u(FRAME_NUM_BITS, picture.number % 16)
    field = structure != "frame"
    bottom = structure == "bottom"
    bits.u(1, field)
    if field:
        bits.u(1, bottom)
    if idr:
        bits.ue(picture.idr_id)
    bits.u(ORDER_BITS, order % 256)
    if not field:
        bits.se(order_delta)
    lists = [references, references]
    if kind == B:
        # direct_spatial_mv_pred_flag
        bits.u(1, 1)
    if kind != I:
        bits.u(1, 1)
        for one in lists[: 1 + (kind == B)]:
            bits.ue(one - 1)
        for _ in range(1 + (kind == B)):
            modified = kind == P and references > 1 and draw.random() < 0.5
            bits.u(1, modified)
            if modified:
                # The nearest but one first.
                bits.ue(0).ue(1).ue(3)
    if picture.reference:
        bits.u(2 if idr else 1, 0)
    bits.se(0)
    macroblocks(bits, kind, picture, bottom, ROWS // 2 if field else ROWS, lists)
    return bits.nal((3 if picture.reference else 0) << 5 | (5 if idr else 1))


class Picture:
    """`kinds`: of both fields, or of the one frame; `first`: the field that comes first."""

    def __init__(self, shown, kinds, first="top", reference=True, idr=False, split=False):
        self.shown, self.kinds, self.first = shown, kinds, first
        self.reference, self.idr, self.split = reference, idr, split
        self.number = self.idr_id = 0


def group(base, idr_id):
    pictures = [
        Picture(0, (I, P), idr=True),
        Picture(1, (P, P)),
        Picture(2, (P,)),
        Picture(5, (P, P), split=True),
        Picture(3, (B, B), reference=False, split=True),
        Picture(4, (B,), reference=False),
        Picture(6, (P,)),
        Picture(9, (I, I)),
        Picture(7, (B, B), reference=False),
        Picture(8, (B,), reference=False),
        Picture(10, (P, P), first="bottom"),
        Picture(11, (P, P)),
    ]
    number = 0
    for picture in pictures:
        picture.number, picture.idr_id = number, idr_id
        picture.base = base
        number += picture.reference
    return pictures


def coded(pictures):
    """Each picture's NAL units, field by field."""
    stored = 0
    for picture in pictures:
        parts = []
        order = 2 * picture.shown
        if len(picture.kinds) == 1:
            parts.append(
                slice_nal(picture, picture.kinds[0], "frame", stored, False, order, 1)
            )
        else:
            fields = ["top", "bottom"] if picture.first == "top" else ["bottom", "top"]
            for at, (field, kind) in enumerate(zip(fields, picture.kinds)):
                kept = min(stored, REFERENCE_FRAMES - 1) if at and picture.reference else stored
                references = 2 * kept + (at if picture.reference else 0)
                idr = picture.idr and at == 0
                parts.append(slice_nal(picture, kind, field, references, idr, order + at))
        if picture.idr:
            stored = 0
            parts[0] = parameter_sets() + parts[0]
        if picture.reference:
            stored = min(stored + 1, REFERENCE_FRAMES)
        yield picture, parts


def crc(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


class Packets:
    def __init__(self):
        self.out, self.counters = bytearray(), {}

    def write(self, pid, payload, pcr=None):
        start = True
        while payload or start:
            field = bytearray()
            if pcr is not None and start:
                field = bytearray([0x10]) + (pcr << 15 | 0x7E00).to_bytes(6, "big")
            space = 184 - (len(field) + 1 if field else 0)
            if len(payload) < space:
                field = field or bytearray([0] if len(payload) < 183 else [])
                field += b"\xff" * (183 - len(payload) - len(field))
                field = bytearray([len(field)]) + field
            elif field:
                field = bytearray([len(field)]) + field
            take = 184 - len(field)
            counter = self.counters.get(pid, 0)
            self.counters[pid] = (counter + 1) % 16
            control = 0x10 | (0x20 if field else 0) | counter
            head = bytes([0x47, (0x40 if start else 0) | pid >> 8, pid & 255, control])
            packet = head + field + payload[:take]
            assert len(packet) == 188
            self.out += packet
            payload, start = payload[take:], False

    def table(self, pid, section):
        self.write(pid, b"\0" + section + crc(section))


def stamp(mark, time):
    parts = mark << 4 | (time >> 30) << 1 | 1, (time >> 15 & 0x7FFF) << 1 | 1, (time & 0x7FFF) << 1 | 1
    return bytes([parts[0]]) + parts[1].to_bytes(2, "big") + parts[2].to_bytes(2, "big")


def main():
    packets = Packets()
    packets.table(0, bytes.fromhex("00b00d0001c100000001f000"))
    packets.table(0x1000, bytes.fromhex("02b0120001c10000e100f0001be100f000"))
    at = 0
    for number in range(2):
        for picture, parts in coded(group(12 * number, number)):
            decoded = 90_000 + at * FRAME_TICKS
            shown = 90_000 + (picture.base + picture.shown + 2) * FRAME_TICKS
            delimiter = b"\0\0\0\1\x09\xf0"
            units = [delimiter + part for part in parts]
            if not picture.split:
                units = [b"".join(units)]
            for field, unit in enumerate(units):
                half = field * FRAME_TICKS // 2
                times = stamp(3, shown + half) + stamp(1, decoded + half)
                header = b"\0\0\1\xe0\0\0\x84\xc0\x0a" + times
                packets.write(0x100, header + unit, pcr=None if field else decoded - 9_000)
            at += 1
    Path(sys.argv[1]).write_bytes(packets.out)


main()

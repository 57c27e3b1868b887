"""Figures of ffprobe and ffmpeg on the MP4 and AAC test files; run by regenerate_mp4.sh."""

import array
import json
import math
import re
import subprocess

MEDIA, AUDIO, MP4 = "../media/", "../audio/", "../mp4/"
EXCERPT_AT, EXCERPT_LENGTH = 8000, 64


def run(*command):
    return subprocess.run(command, check=True, capture_output=True).stdout


def levels(path):
    """RMS per channel and second, and a few samples, of ffmpeg's decode. ffmpeg's own order of
    channels is that of the frames here."""
    shown = json.loads(run("ffprobe", "-v", "error", "-of", "json", "-select_streams", "a",
                           "-show_entries", "stream=channels,sample_rate", path))
    channels = shown["streams"][0]["channels"]
    rate = int(shown["streams"][0]["sample_rate"])
    raw = run("ffmpeg", "-v", "error", "-i", path, "-map", "0:a:0", "-f", "f32le",
              "-c:a", "pcm_f32le", "-")
    samples = array.array("f", raw)
    planes = [samples[c::channels] for c in range(channels)]
    length = len(planes[0])
    return {
        "channels": channels,
        "sample_rate": rate,
        "samples": length,
        "rms": [[round(math.sqrt(sum(v * v for v in plane[at:at + rate]) / len(plane[at:at + rate])), 8)
                 for at in range(0, length, rate)] for plane in planes],
        "excerpt_at": EXCERPT_AT,
        "excerpt": [[round(v, 9) for v in plane[EXCERPT_AT:EXCERPT_AT + EXCERPT_LENGTH]]
                    for plane in planes],
    }


def nal_units(stream):
    """The NAL units of an Annex B stream, whatever the length of their start codes."""
    return [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", stream)[1:]]


def fnv1a(data):
    """FNV-1a of 64 bits, in hex: a hash that a test needs no library for."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def stream_hash(path, index, codec):
    """Hash of a track's data: NAL units behind four-byte start codes, or raw frames. Parameter
    sets are left out: ffmpeg puts them behind supplemental information, against 7.4.1.2.3."""
    filters = ["-bsf:v", "h264_mp4toannexb"] if codec == "h264" else []
    data = run("ffmpeg", "-v", "error", "-ignore_editlist", "1", "-i", path, "-map", f"0:{index}",
               "-c", "copy", "-copyinkf", *filters, "-f", "data", "-")
    if codec == "h264":
        data = b"".join(b"\0\0\0\1" + unit for unit in nal_units(data)
                        if unit[0] & 0x1F not in (7, 8))
    return fnv1a(data)


def tracks(path):
    """What ffprobe tells of every track and packet; times in the track's time base."""
    shown = json.loads(run("ffprobe", "-v", "error", "-of", "json", "-show_entries",
                           "stream=index,id,codec_name,time_base,channels,sample_rate,width,height"
                           ":packet=stream_index,pts,dts,flags:stream_tags=language", path))
    figures = []
    for stream in shown["streams"]:
        mine = [p for p in shown["packets"] if p["stream_index"] == stream["index"]]
        language = stream.get("tags", {}).get("language", "und")
        figures.append({
            "id": int(stream["id"], 16),
            "codec": stream["codec_name"],
            "timescale": int(stream["time_base"].removeprefix("1/")),
            "language": None if language == "und" else language,
            **{key: int(stream[key]) for key in ("width", "height", "channels", "sample_rate")
               if key in stream},
            "pts": [p["pts"] for p in mine],
            "dts": [p["dts"] for p in mine],
            # Left out by the edit list.
            "discarded": [at for at, p in enumerate(mine) if "D" in p["flags"]],
            "fnv1a": stream_hash(path, stream["index"], stream["codec_name"]),
        })
    return figures


def write(name, figures):
    with open(name, "w", encoding="utf-8") as out:
        json.dump(figures, out, separators=(",", ":"))
        out.write("\n")


write("mp4_audio_levels.json", {
    **{name: levels(MEDIA + name)
       for name in ("bunny_720p25_main_aac51.mp4", "bframes_360p30_high_aac.ts",
                    "portrait_360x640_aac44k_mono.ts", "live_720p25_baseline_opus.ts",
                    "audioonly_opus.ts")},
    **{f"tones_{name}.aac": levels(f"{AUDIO}tones_{name}.aac")
       for name in ("3.0", "5.0", "5.1", "7.1")},
})
write("mp4_tracks.json", {
    "media/bunny_720p25_main_aac51.mp4": tracks(MEDIA + "bunny_720p25_main_aac51.mp4"),
    **{f"mp4/{name}.mp4": tracks(f"{MP4}{name}.mp4")
       for name in ("bframes", "fragments", "separate_fragments", "opus", "delayed", "cut",
                    "negative_offsets")},
})

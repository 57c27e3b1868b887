"""Figures of ffprobe and ffmpeg on the MP4 and AAC test files; run by regenerate_mp4.sh."""

import array
import hashlib
import json
import math
import subprocess

MEDIA, AUDIO = "../media/", "../audio/"
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


def packets(path, annexb):
    """Every packet in file order: stream, times in the stream's time base, size of its data as
    the reader gives it, key flag."""
    shown = json.loads(run("ffprobe", "-v", "error", "-of", "json", "-show_entries",
                           "stream=index,codec_name,time_base,channels,sample_rate,width,height"
                           ":packet=stream_index,pts,dts,size,flags:stream_tags=language", path))
    streams = shown["streams"]
    tracks = []
    for stream in streams:
        index = stream["index"]
        mine = [p for p in shown["packets"] if p["stream_index"] == index]
        tracks.append({
            "codec": stream["codec_name"],
            "time_base": stream["time_base"],
            "language": stream.get("tags", {}).get("language"),
            "width": stream.get("width"),
            "height": stream.get("height"),
            "channels": stream.get("channels"),
            "sample_rate": stream.get("sample_rate"),
            "pts": [p["pts"] for p in mine],
            "dts": [p["dts"] for p in mine],
            "key": [i for i, p in enumerate(mine) if "K" in p["flags"]],
            "sizes": [int(p["size"]) for p in mine],
            # The elementary stream as ffmpeg writes it: Annex B, or raw frames.
            "md5": hashlib.md5(run("ffmpeg", "-v", "error", "-i", path, "-map", f"0:{index}",
                                   "-c", "copy", *(annexb if stream["codec_name"] == "h264" else []),
                                   "-f", "data", "-")).hexdigest(),
        })
    return tracks


def write(name, figures):
    with open(name, "w", encoding="utf-8") as out:
        json.dump(figures, out, separators=(",", ":"))
        out.write("\n")


write("mp4_audio_levels.json", {
    "bunny_720p25_main_aac51.mp4": levels(MEDIA + "bunny_720p25_main_aac51.mp4"),
    **{f"tones_{name}.aac": levels(f"{AUDIO}tones_{name}.aac")
       for name in ("3.0", "5.0", "5.1", "7.1")},
})

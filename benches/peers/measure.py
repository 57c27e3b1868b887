#!/usr/bin/env python3
"""Measures trickle, PyTrickle and FFmpeg beside each other and prints the tables of
docs/performance.md. Run it from the repository's root on a machine that does nothing else:

    ./run cargo build --release --locked --package trickle-cli
    python3 -m venv venv && venv/bin/pip install --only-binary :all: pytrickle==0.1.6
    python3 benches/peers/measure.py --venv venv

Without --venv, PyTrickle is left out; without ffmpeg on the PATH, FFmpeg is. It takes some
15 minutes; --quick takes three, for a look.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

TRICKLE = "target/release/trickle"
WORKER = "benches/peers/pytrickle_worker.py"
MEDIA = "testdata/media/"
BASELINE = MEDIA + "live_720p25_baseline_opus.ts"  # as a WebRTC gateway sends
MAIN = MEDIA + "bunny_720p25_main_aac51.ts"  # CABAC, weighted prediction
SMALL = MEDIA + "bframes_360p30_high_aac.ts"
TO_30_FPS = "1.2"  # the 720p clips have 25
PYTRICKLE_PORT = 9037
READY_LIMIT_S = 60
# It scales to 512x512 and drops frames above 24 fps unless told otherwise; 60 is the most it takes.
PYTRICKLE_PARAMS = json.dumps({"width": 1280, "height": 720, "max_framerate": 60})


@contextlib.contextmanager
def trickle(processor, sessions=1):
    """Our worker: its URL, its process id, and the time from its start until it is ready."""
    began = time.monotonic()
    command = [TRICKLE, "serve", "--quiet", "--addr", "127.0.0.1:0", "--processor", processor]
    if sessions > 1:
        command += ["--capacity", str(sessions)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        try:
            url = worker.stdout.readline().strip()
            if not url:
                sys.exit(f"{' '.join(command)}: the worker did not start")
            yield url, worker.pid, time.monotonic() - began
        finally:
            worker.kill()


@contextlib.contextmanager
def pytrickle(venv):
    """PyTrickle's worker, in the same way; it is ready once /health answers."""
    url = f"http://127.0.0.1:{PYTRICKLE_PORT}"
    began = time.monotonic()
    command = [os.path.join(venv, "bin", "python"), WORKER, str(PYTRICKLE_PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            while True:
                try:
                    urllib.request.urlopen(url + "/health", timeout=1).read()
                    break
                except (urllib.error.URLError, OSError):
                    if worker.poll() is not None or time.monotonic() - began > READY_LIMIT_S:
                        sys.exit("PyTrickle's worker does not answer")
                    time.sleep(0.01)
            yield url, worker.pid, time.monotonic() - began
        finally:
            worker.kill()


def bench(worker, clip, seconds, *more):
    """One measurement, as `trickle bench pipeline --json` reports it."""
    url, pid, _ = worker
    command = [TRICKLE, "bench", "pipeline", "--json", "--worker", url, "--worker-pid", str(pid)]
    command += ["--input", clip, "--seconds", f"{seconds}s", "--no-audio", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def cpu_ms_per_frame(command, frames):
    """CPU time of a program that handles so many frames."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {program.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3 / frames


def middle(reports, value):
    return statistics.median(value(report) for report in reports)


def table(heads, rows):
    print("\n| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", help="virtual environment that PyTrickle is installed in")
    parser.add_argument("--quick", action="store_true", help="one short round")
    args = parser.parse_args()
    rounds, seconds = (1, 5) if args.quick else (3, 20)
    with open("/proc/cpuinfo") as info:
        model = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    print(f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}")

    kinds = {
        "trickle, `invert`": (lambda: trickle("invert"), []),
        "trickle, `passthrough`": (lambda: trickle("passthrough"), []),
    }
    if args.venv:
        params = ["--params", PYTRICKLE_PARAMS]
        kinds["PyTrickle, passthrough of RGB f32"] = (lambda: pytrickle(args.venv), params)
    # In turns, each time in a new process.
    live, ready = {}, {}
    for _ in range(rounds):
        for clip in (BASELINE, MAIN):
            for name, (start, params) in kinds.items():
                with start() as worker:
                    ready.setdefault(name, []).append(worker[2] * 1e3)
                    live.setdefault((clip, name), []).append(
                        bench(worker, clip, seconds, "--speed", TO_30_FPS, *params)
                    )
    print(f"\nLive, 720p30, medians of {rounds} runs of {seconds} s")
    table(
        ["input", "worker", "p50, ms", "p99, ms", "CPU per frame, ms", "most resident, MB",
         "first frame, ms", "frames lost", "ready, ms"],
        [
            (
                os.path.basename(clip),
                name,
                middle(reports, lambda r: r["latency_ms"]["p50"]),
                middle(reports, lambda r: r["latency_ms"]["p99"]),
                middle(reports, lambda r: r["cpu_ms_per_frame"]),
                middle(reports, lambda r: r["rss_mb_peak"]),
                middle(reports, lambda r: r["first_frame_ms"]),
                sum(r["frames_lost"] for r in reports),
                statistics.median(ready[name]),
            )
            for (clip, name), reports in live.items()
        ],
    )

    rows = []
    for name, (start, params) in kinds.items():
        with start() as worker:
            most = bench(worker, BASELINE, max(5, seconds // 4), "--find-max", *params)
        rows.append((name, most["fps_max"], most["at_max"]["cpu_ms_per_frame"]))
    print("\nThe most that is sustained, 720p")
    table(["worker", "frames per second", "CPU per frame, ms"], rows)

    rows = []
    for sessions in (1, 4):
        with trickle("invert", sessions) as worker:
            report = bench(worker, SMALL, seconds, "--sessions", str(sessions))
        latency = report["latency_ms"]
        rows.append((sessions, report["fps"]["out"], latency["p50"], latency["p99"], report["cpu_ms_per_frame"]))
    print("\nSessions of 360p30 at once, `invert`")
    table(["sessions", "frames per second", "p50, ms", "p99, ms", "CPU per frame, ms"], rows)

    rows = [("trickle, `invert`", [TRICKLE, "process", BASELINE, "/dev/null", "--processor", "invert"])]
    if shutil.which("ffmpeg"):
        convert = ["-vf", "format=gbrpf32le,format=yuv420p", "-c:v", "libx264", "-preset", "superfast"]
        ffmpeg = ["ffmpeg", "-v", "error", "-i", BASELINE, "-an", *convert, "-tune", "zerolatency"]
        rows.append(("FFmpeg, x264 superfast zerolatency, to RGB f32 and back", [*ffmpeg, "-f", "mpegts", "-y", "/dev/null"]))
    print("\nThe same clip as a file")
    table(
        ["program", "CPU per frame, ms"],
        [(name, min(cpu_ms_per_frame(command, 125) for _ in range(rounds))) for name, command in rows],
    )


if __name__ == "__main__":
    main()

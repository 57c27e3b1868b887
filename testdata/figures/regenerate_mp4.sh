#!/usr/bin/env bash
# Takes the mp4_*.json figures from ffprobe and ffmpeg: what the MP4 reader and the audio decoders
# are checked against. Needs ffmpeg and python3; the tests need neither.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 regenerate_mp4.py

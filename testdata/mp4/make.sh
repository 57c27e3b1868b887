#!/usr/bin/env bash
# Makes the small synthetic MP4 files of this folder with FFmpeg (libx264, aac, libopus).
set -euo pipefail
cd "$(dirname "$0")"
make() {
    ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25:d=1.2 -f lavfi -i sine=440:d=1.2:r=44100 \
        -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -threads 1 -pix_fmt yuv420p \
        -c:v libx264 -preset veryfast -b:v 30k -g 10 "$@"
}
# B-frames, an edit list for their delay and for AAC's priming, moov at the end.
make -bf 3 -c:a aac -b:a 32k -metadata:s:a:0 language=deu bframes.mp4
# Fragments; no edit list.
make -bf 2 -c:a aac -b:a 32k -movflags +frag_keyframe+empty_moov+default_base_moof fragments.mp4
# Fragments with absolute offsets, one track in each.
make -bf 2 -c:a aac -b:a 32k -movflags +frag_keyframe+empty_moov+separate_moof -frag_duration 300000 separate_fragments.mp4
# Opus, moov in front.
make -bf 0 -c:a libopus -b:a 32k -movflags +faststart opus.mp4
# An empty edit: video starts half a second after audio.
ffmpeg -v error -y -itsoffset 0.5 -i bframes.mp4 -i bframes.mp4 -map 0:v -map 1:a -c copy \
    -fflags +bitexact delayed.mp4
# H.265.
ffmpeg -v error -y -i ../media/hevc_240p25.ts -an -c copy -frames:v 15 -tag:v hvc1 \
    -fflags +bitexact hevc.mp4
# Cut without coding: the edit begins inside a group of pictures, on a picture.
ffmpeg -v error -y -ss 0.72 -i bframes.mp4 -c copy -fflags +bitexact cut.mp4
# The same of an open group of pictures: it begins with a keyframe that is no IDR picture.
ffmpeg -v error -y -i ../media/h264_open_gop.ts -c copy -fflags +bitexact whole.mp4
ffmpeg -v error -y -ss 0.5 -i whole.mp4 -c copy -fflags +bitexact open_gop_cut.mp4
rm whole.mp4
# Composition offsets below zero (as in CMAF): decode times are those of no delay at all.
make -bf 2 -c:a aac -b:a 32k -movflags +negative_cts_offsets negative_offsets.mp4

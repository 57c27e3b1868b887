#!/usr/bin/env bash
# Cuts seeds for the media targets from the clips in testdata, into fuzz/corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p corpus/{ts_demux,ts_tables,h264,hevc,audio_headers,mp4}
for clip in ../testdata/media/*.ts; do
    name=$(basename "$clip" .ts)
    { printf Z; head -c $((188 * 60)) "$clip"; } > "corpus/ts_demux/$name"
    # With a time in front of each packet: 192 bytes.
    { printf Z; head -c $((188 * 20)) "$clip" | xxd -p -c 188 | sed 's/^/00000000/' | xxd -r -p; } \
        > "corpus/ts_demux/$name.m2ts"
    head -c $((188 * 4)) "$clip" | tail -c +6 > "corpus/ts_tables/$name"
    head -c $((188 * 20)) "$clip" > "corpus/h264/$name"
    case $name in hevc*)
        head -c $((188 * 6)) "$clip" > "corpus/hevc/$name"
        # From behind the header of the first sequence parameter set on.
        LC_ALL=C grep -obUaP '\x00\x00\x01\x42\x01' "$clip" | head -n1 | cut -d: -f1 \
            | { read -r at; tail -c +$((at + 6)) "$clip" | head -c 60 > "corpus/hevc/$name.sps"; } ;;
    esac
done
for file in ../testdata/audio/*.aac; do
    head -c 2000 "$file" > "corpus/audio_headers/$(basename "$file")"
done
head -c $((188 * 8)) ../testdata/media/aac_latm.ts | tail -c +$((188 * 3 + 19)) \
    > corpus/audio_headers/latm
for file in ../testdata/mp4/*.mp4; do
    head -c 20000 "$file" > "corpus/mp4/$(basename "$file")"
done

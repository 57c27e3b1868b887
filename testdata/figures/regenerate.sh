#!/usr/bin/env bash
# Writes the figures of every clip in testdata/media, as ffprobe and ffmpeg see it, to CLIP.json.
# Given paths of clips, it writes only theirs. Tests compare with these files and need neither
# program. Made with FFmpeg 5.1.9; needs jq.
#
#   streams[].pts, dts, size: one entry per packet, in the order of the file; pts and dts in the
#     stream's time_base, null where the container states none. Sizes are of packets as FFmpeg cuts
#     them: AAC from transport streams with its ADTS header.
#   streams[].key: indices of the packets flagged as keyframes.
#   frames: the decoded pictures in display order, pixels as they are coded (no scaling, also where
#     the size changes): time, bytes and MD5 of each. Left out for damaged clips, where decoders
#     differ.
set -euo pipefail
cd "$(dirname "$0")"

for clip in ${@:-../media/*.ts ../media/*.m2ts ../media/*.mp4}; do
  name=$(basename "$clip")
  streams=$(ffprobe -v quiet -show_streams -show_packets -of json "$clip" | jq -c '
    . as $all | [.streams[] | .index as $index
      | [$all.packets[] | select(.stream_index == $index)] as $packets
      | {id: .id, codec: .codec_name, time_base: .time_base}
        + (if .codec_type == "video"
           then {profile: .profile, level: .level, width: .width, height: .height,
                 pix_fmt: .pix_fmt, frame_rate: .r_frame_rate, reorder: .has_b_frames}
           else {sample_rate: (.sample_rate | tonumber), channels: .channels} end)
        + {pts: [$packets[].pts], dts: [$packets[].dts], size: [$packets[].size | tonumber],
           key: [$packets | to_entries[] | select(.value.flags | startswith("K")) | .key]}]')
  frames=null
  if [[ $name != damaged_* && $streams == *'"width"'* ]]; then
    frames=$(ffmpeg -v error -copyts -i "$clip" -map 0:v:0 -autoscale 0 -fps_mode passthrough \
      -enc_time_base -1 -f framemd5 - | jq -cRn '
        [inputs | select(startswith("#") | not) | split(",") | map(gsub(" "; ""))]
        | {pts: map(.[2] | tonumber), bytes: map(.[4] | tonumber), md5: map(.[5])}')
  fi
  jq -n --arg clip "$name" --argjson streams "$streams" --argjson frames "$frames" \
    '{clip: $clip, streams: $streams} + (if $frames then {frames: $frames} else {} end)' \
    | jq -c . | sed 's/\("\(id\|frames\)":\)/\n\1/g' > "$name.json"
  echo "$name.json"
done

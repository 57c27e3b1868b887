//! Transport streams: the clips through demuxer, muxer and segmenter, checked against ffprobe's
//! figures, and made-up streams of every kind.

mod clips;
mod damage;
mod remux;
mod support;

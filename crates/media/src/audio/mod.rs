//! Audio bitstreams and sample processing: ADTS, Opus packets, resampling, mixing down.

//! The H.264 bitstream (ITU-T H.264): Annex B byte streams, NAL units, parameter sets.

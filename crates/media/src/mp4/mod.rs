//! MP4 files (ISO/IEC 14496-12).

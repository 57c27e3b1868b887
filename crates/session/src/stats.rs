//! What the stages count and measure, and a snapshot of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trickle_media::backend::Chosen;
use trickle_media::frame::StageTimes;

use crate::deadline::Smoothed;
use crate::histogram::{Histogram, Rate};
use crate::metrics::{LatencyHistogram, LatencyTotals};
use crate::status::{
    AudioStatus, CodecStatus, Dropped, Faults, Fps, FrameCounts, InputStatus, LatencyStatus,
    OutputStatus, ProcessorStatus,
};

/// A count that any stage adds to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }

    /// Takes over what somebody else counts.
    pub(crate) fn raise_to(&self, count: u64) {
        self.0.fetch_max(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A rate that one stage ticks and the snapshot reads.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<Rate>);

impl Meter {
    fn new() -> Self {
        Self(Mutex::new(Rate::new()))
    }

    pub(crate) fn tick(&self, now: Instant) {
        lock(&self.0).tick(now);
    }

    fn read(&self, now: Instant) -> f64 {
        lock(&self.0).per_second(now)
    }
}

/// All that a session counts and measures.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) video_in: Counter,
    pub(crate) generated: Counter,
    pub(crate) decoded: Counter,
    pub(crate) processed: Counter,
    pub(crate) video_out: Counter,
    pub(crate) dropped: DropCounters,
    pub(crate) audio_in: Counter,
    pub(crate) audio_out: Counter,
    pub(crate) audio_dropped: Counter,
    pub(crate) audio_errors: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) segments_in: Counter,
    pub(crate) segments_out: Counter,
    pub(crate) transport_faults: Counter,
    pub(crate) timeline_rebases: Counter,
    pub(crate) input_gaps: Counter,
    pub(crate) input_stalls: Counter,
    pub(crate) input_reconnects: Counter,
    pub(crate) input_restarts: Counter,
    pub(crate) damaged_pictures: Counter,
    pub(crate) decoder_restarts: Counter,
    pub(crate) encoder_restarts: Counter,
    pub(crate) backends_lost: Counter,
    pub(crate) output_segments_lost: Counter,
    pub(crate) output_reconnects: Counter,
    pub(crate) processor_errors: Counter,
    pub(crate) processor_panics: Counter,
    pub(crate) processor_stalls: Counter,
    pub(crate) stood_in: Counter,
    pub(crate) data_items: Counter,
    pub(crate) events: Counter,
    pub(crate) video_in_rate: Meter,
    pub(crate) audio_in_rate: Meter,
    pub(crate) processed_rate: Meter,
    pub(crate) video_out_rate: Meter,
    pub(crate) audio_out_rate: Meter,
    latency: Mutex<Latencies>,
    facts: Mutex<Facts>,
}

/// Why pictures were left out; see [`Dropped`].
#[derive(Debug, Default)]
pub(crate) struct DropCounters {
    pub(crate) no_keyframe: Counter,
    pub(crate) decoder_busy: Counter,
    pub(crate) damaged: Counter,
    pub(crate) max_framerate: Counter,
    pub(crate) processor_busy: Counter,
    pub(crate) by_processor: Counter,
    pub(crate) processor_error: Counter,
    pub(crate) processor_late: Counter,
    pub(crate) deadline: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) encoder_error: Counter,
    pub(crate) publisher_busy: Counter,
    pub(crate) device_error: Counter,
    pub(crate) stopped: Counter,
}

/// What changes seldom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) input: InputStatus,
    pub(crate) output: OutputStatus,
    pub(crate) decoder: Option<CodecStatus>,
    pub(crate) encoder: Option<CodecStatus>,
    pub(crate) audio: AudioStatus,
    pub(crate) processor: ProcessorStatus,
}

impl Facts {
    /// A codec was opened: what it is and why the backends before it were not taken.
    pub(crate) fn opened<T>(slot: &mut Option<CodecStatus>, chosen: &Chosen<T>, name: &str) {
        let opened = slot.as_ref().map_or(0, |codec| codec.opened) + 1;
        let reasons = chosen.passed_over.iter();
        let passed_over: Vec<String> = reasons
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        let told = |reason: &String| {
            let known = slot.as_ref();
            known.is_some_and(|codec| codec.passed_over.contains(reason))
        };
        for reason in passed_over.iter().filter(|reason| !told(reason)) {
            tracing::info!(reason, using = chosen.backend, "backend passed over");
        }
        *slot = Some(CodecStatus {
            name: name.to_owned(),
            backend: chosen.backend.clone(),
            passed_over,
            opened,
        });
    }
}

#[derive(Debug)]
struct Latencies {
    decode: Histogram,
    wait: Histogram,
    process: Histogram,
    encode: Histogram,
    publish: Histogram,
    total: Histogram,
    /// From the processor's return to the bytes out.
    rest: Smoothed,
    since_start: LatencyTotals,
}

/// Counts and measurements, without what belongs to the session's handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) fps: Fps,
    pub(crate) frames: FrameCounts,
    pub(crate) latency_ms: LatencyStatus,
    pub(crate) faults: Faults,
    pub(crate) facts: Facts,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            video_in: Counter::default(),
            generated: Counter::default(),
            decoded: Counter::default(),
            processed: Counter::default(),
            video_out: Counter::default(),
            dropped: DropCounters::default(),
            audio_in: Counter::default(),
            audio_out: Counter::default(),
            audio_dropped: Counter::default(),
            audio_errors: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            segments_in: Counter::default(),
            segments_out: Counter::default(),
            transport_faults: Counter::default(),
            timeline_rebases: Counter::default(),
            input_gaps: Counter::default(),
            input_stalls: Counter::default(),
            input_reconnects: Counter::default(),
            input_restarts: Counter::default(),
            damaged_pictures: Counter::default(),
            decoder_restarts: Counter::default(),
            encoder_restarts: Counter::default(),
            backends_lost: Counter::default(),
            output_segments_lost: Counter::default(),
            output_reconnects: Counter::default(),
            processor_errors: Counter::default(),
            processor_panics: Counter::default(),
            processor_stalls: Counter::default(),
            stood_in: Counter::default(),
            data_items: Counter::default(),
            events: Counter::default(),
            video_in_rate: Meter::new(),
            audio_in_rate: Meter::new(),
            processed_rate: Meter::new(),
            video_out_rate: Meter::new(),
            audio_out_rate: Meter::new(),
            latency: Mutex::new(Latencies {
                decode: Histogram::new(),
                wait: Histogram::new(),
                process: Histogram::new(),
                encode: Histogram::new(),
                publish: Histogram::new(),
                total: Histogram::new(),
                rest: Smoothed::default(),
                since_start: LatencyTotals::default(),
            }),
            facts: Mutex::new(Facts::default()),
        }
    }

    /// What changes seldom, to be changed.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// A picture went out at `sent`, having passed the stages at `times`.
    pub(crate) fn sent(&self, times: &StageTimes, sent: Instant) {
        let mut latency = lock(&self.latency);
        let Latencies {
            decode,
            wait,
            process,
            encode,
            publish,
            total,
            since_start,
            rest,
        } = &mut *latency;
        if let Some(processed) = times.processed {
            rest.record(sent.saturating_duration_since(processed));
        }
        let record = |recent: &mut Histogram, all: &mut LatencyHistogram, from, to| {
            if let (Some(from), Some(to)) = (from, to) {
                let time = Instant::saturating_duration_since(&to, from);
                recent.record(time, sent);
                all.record(time);
            }
        };
        let all = since_start;
        record(decode, &mut all.decode, times.received, times.decoded);
        record(wait, &mut all.wait, times.decoded, times.process_start);
        record(
            process,
            &mut all.process,
            times.process_start,
            times.processed,
        );
        record(encode, &mut all.encode, times.processed, times.encoded);
        record(publish, &mut all.publish, times.encoded, Some(sent));
        record(total, &mut all.total, times.received, Some(sent));
    }

    /// Latencies since the start.
    pub(crate) fn latency_totals(&self) -> LatencyTotals {
        lock(&self.latency).since_start
    }

    /// What the way from the processor's return to the bytes out takes lately.
    pub(crate) fn rest(&self) -> Duration {
        lock(&self.latency).rest.mean().unwrap_or_default()
    }

    /// All of it at `now`.
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let dropped = &self.dropped;
        let frames = FrameCounts {
            received: self.video_in.get(),
            generated: self.generated.get(),
            decoded: self.decoded.get(),
            processed: self.processed.get(),
            out: self.video_out.get(),
            dropped: Dropped {
                no_keyframe: dropped.no_keyframe.get(),
                decoder_busy: dropped.decoder_busy.get(),
                damaged: dropped.damaged.get(),
                max_framerate: dropped.max_framerate.get(),
                processor_busy: dropped.processor_busy.get(),
                by_processor: dropped.by_processor.get(),
                processor_error: dropped.processor_error.get(),
                processor_late: dropped.processor_late.get(),
                deadline: dropped.deadline.get(),
                out_of_order: dropped.out_of_order.get(),
                encoder_error: dropped.encoder_error.get(),
                publisher_busy: dropped.publisher_busy.get(),
                device_error: dropped.device_error.get(),
                stopped: dropped.stopped.get(),
            },
        };
        let fps = Fps {
            ingress_video_fps: self.video_in_rate.read(now),
            ingress_audio_fps: self.audio_in_rate.read(now),
            inference_video_fps: self.processed_rate.read(now),
            egress_video_fps: self.video_out_rate.read(now),
            egress_audio_fps: self.audio_out_rate.read(now),
        };
        let latency_ms = {
            let mut latency = lock(&self.latency);
            LatencyStatus {
                decode: latency.decode.percentiles(now),
                wait: latency.wait.percentiles(now),
                process: latency.process.percentiles(now),
                encode: latency.encode.percentiles(now),
                publish: latency.publish.percentiles(now),
                total: latency.total.percentiles(now),
            }
        };
        let faults = Faults {
            transport: self.transport_faults.get(),
            timeline_rebases: self.timeline_rebases.get(),
            input_gaps: self.input_gaps.get(),
            input_stalls: self.input_stalls.get(),
            input_reconnects: self.input_reconnects.get(),
            input_restarts: self.input_restarts.get(),
            damaged_pictures: self.damaged_pictures.get(),
            decoder_restarts: self.decoder_restarts.get(),
            encoder_restarts: self.encoder_restarts.get(),
            backends_lost: self.backends_lost.get(),
            output_segments_lost: self.output_segments_lost.get(),
            output_reconnects: self.output_reconnects.get(),
        };
        let mut facts = self.facts().clone();
        facts.input.bytes = self.bytes_in.get();
        facts.input.segments = self.segments_in.get();
        facts.output.bytes = self.bytes_out.get();
        facts.output.segments = self.segments_out.get();
        facts.audio.received = self.audio_in.get();
        facts.audio.out = self.audio_out.get();
        facts.audio.dropped = self.audio_dropped.get();
        facts.audio.errors = self.audio_errors.get();
        facts.processor.errors = self.processor_errors.get();
        facts.processor.panics = self.processor_panics.get();
        facts.processor.stalls = self.processor_stalls.get();
        facts.processor.stood_in = self.stood_in.get();
        facts.processor.data_items = self.data_items.get();
        facts.processor.events = self.events.get();
        Snapshot {
            fps,
            frames,
            latency_ms,
            faults,
            facts,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are plain numbers: a panic elsewhere leaves none of them half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "stats_test.rs"]
mod tests;

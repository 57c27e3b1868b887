//! Counts over all sessions of a worker, those that have ended included, so that they never fall.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use trickle_session::{
    ChannelsStatus, EndReason, LatencyTotals, PublishedStatus, Session, SessionStatus,
};

/// What sessions counted, added up. The labels of causes and kinds are those of
/// `/stream/status`: what is added there is exported without further ado.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Sessions that have ended, by reason.
    pub(crate) ended: BTreeMap<&'static str, u64>,
    /// Pictures that reached a stage, by stage.
    pub(crate) frames: BTreeMap<&'static str, u64>,
    /// Pictures left out, by cause.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// What went wrong and was survived, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) bytes: InAndOut,
    pub(crate) segments: InAndOut,
    pub(crate) audio: InAndOut,
    pub(crate) audio_dropped: u64,
    pub(crate) audio_errors: u64,
    pub(crate) processor_errors: u64,
    pub(crate) processor_panics: u64,
    pub(crate) processor_stalls: u64,
    /// Pictures that went out without the processor.
    pub(crate) stood_in: u64,
    /// Items and events of processors, by what became of them.
    pub(crate) emitted: BTreeMap<&'static str, u64>,
    /// Messages of side channels, by channel and what became of them.
    pub(crate) messages: BTreeMap<(&'static str, &'static str), u64>,
    /// Codecs that were opened.
    pub(crate) codecs: BTreeMap<Codec, u64>,
    pub(crate) latency: LatencyTotals,
}

/// A count of each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InAndOut {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl InAndOut {
    fn add(&mut self, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
    }
}

/// A codec in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Codec {
    /// `decode` or `encode`.
    pub(crate) direction: &'static str,
    pub(crate) backend: String,
    pub(crate) name: String,
}

impl Totals {
    /// Adds a session as it stands.
    pub(crate) fn add(&mut self, session: &Session) {
        self.add_status(&session.status());
        self.latency += session.latency_totals();
    }

    /// Adds a session that has ended.
    pub(crate) fn add_ended(&mut self, session: &Session) {
        let status = session.status();
        let reason = status.ended.as_ref().map_or("unknown", EndReason::name);
        *self.ended.entry(reason).or_default() += 1;
        self.add_status(&status);
        self.latency += session.latency_totals();
    }

    fn add_status(&mut self, status: &SessionStatus) {
        let frames = &status.frames;
        for (stage, count) in [
            ("in", frames.received),
            ("generated", frames.generated),
            ("decoded", frames.decoded),
            ("processed", frames.processed),
            ("out", frames.out),
        ] {
            *self.frames.entry(stage).or_default() += count;
        }
        add_named(&mut self.dropped, &frames.dropped);
        add_named(&mut self.faults, &status.faults);
        let (input, output, audio) = (&status.input, &status.output, &status.audio);
        self.bytes.add(input.bytes, output.bytes);
        self.segments.add(input.segments, output.segments);
        self.audio.add(audio.received, audio.out);
        self.audio_dropped += audio.dropped;
        self.audio_errors += audio.errors;
        self.processor_errors += status.processor.errors;
        let processor = &status.processor;
        self.processor_panics += processor.panics;
        self.processor_stalls += processor.stalls;
        self.stood_in += processor.stood_in;
        for (what, count) in [
            ("data", processor.data_items),
            ("event", processor.events),
            ("refused", processor.refused),
        ] {
            *self.emitted.entry(what).or_default() += count;
        }
        for (message, count) in messages(&status.channels) {
            *self.messages.entry(message).or_default() += count;
        }
        for (codec, opened) in codecs(status) {
            *self.codecs.entry(codec).or_default() += opened;
        }
    }
}

/// What became of the messages of a session's channels, by channel and outcome.
fn messages(
    channels: &ChannelsStatus,
) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
    let control = channels.control.as_ref();
    let control = control.map_or((0, 0), |channel| (channel.received, channel.rejected));
    let published = |channel: &Option<PublishedStatus>| {
        let channel = channel.as_ref();
        channel.map_or((0, 0), |channel| (channel.published, channel.dropped))
    };
    let (events, data) = (published(&channels.events), published(&channels.data));
    [
        (("control", "received"), control.0),
        (("control", "rejected"), control.1),
        (("events", "published"), events.0),
        (("events", "dropped"), events.1),
        (("data", "published"), data.0),
        (("data", "dropped"), data.1),
    ]
    .into_iter()
}

/// The codecs of a session, and how often each was opened.
pub(crate) fn codecs(status: &SessionStatus) -> impl Iterator<Item = (Codec, u64)> {
    let both = [("decode", &status.decoder), ("encode", &status.encoder)];
    both.into_iter().filter_map(|(direction, codec)| {
        let codec = codec.as_ref()?;
        let key = Codec {
            direction,
            backend: codec.backend.clone(),
            name: codec.name.clone(),
        };
        Some((key, codec.opened))
    })
}

/// Adds the numbers of a flat struct under the names that its JSON form gives them.
fn add_named(sums: &mut BTreeMap<String, u64>, counts: &impl Serialize) {
    let Ok(Value::Object(counts)) = serde_json::to_value(counts) else {
        return;
    };
    for (name, count) in counts {
        *sums.entry(name).or_default() += count.as_u64().unwrap_or(0);
    }
}

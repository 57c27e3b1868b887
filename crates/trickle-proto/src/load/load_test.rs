//! The generator measures what it should.

use proptest::prelude::*;

use super::*;

#[test]
fn quantiles_are_exact_to_three_percent() {
    let mut histogram = Histogram::default();
    for micros in 1..=10_000u64 {
        histogram.record(Duration::from_micros(micros));
    }
    for (quantile, wanted) in [(0.5, 5.0), (0.99, 9.9), (1.0, 10.0)] {
        let got = histogram.quantile(quantile).as_secs_f64() * 1e3;
        assert!((got / wanted - 1.0).abs() < 0.032, "{quantile}: {got} ms");
    }
    assert_eq!(histogram.percentiles_ms().max, 10.0);
}

#[test]
fn distributions_add_up_and_take_any_duration() {
    let (mut one, mut other) = (Histogram::default(), Histogram::default());
    one.record(Duration::ZERO);
    other.record(Duration::MAX);
    one.add(&other);
    assert_eq!(one.count(), 2);
    assert_eq!(one.quantile(0.1), Duration::ZERO);
    assert_eq!(one.quantile(1.0), Duration::MAX);
}

proptest! {
    #[test]
    fn marks_are_found_however_the_bytes_are_cut(
        chunk_bytes in stamp::BYTES..200, count in 1usize..20, cut in 1usize..64,
    ) {
        let mut stamper = Stamper::new(chunk_bytes);
        let times: Vec<_> = (0..count as u64).map(Duration::from_nanos).collect();
        let all: Vec<u8> = times.iter().flat_map(|&time| stamper.chunk(time)).collect();
        let mut reader = StampReader::new(chunk_bytes);
        let mut found = Vec::new();
        for part in all.chunks(cut) {
            reader.read(part, |time| found.push(time));
        }
        prop_assert_eq!(found, times);
    }
}

/// Loads a relay in this very process.
async fn load(chunk_interval: Option<Duration>) -> LoadReport {
    let relay = crate::Relay::new(crate::RelayConfig {
        autocreate: true,
        // A machine that is busy must not lose any.
        ring: 10_000,
        ..crate::RelayConfig::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/load", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move { relay.serve(listener, std::future::pending()).await });
    let client = Client::new(crate::ClientConfig::default()).unwrap();
    let config = LoadConfig {
        url,
        subscribers: 3,
        segment_bytes: 4096,
        chunk_bytes: 1024,
        chunk_interval,
        duration: Duration::from_millis(50),
    };
    run(&client, &config).await.unwrap()
}

#[tokio::test]
async fn all_that_is_written_is_read_by_all() {
    let report = load(None).await;
    assert!(report.segments > 0);
    assert_eq!(report.lost_segments, 0);
    assert_eq!(report.in_bytes, report.segments * 4096);
    assert_eq!(report.out_bytes, 3 * report.in_bytes);
    assert!(report.chunk_delay_ms.p50 > 0.0);
    assert_eq!(report.chunk_delay_until, DelayUntil::Read);
    assert_eq!(
        report.server.map(|server| server.pid),
        Some(std::process::id())
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_paced_load_ends_delays_where_chunks_arrive() {
    // The kernel begins to note times only a while after it was first asked to.
    let mut report = load(Some(Duration::from_millis(1))).await;
    while report.chunk_delay_until != DelayUntil::Arrival {
        report = load(Some(Duration::from_millis(1))).await;
    }
    assert!(report.chunk_delay_ms.p50 > 0.0);
    assert_eq!(report.lost_segments, 0);
    assert_eq!(report.out_bytes, 3 * report.in_bytes);
}

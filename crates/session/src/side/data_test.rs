//! Batches, lines and silence of the data channel, in virtual time.

use super::*;
use crate::side::testing::Recorder;

fn items(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_batch_as_lines() {
    let batch = items(&["{\"a\":1}", "2", "\"x\""]);
    assert_eq!(lines(&batch, DataFormat::Array), "[{\"a\":1},2,\"x\"]\n");
    assert_eq!(lines(&batch, DataFormat::Lines), "{\"a\":1}\n2\n\"x\"\n");
}

#[test]
fn no_line_is_longer_than_readers_take() {
    let largest = "9".repeat(trickle_processor::MAX_ITEM);
    let half = "1".repeat(32 << 10);
    let batch = vec!["7".into(), largest.clone(), "8".into(), half.clone(), half];
    for (format, count) in [(DataFormat::Array, 4), (DataFormat::Lines, 5)] {
        let bytes = lines(&batch, format);
        let text = std::str::from_utf8(&bytes).unwrap();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len(), count);
        assert!(lines.iter().all(|line| line.len() < 64 << 10));
        assert!(lines[1].contains(&largest));
        let all: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(all, batch.concat(), "nothing is lost or in another order");
    }
}

#[tokio::test(start_paused = true)]
async fn items_are_gathered_for_a_third_of_a_second() {
    let recorder = Recorder::new();
    let (sender, queue) = mpsc::channel(16);
    let task = tokio::spawn(run(recorder.clone(), queue, DataFormat::Array));
    let send = async |at: u64, item: &str| {
        tokio::time::sleep(Duration::from_millis(at)).await;
        sender.send(item.into()).await.unwrap();
    };
    send(0, "1").await;
    send(100, "2").await;
    send(200, "3").await;
    // 333 ms after the first, the batch is full; this one begins another.
    send(100, "4").await;
    send(1000, "5").await;
    drop(sender);
    task.await.unwrap();
    let expected = [
        (333, "[1,2,3]\n"),
        (733, "[4]\n"),
        (1400, "[5]\n"),
        (1400, "closed"),
    ];
    let expected: Vec<_> = expected.map(|(at, text)| (at, text.to_owned())).into();
    assert_eq!(recorder.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_every_25_seconds() {
    for (format, line) in [(DataFormat::Array, "[]\n"), (DataFormat::Lines, "{}\n")] {
        let recorder = Recorder::new();
        let (sender, queue) = mpsc::channel(16);
        let task = tokio::spawn(run(recorder.clone(), queue, format));
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(sender);
        task.await.unwrap();
        let expected = [(25_000, line), (50_000, line), (60_000, "closed")];
        let expected: Vec<_> = expected.map(|(at, text)| (at, text.to_owned())).into();
        assert_eq!(recorder.sent(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_sent_before_its_time() {
    let recorder = Recorder::new();
    let (sender, queue) = mpsc::channel(64);
    let task = tokio::spawn(run(recorder.clone(), queue, DataFormat::Lines));
    for _ in 0..33 {
        sender.send("1".repeat(32 << 10)).await.unwrap();
    }
    drop(sender);
    task.await.unwrap();
    let sizes: Vec<_> = recorder
        .sent()
        .iter()
        .map(|(_, text)| text.matches('\n').count())
        .collect();
    assert_eq!(sizes, [32, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_takes_no_more() {
    let recorder = Recorder::closed_after(1);
    let (sender, queue) = mpsc::channel(16);
    let task = tokio::spawn(run(recorder.clone(), queue, DataFormat::Array));
    sender.send("1".into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sender.send("2".into()).await.unwrap();
    task.await.unwrap();
    assert!(sender.send("3".into()).await.is_err());
    assert_eq!(recorder.sent(), [(333, "[1]\n".to_owned())]);
}

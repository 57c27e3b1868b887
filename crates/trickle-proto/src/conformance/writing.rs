//! Rules about writing: indices, order, repeats, resets, and publishers that vanish.

use http::Method;
use tokio::io::AsyncWriteExt;

use super::{Check, Failure, checks, ensure, probe::Probe};
use crate::wire;

pub(super) fn checks() -> Vec<Check> {
    checks! {
        core Autocreate post_tells_its_index: "a POST is answered 200 with Lp-Trickle-Seq";
        core Autocreate post_to_minus_one_takes_the_next: "a POST to -1 writes the next segment";
        core Autocreate post_is_answered_when_its_body_ends:
            "a POST is answered when its body ends, whatever its readers do";
        core Autocreate bad_indices_are_400: "an index that is no number is answered 400";
        beyond Autocreate absurd_indices_do_no_harm:
            "an index that no segment can have is refused, and the channel lives on";
        core Autocreate empty_post_advances: "an empty POST takes an index like any other";
        core Autocreate repeated_post_appends:
            "a POST to an index that is still open appends to it";
        core Autocreate repeated_post_to_finished_is_dropped:
            "a POST to an index that is finished is answered 200 and changes nothing";
        core Autocreate reset_closes_earlier_segments:
            "a POST with Lp-Trickle-Reset: 1 ends every earlier open segment";
        core Autocreate reset_leaves_later_segments:
            "a POST with Lp-Trickle-Reset: 1 leaves later, preconnected segments open";
        core Autocreate vanished_publisher_ends_its_segment:
            "a publisher whose connection breaks ends the segment for its readers";
        beyond Autocreate publisher_that_restarts_at_zero:
            "a POST to 0 of a channel that has gone on restarts it there";
        core Autocreate jump_ahead_is_taken: "a POST far ahead moves the channel there";
        beyond Autocreate late_post_never_moves_back:
            "a POST to an index inside the ring does not move the next index back";
        core Autocreate deleting_a_segment_wakes_readers:
            "DELETE {channel}/{seq} ends a segment, waking its readers";
        core Autocreate deleting_a_missing_segment_is_400:
            "DELETE of a segment that does not exist is answered 400";
        beyond Autocreate deleting_minus_one_does_no_harm:
            "DELETE {channel}/-1 is refused and the channel lives on";
    }
}

async fn post_tells_its_index(probe: Probe) -> Result<(), Failure> {
    for index in 0..3u32 {
        let answered = probe.write(index, "x").await?;
        ensure!(
            answered.head.seq == Some(index.into()),
            "got {:?}",
            answered.head.seq
        );
    }
    Ok(())
}

async fn post_to_minus_one_takes_the_next(probe: Probe) -> Result<(), Failure> {
    for index in 0..3u32 {
        let answered = probe.write("-1", &index.to_string()).await?;
        ensure!(
            answered.head.seq == Some(index.into()),
            "got {:?}",
            answered.head.seq
        );
        probe
            .read(index)
            .await?
            .expect_segment(index, &index.to_string())?;
    }
    Ok(())
}

async fn post_is_answered_when_its_body_ends(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    posting.write("x").await?;
    let _unread = probe.get("-2")?.head().await?;
    posting.finish().await?.expect(200)?;
    Ok(())
}

async fn bad_indices_are_400(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    for index in ["x", "1.5", "0x1", "%20"] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answered = probe.ask(method.clone(), &format!("/{index}")).await?;
            ensure!(
                answered.status == 400,
                "{method} {index}: {}",
                answered.describe()
            );
        }
    }
    Ok(())
}

async fn absurd_indices_do_no_harm(probe: Probe) -> Result<(), Failure> {
    probe.write_many(2).await?;
    let absurd = [
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e9",
        "99999999999999999999999999",
        "-99999999999999999999999999",
    ];
    for index in absurd {
        for method in [Method::GET, Method::DELETE, Method::POST] {
            let answered = probe.ask(method.clone(), &format!("/{index}")).await?;
            let refused = (400..500).contains(&answered.status);
            ensure!(refused, "{method} {index}: {}", answered.describe());
        }
    }
    ensure!(probe.next().await? == 2, "the next index moved");
    probe.write(2, "on").await?;
    probe.read(2).await?.expect_segment(2, "on")?;
    Ok(())
}

async fn empty_post_advances(probe: Probe) -> Result<(), Failure> {
    probe.write(0, "").await?;
    ensure!(probe.next().await? == 1, "the next index is not 1");
    probe.read(0).await?.expect_segment(0, "")?;
    Ok(())
}

async fn repeated_post_appends(probe: Probe) -> Result<(), Failure> {
    let first = probe.post(0)?;
    first.write("one ").await?;
    probe.wait_for_next(1).await?;
    let mut reader = probe.get(0)?.head().await?;
    reader.expect_bytes("one ").await?;
    let second = probe.post(0)?;
    second.write("two").await?;
    reader.expect_bytes("two").await?;
    first.finish().await?.expect(200)?;
    second.finish().await?.expect(200)?;
    probe.read(0).await?.expect_segment(0, "one two")?;
    Ok(())
}

async fn repeated_post_to_finished_is_dropped(probe: Probe) -> Result<(), Failure> {
    probe.write(0, "first").await?;
    probe.write(0, "second").await?;
    probe.read(0).await?.expect_segment(0, "first")?;
    ensure!(probe.next().await? == 1, "the next index moved");
    Ok(())
}

async fn reset_closes_earlier_segments(probe: Probe) -> Result<(), Failure> {
    let hung = probe.post(0)?;
    hung.write("half").await?;
    probe.wait_for_next(1).await?;
    let reader = probe.get(0)?.head().await?;
    let reset = probe.post_with(1, &[(wire::RESET, "1")])?;
    let answered = reader.whole().await?;
    ensure!(&answered.body[..] == b"half", "got {}", answered.describe());
    reset.finish().await?.expect(200)?;
    Ok(())
}

async fn reset_leaves_later_segments(probe: Probe) -> Result<(), Failure> {
    probe.write(0, "0").await?;
    let later = probe.post(2)?;
    let mut reader = probe.get(1)?;
    let reset = probe.post_with(1, &[(wire::RESET, "1")])?;
    reader.stays_open().await?;
    reset.write("1").await?;
    reset.finish().await?.expect(200)?;
    reader.whole().await?.expect_segment(1, "1")?;
    later.write("2").await?;
    later.finish().await?.expect(200)?;
    probe.read(2).await?.expect_segment(2, "2")?;
    Ok(())
}

async fn vanished_publisher_ends_its_segment(probe: Probe) -> Result<(), Failure> {
    let mut socket = probe.socket().await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        probe.path("/0"),
        probe.host()
    );
    socket.write_all(head.as_bytes()).await?;
    probe.wait_for_next(1).await?;
    let mut reader = probe.get(0)?.head().await?;
    reader.expect_bytes("half").await?;
    drop(socket);
    reader.over().await
}

async fn publisher_that_restarts_at_zero(probe: Probe) -> Result<(), Failure> {
    probe.write_many(3).await?;
    probe.write(0, "new").await?;
    probe.read(0).await?.expect_segment(0, "new")?;
    ensure!(probe.next().await? == 1, "the next index is not 1");
    probe.read("-2").await?.expect_segment(0, "new")?;
    Ok(())
}

async fn jump_ahead_is_taken(probe: Probe) -> Result<(), Failure> {
    probe.write_many(2).await?;
    probe.write(1000, "far").await?;
    ensure!(probe.next().await? == 1001, "the next index is not 1001");
    probe.read("-2").await?.expect_segment(1000, "far")?;
    Ok(())
}

async fn late_post_never_moves_back(probe: Probe) -> Result<(), Failure> {
    probe.write(4, "later").await?;
    probe.write(3, "earlier").await?;
    ensure!(probe.next().await? == 5, "the next index is not 5");
    probe.read(3).await?.expect_segment(3, "earlier")?;
    Ok(())
}

async fn deleting_a_segment_wakes_readers(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    posting.write("half").await?;
    probe.wait_for_next(1).await?;
    let mut reader = probe.get(0)?.head().await?;
    reader.expect_bytes("half").await?;
    let mut waiting = probe.get(1)?;
    waiting.stays_open().await?;
    for index in ["0", "1"] {
        probe.delete(index).await?.expect(200)?;
    }
    let answered = reader.whole().await?;
    ensure!(
        answered.body.is_empty(),
        "more came: {}",
        answered.describe()
    );
    let woken = waiting.whole().await?;
    // Some relays answer an empty segment, some that it does not exist; both move readers on.
    let moves_on = woken.status == wire::STATUS_NO_SEGMENT || woken.status == 200;
    ensure!(moves_on, "the waiting reader got {}", woken.describe());
    Ok(())
}

async fn deleting_a_missing_segment_is_400(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    probe.delete("7").await?.expect(400)?;
    Ok(())
}

async fn deleting_minus_one_does_no_harm(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    let answered = probe.delete("-1").await?;
    ensure!(
        (400..500).contains(&answered.status),
        "got {}",
        answered.describe()
    );
    probe.write(1, "on").await?;
    probe.read(1).await?.expect_segment(1, "on")?;
    Ok(())
}

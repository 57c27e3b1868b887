//! Rules about reading: following live, waiting ahead, and being told what does not exist.

use http::{Method, header};

use super::{Check, Failure, checks, ensure, probe::Probe};
use crate::http::client::ClientBody;

pub(super) fn checks() -> Vec<Check> {
    checks! {
        core Autocreate reading_follows_the_writer:
            "a reader gets bytes as they are written, before the segment ends";
        core Autocreate late_reader_starts_at_the_first_byte:
            "a reader that comes late gets the segment from its first byte";
        core Autocreate head_waits_for_the_first_byte:
            "the answer's head is held until the segment's first byte";
        core Autocreate minus_one_waits_for_the_next:
            "GET -1 waits for the next segment to be written";
        core Autocreate minus_two_is_the_current:
            "GET -2 gives the segment that is being written, or waits for 0";
        beyond Autocreate minus_n_counts_back: "GET -N gives the one N-1 before the next";
        core Autocreate reader_waits_on_an_empty_channel:
            "readers may wait for 0 and 1 of an empty channel";
        core Autocreate too_far_ahead_is_470:
            "a segment too far ahead is answered 470 with Lp-Trickle-Latest and Lp-Trickle-Seq";
        core Autocreate fell_behind_the_ring_is_470:
            "a segment that left the ring is answered 470 with Lp-Trickle-Latest";
        core Autocreate ring_keeps_the_last_segments: "at least the last four segments are kept";
        core Autocreate type_of_the_first_post: "the MIME type is the first POST's";
        core Autocreate type_of_the_create: "the MIME type is the one at creation, if it was named";
        beyond Autocreate latest_and_size_are_told:
            "a segment's answer has Lp-Trickle-Latest and Lp-Trickle-Size";
        core Autocreate head_request: "HEAD is answered like GET, without a body";
        core Autocreate cancelled_readers_do_no_harm:
            "readers that go away leave writer and other readers alone";
        core Autocreate many_readers_get_the_same: "all readers of a segment get the same bytes";
    }
}

async fn reading_follows_the_writer(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    posting.write("first").await?;
    probe.wait_for_next(1).await?;
    let mut reader = probe.get(0)?.head().await?;
    reader.expect_bytes("first").await?;
    for part in ["a", "bc", "def"] {
        posting.write(part).await?;
        reader.expect_bytes(part).await?;
    }
    posting.finish().await?.expect(200)?;
    ensure!(
        reader.whole().await?.body.is_empty(),
        "bytes came that nobody wrote"
    );
    Ok(())
}

async fn late_reader_starts_at_the_first_byte(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    posting.write("early ").await?;
    probe.wait_for_next(1).await?;
    let mut early = probe.get(0)?.head().await?;
    early.expect_bytes("early ").await?;
    posting.write("late").await?;
    early.expect_bytes("late").await?;
    let mut late = probe.get(0)?.head().await?;
    late.expect_bytes("early late").await?;
    posting.finish().await?.expect(200)?;
    Ok(())
}

async fn head_waits_for_the_first_byte(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    let posting = probe.post(1)?;
    let mut reader = probe.get(1)?;
    reader.stays_open().await?;
    posting.write("now").await?;
    let mut reader = reader.head().await?;
    ensure!(
        reader.head.seq == Some(1.into()),
        "Lp-Trickle-Seq is {:?}",
        reader.head.seq
    );
    reader.expect_bytes("now").await?;
    posting.finish().await?.expect(200)?;
    Ok(())
}

async fn minus_one_waits_for_the_next(probe: Probe) -> Result<(), Failure> {
    probe.write_many(2).await?;
    let mut reader = probe.get("-1")?;
    reader.stays_open().await?;
    probe.write(2, "two").await?;
    reader.whole().await?.expect_segment(2, "two")?;
    Ok(())
}

async fn minus_two_is_the_current(probe: Probe) -> Result<(), Failure> {
    probe.create("video/mp2t").await?.expect(200)?;
    let mut reader = probe.get("-2")?;
    reader.stays_open().await?;
    probe.write(0, "0").await?;
    reader.whole().await?.expect_segment(0, "0")?;
    probe.write(1, "1").await?;
    probe.read("-2").await?.expect_segment(1, "1")?;
    Ok(())
}

async fn minus_n_counts_back(probe: Probe) -> Result<(), Failure> {
    probe.write_many(4).await?;
    probe.read("-3").await?.expect_segment(2, "2")?;
    probe.read("-4").await?.expect_segment(1, "1")?;
    for index in ["-6", "-100"] {
        let answered = probe.read(index).await?;
        let refused = matches!(answered.status, 400 | crate::wire::STATUS_NO_SEGMENT);
        ensure!(refused, "{index}: {}", answered.describe());
    }
    Ok(())
}

async fn reader_waits_on_an_empty_channel(probe: Probe) -> Result<(), Failure> {
    probe.create("video/mp2t").await?.expect(200)?;
    let (mut zero, mut one) = (probe.get(0)?, probe.get(1)?);
    zero.stays_open().await?;
    one.stays_open().await?;
    probe.write_many(2).await?;
    zero.whole().await?.expect_segment(0, "0")?;
    one.whole().await?.expect_segment(1, "1")?;
    Ok(())
}

async fn too_far_ahead_is_470(probe: Probe) -> Result<(), Failure> {
    probe.write_many(2).await?;
    let answered = probe.read(7).await?.expect_no_segment(2)?;
    ensure!(
        answered.head.seq == Some(7.into()),
        "Lp-Trickle-Seq is {:?}",
        answered.head.seq
    );
    let empty = probe.named("empty");
    empty.create("video/mp2t").await?.expect(200)?;
    empty.read(2).await?.expect_no_segment(0)?;
    Ok(())
}

async fn fell_behind_the_ring_is_470(probe: Probe) -> Result<(), Failure> {
    probe.write_many(40).await?;
    let answered = probe.read(1).await?;
    if answered.status == 200 {
        return Err(Failure::Skipped(
            "the ring holds forty segments or more".into(),
        ));
    }
    answered.expect_no_segment(40)?;
    Ok(())
}

async fn ring_keeps_the_last_segments(probe: Probe) -> Result<(), Failure> {
    probe.write_many(9).await?;
    for index in 5..9u32 {
        probe
            .read(index)
            .await?
            .expect_segment(index, &index.to_string())?;
    }
    Ok(())
}

async fn type_of_the_first_post(probe: Probe) -> Result<(), Failure> {
    for (index, mime) in [(0, "text/first"), (1, "text/second")] {
        let posting = probe.post_with(index, &[(header::CONTENT_TYPE, mime)])?;
        posting.write("x").await?;
        posting.finish().await?.expect(200)?;
        let got = probe.read(index).await?.head.content_type;
        ensure!(
            got.as_deref() == Some("text/first"),
            "segment {index} has type {got:?}"
        );
    }
    Ok(())
}

async fn type_of_the_create(probe: Probe) -> Result<(), Failure> {
    probe.create("text/created").await?.expect(200)?;
    probe.write(0, "x").await?;
    let got = probe.read(0).await?.head.content_type;
    ensure!(
        got.as_deref() == Some("text/created"),
        "the type is {got:?}"
    );
    Ok(())
}

async fn latest_and_size_are_told(probe: Probe) -> Result<(), Failure> {
    probe.write(0, "four").await?;
    probe.write(1, "x").await?;
    let answered = probe.read(0).await?.expect_segment(0, "four")?;
    ensure!(
        answered.head.latest == Some(2.into()),
        "Latest is {:?}",
        answered.head.latest
    );
    ensure!(
        answered.head.size == Some(4),
        "Size is {:?}",
        answered.head.size
    );
    Ok(())
}

async fn head_request(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    for suffix in ["/0", "/next"] {
        let get = probe.ask(Method::GET, suffix).await?.expect(200)?;
        let head = probe.ask(Method::HEAD, suffix).await?.expect(200)?;
        ensure!(head.body.is_empty(), "{suffix}: HEAD has a body");
        ensure!(
            head.head == get.head,
            "{suffix}: {:?} is not {:?}",
            head.head,
            get.head
        );
    }
    Ok(())
}

async fn cancelled_readers_do_no_harm(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    posting.write("a").await?;
    probe.wait_for_next(1).await?;
    let mut stays = probe.get(0)?.head().await?;
    for round in 0..20 {
        let waiting = probe.send(Method::GET, probe.uri("/1")?, &[], ClientBody::Empty);
        let mut reading = probe.get(0)?.head().await?;
        reading.expect_bytes("a").await?;
        drop((waiting, reading));
        posting.write(&round.to_string()).await?;
    }
    stays
        .expect_bytes("a012345678910111213141516171819")
        .await?;
    posting.finish().await?.expect(200)?;
    probe.write(1, "b").await?;
    probe.read(1).await?.expect_segment(1, "b")?;
    Ok(())
}

async fn many_readers_get_the_same(probe: Probe) -> Result<(), Failure> {
    probe.create("video/mp2t").await?.expect(200)?;
    let readers: Vec<_> = (0..50).map(|_| probe.get(0)).collect::<Result<_, _>>()?;
    let posting = probe.post(0)?;
    let mut all = String::new();
    for part in 0..200 {
        let part = format!("part {part} ");
        posting.write(&part).await?;
        all.push_str(&part);
    }
    posting.finish().await?.expect(200)?;
    for reader in readers {
        reader.whole().await?.expect_segment(0, &all)?;
    }
    Ok(())
}

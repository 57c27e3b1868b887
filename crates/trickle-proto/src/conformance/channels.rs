//! Rules about channels: made, missing, closed, started anew.

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, header};

use super::{Check, Failure, checks, ensure, probe::Probe};
use crate::{http::client::ClientBody, registry::CHANGEFEED, wire};

/// Channels that are alive at once in `a_thousand_channels`.
const MANY: usize = 1000;

pub(super) fn checks() -> Vec<Check> {
    checks! {
        core Autocreate create_is_repeatable:
            "POST {channel} makes a channel and is answered 200, also when it exists";
        core Autocreate next_tells_the_index:
            "GET {channel}/next is answered by the index of the next write, as text and header";
        core Nothing missing_channel_is_404:
            "reading, asking and deleting segments of a missing channel are answered 404";
        core Nothing deleting_a_missing_channel_is_400:
            "DELETE of a missing channel is answered 400";
        core NoAutocreate missing_channel_takes_no_post:
            "a POST to a missing channel is answered 404 with Connection: close (HTTP/1.1)";
        core Autocreate deleting_ends_the_stream_for_waiting_readers:
            "DELETE of a channel gives waiting readers 200, Lp-Trickle-Closed and no body";
        core Autocreate deleting_answers_waiting_posts:
            "a POST that waits when its channel is deleted is answered 200 with Lp-Trickle-Closed";
        beyond Autocreate closed_channel_keeps_its_segments:
            "the segments of a closed channel can be read for a while; later ones are its end";
        beyond Autocreate closed_channel_refuses_later_segments:
            "a POST beyond 0 to a closed channel is answered 200 with Lp-Trickle-Closed";
        beyond Autocreate closed_channel_starts_anew:
            "a create, a reset, or a POST to 0 or -1 starts a closed channel anew";
        core Autocreate odd_names:
            "a channel's name may hold any characters, percent-encoded";
        core Autocreate a_thousand_channels:
            "a thousand channels live at once and do not mix";
        core Nothing trailing_slash_is_404: "a path with a trailing slash is answered 404";
        core Autocreate other_methods_are_405: "a method that is not known is answered 405";
        core Autocreate changefeed:
            "channel _changes tells of every channel made and closed, and only the relay writes it";
    }
}

async fn create_is_repeatable(probe: Probe) -> Result<(), Failure> {
    probe.create("video/mp2t").await?.expect(200)?;
    probe.create("video/mp2t").await?.expect(200)?;
    ensure!(
        probe.next().await? == 0,
        "a new channel's next index is not 0"
    );
    Ok(())
}

async fn next_tells_the_index(probe: Probe) -> Result<(), Failure> {
    probe.write_many(3).await?;
    let answered = probe.ask(Method::GET, "/next").await?.expect(200)?;
    ensure!(
        &answered.body[..] == b"3",
        "the text is {}",
        answered.describe()
    );
    ensure!(
        answered.head.latest == Some(3.into()),
        "the header is {:?}",
        answered.head.latest
    );
    ensure!(!answered.head.closed, "the channel is not closed");
    Ok(())
}

async fn missing_channel_is_404(probe: Probe) -> Result<(), Failure> {
    for index in ["0", "-1", "-2", "next"] {
        probe.read(index).await?.expect(404)?;
    }
    probe.delete("0").await?.expect(404)?;
    Ok(())
}

async fn deleting_a_missing_channel_is_400(probe: Probe) -> Result<(), Failure> {
    probe.delete_channel().await?.expect(400)?;
    Ok(())
}

async fn missing_channel_takes_no_post(probe: Probe) -> Result<(), Failure> {
    let posting = probe.post(0)?;
    let answered = posting.answer().await?.expect(404)?;
    let connection = answered.headers.get(header::CONNECTION);
    ensure!(
        connection.is_some_and(|v| v == "close"),
        "Connection: {connection:?}"
    );
    Ok(())
}

async fn deleting_ends_the_stream_for_waiting_readers(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    let mut waiting = probe.get(1)?;
    waiting.stays_open().await?;
    probe.delete_channel().await?.expect(200)?;
    waiting.whole().await?.expect_end_of_stream()?;
    probe.delete_channel().await?.expect(400)?;
    Ok(())
}

async fn deleting_answers_waiting_posts(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    let waiting = probe.post(1)?;
    // The reader shows that the relay has the POST: both wait for the same segment.
    probe.get(1)?.stays_open().await?;
    probe.delete_channel().await?.expect(200)?;
    let answered = waiting.answer().await?.expect(200)?;
    ensure!(answered.head.closed, "no Lp-Trickle-Closed");
    Ok(())
}

async fn closed_channel_keeps_its_segments(probe: Probe) -> Result<(), Failure> {
    probe.write_many(3).await?;
    probe.delete_channel().await?.expect(200)?;
    probe.read(2).await?.expect_segment(2, "2")?;
    probe.read("-2").await?.expect_segment(2, "2")?;
    for index in ["3", "99", "-1"] {
        probe.read(index).await?.expect_end_of_stream()?;
    }
    let next = probe.ask(Method::GET, "/next").await?.expect(200)?;
    ensure!(
        next.head.closed,
        "/next does not say that the channel is closed"
    );
    Ok(())
}

async fn closed_channel_refuses_later_segments(probe: Probe) -> Result<(), Failure> {
    probe.write_many(2).await?;
    probe.delete_channel().await?.expect(200)?;
    let posting = probe.post(2)?;
    let answered = posting.answer().await?.expect(200)?;
    ensure!(answered.head.closed, "no Lp-Trickle-Closed");
    Ok(())
}

async fn closed_channel_starts_anew(probe: Probe) -> Result<(), Failure> {
    let created = probe.named("create");
    created.write_many(2).await?;
    created.delete_channel().await?.expect(200)?;
    created.create("a/b").await?.expect(200)?;
    ensure!(created.next().await? == 0, "after a create, next is not 0");

    for index in ["0", "-1"] {
        let posted = probe.named(if index == "0" { "zero" } else { "next" });
        posted.write_many(2).await?;
        posted.delete_channel().await?.expect(200)?;
        posted.write(index, "new").await?;
        posted.read(0).await?.expect_segment(0, "new")?;
        ensure!(
            posted.next().await? == 1,
            "after a POST to {index}, next is not 1"
        );
    }

    let reset = probe.named("reset");
    reset.write_many(2).await?;
    reset.delete_channel().await?.expect(200)?;
    let posting = reset.post_with(2, &[(wire::RESET, "1")])?;
    posting.write("new").await?;
    posting.finish().await?.expect(200)?;
    reset.read(2).await?.expect_segment(2, "new")?;
    Ok(())
}

async fn odd_names(probe: Probe) -> Result<(), Failure> {
    let names = [
        "a%20b",
        "%C3%BC",
        "a%2Fb",
        "a.b~c_d-e",
        "a:b@c",
        "next",
        "-1",
        "0",
        "%00",
        "a+b",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let probe = probe.named(name);
        let text = format!("channel {number}");
        probe.write(0, &text).await?;
        probe.read(0).await?.expect_segment(0, &text)?;
        probe.delete_channel().await?.expect(200)?;
    }
    Ok(())
}

async fn a_thousand_channels(probe: Probe) -> Result<(), Failure> {
    let numbers = || stream::iter(0..MANY);
    let each = |number: usize| probe.named(&number.to_string());
    numbers()
        .map(|n| async move {
            each(n).write(0, &n.to_string()).await?;
            Ok::<_, Failure>(())
        })
        .buffer_unordered(32)
        .try_collect::<()>()
        .await?;
    numbers()
        .map(|n| async move {
            let channel = each(n);
            channel.read(0).await?.expect_segment(0, &n.to_string())?;
            channel.delete_channel().await?.expect(200)?;
            Ok::<_, Failure>(())
        })
        .buffer_unordered(32)
        .try_collect::<()>()
        .await
}

async fn trailing_slash_is_404(probe: Probe) -> Result<(), Failure> {
    for suffix in ["/", "/0/", "/next/"] {
        probe.ask(Method::GET, suffix).await?.expect(404)?;
    }
    Ok(())
}

async fn other_methods_are_405(probe: Probe) -> Result<(), Failure> {
    probe.write_many(1).await?;
    for method in [Method::PUT, Method::PATCH] {
        for suffix in ["", "/0"] {
            probe.ask(method.clone(), suffix).await?.expect(405)?;
        }
    }
    Ok(())
}

async fn changefeed(probe: Probe) -> Result<(), Failure> {
    let feed = |suffix: &str| probe.uri_below(&format!("{CHANGEFEED}{suffix}"));
    let ask = |method, uri| probe.send(method, uri, &[], ClientBody::Empty).whole();
    let next = ask(Method::GET, feed("/next")?).await?;
    if next.status == 404 {
        return Err(Failure::Skipped("this relay has no changefeed".into()));
    }
    // Other checks make channels too, so the lines that are ours are looked for.
    let mut at = next
        .head
        .latest
        .ok_or("/next of _changes has no Lp-Trickle-Latest")?;
    probe.create("a/b").await?.expect(200)?;
    probe.delete_channel().await?.expect(200)?;
    let name = probe.channel();
    let mut wanted = vec![
        format!("{{\"removed\":[\"{name}\"]}}"),
        format!("{{\"added\":[\"{name}\"]}}"),
    ];
    while let Some(line) = wanted.last() {
        let answered = ask(Method::GET, feed(&format!("/{at}"))?).await?;
        if answered.status == wire::STATUS_NO_SEGMENT {
            return Err(Failure::Skipped(
                "the changefeed moves too fast to be followed".into(),
            ));
        }
        let answered = answered.expect(200)?;
        if answered.body == line.as_bytes() {
            wanted.pop();
        }
        at = at.next();
    }
    for (method, suffix) in [
        (Method::POST, "/-1"),
        (Method::DELETE, ""),
        (Method::DELETE, "/0"),
    ] {
        let answered = ask(method.clone(), feed(suffix)?).await?;
        let refused = (400..500).contains(&answered.status);
        ensure!(
            refused,
            "{method} _changes{suffix}: {}",
            answered.describe()
        );
    }
    Ok(())
}

//! Load on a relay: `cargo run --release --example load URL SUBSCRIBERS SEGMENT_BYTES CHUNK_BYTES
//! SECONDS [CHUNK_INTERVAL_MS]`. Prints what was measured as JSON.
use std::time::Duration;

use trickle_proto::{
    Client, ClientConfig,
    load::{LoadConfig, run},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [
        url,
        subscribers,
        segment_bytes,
        chunk_bytes,
        seconds,
        interval @ ..,
    ] = args.as_slice()
    else {
        return Err("URL SUBSCRIBERS SEGMENT_BYTES CHUNK_BYTES SECONDS [CHUNK_INTERVAL_MS]".into());
    };
    let ms = |text: &String| {
        text.parse::<f64>()
            .map(|ms| Duration::from_secs_f64(ms / 1e3))
    };
    let config = LoadConfig {
        url: url.parse()?,
        subscribers: subscribers.parse()?,
        segment_bytes: segment_bytes.parse()?,
        chunk_bytes: chunk_bytes.parse()?,
        chunk_interval: interval.first().map(ms).transpose()?,
        duration: Duration::from_secs_f64(seconds.parse()?),
    };
    let client = Client::new(ClientConfig::default())?;
    let report = run(&client, &config).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

//! A relay on the address given as the first argument: `cargo run --example relay 127.0.0.1:9000`
use trickle_proto::{Relay, RelayConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("relay on http://{}/", listener.local_addr()?);
    let relay = Relay::new(RelayConfig {
        autocreate: true,
        ..RelayConfig::default()
    });
    relay
        .serve(listener, async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}

//! The official Rust SDK of MCP as a counterpart: a host over the stdio of a command, and a server on its own.
//!
//!     rmcp-parts client OPTIONS COMMAND [ARGUMENT…]
//!     rmcp-parts server
//!
//! Options and output of the host are those of `tests/real/mcp-client.mjs`.

mod host;
mod server;

use anyhow::{Result, bail};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["client", options, command, ref rest @ ..] => {
            let seen = host::run(&serde_json::from_str(options)?, command, rest).await?;
            println!("{seen}");
            Ok(())
        }
        ["server"] => server::run().await,
        _ => bail!("client OPTIONS COMMAND [ARGUMENT…], or server"),
    }
}

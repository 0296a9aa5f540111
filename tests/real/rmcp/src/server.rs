//! A server over stdio with a few tools.

use anyhow::Result;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::JsonSchema;
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Text {
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Variable {
    name: String,
}

#[derive(Debug, Clone)]
struct Server;

#[tool_router]
impl Server {
    #[tool(description = "Says it again.")]
    fn echo(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }

    #[tool(description = "The value of a variable of its environment.")]
    fn variable(&self, Parameters(Variable { name }): Parameters<Variable>) -> String {
        std::env::var(name).unwrap_or_default()
    }
}

#[tool_handler]
impl ServerHandler for Server {}

pub async fn run() -> Result<()> {
    Server.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}

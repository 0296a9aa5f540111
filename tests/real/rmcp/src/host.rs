//! A host that calls what it is told to, and answers what it is asked.

#![expect(deprecated, reason = "servers of older revisions do ask for samples")]

use std::sync::{Arc, Mutex};

use anyhow::Result;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation,
    JsonObject, ProtocolVersion, Role, SamplingMessage, SamplingMessageContentBlock,
    SubscriptionFilter,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Notify;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Options {
    era: String,
    calls: Vec<(String, JsonObject)>,
    changes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { era: "auto".to_owned(), calls: Vec::new(), changes: false }
    }
}

#[derive(Clone, Default)]
struct Host {
    asked: Arc<Mutex<Vec<&'static str>>>,
    changed: Arc<Notify>,
}

impl ClientHandler for Host {
    fn get_info(&self) -> ClientConfig {
        let capabilities =
            ClientCapabilities::builder().enable_elicitation().enable_sampling().build();
        ClientConfig::new(capabilities, Implementation::new("rust-host", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.asked.lock().unwrap().push("elicitation/create");
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "ada" })))
    }

    async fn create_message(
        &self,
        _request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.asked.lock().unwrap().push("sampling/createMessage");
        let word = SamplingMessageContentBlock::text("word");
        Ok(CreateMessageResult::new(SamplingMessage::new(Role::Assistant, word), "none".to_owned()))
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

fn lifecycle(era: &str) -> ClientLifecycleMode {
    match era {
        "legacy" => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
    }
}

pub async fn run(options: &Options, command: &str, arguments: &[&str]) -> Result<Value> {
    let host = Host::default();
    let mut child = Command::new(command);
    child.args(arguments);
    let transport = TokioChildProcess::new(child)?;
    let client = host.clone().serve_with_lifecycle(transport, lifecycle(&options.era)).await?;
    let server = client.peer_info();
    let mut seen = json!({
        "version": server.as_ref().map(|info| &info.protocol_version),
        "server": server.as_ref().and_then(|info| info.server_info.as_ref()).map(|of| &of.name),
        "tools": names(&client).await?,
    });
    let is_modern =
        server.as_ref().is_some_and(|info| info.protocol_version == ProtocolVersion::V_2026_07_28);
    let mut subscription = match options.changes && is_modern {
        true => {
            Some(client.listen(SubscriptionFilter::builder().tools_list_changed().build()).await?)
        }
        false => None,
    };
    let mut results = Vec::new();
    for (tool, given) in &options.calls {
        results.push(call(&client, tool, given).await);
    }
    seen["results"] = Value::from(results);
    seen["asked"] = json!(*host.asked.lock().unwrap());
    if options.changes {
        match &mut subscription {
            Some(subscription) => drop(subscription.next().await?),
            None => host.changed.notified().await,
        }
        seen["tools_after"] = json!(names(&client).await?);
    }
    client.cancel().await?;
    Ok(seen)
}

async fn names(client: &Peer<RoleClient>) -> Result<Vec<String>> {
    let tools = client.list_all_tools().await?;
    Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
}

async fn call(client: &RunningService<RoleClient, Host>, tool: &str, given: &JsonObject) -> Value {
    let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(given.clone());
    match client.call_tool(request).await {
        Err(error) => json!({ "tool": tool, "error": error.to_string() }),
        Ok(result) => {
            let parts = result.content.iter().filter_map(|part| part.as_text());
            let text: String = parts.map(|part| part.text.as_str()).collect();
            let member = if result.is_error == Some(true) { "error" } else { "text" };
            json!({ "tool": tool, member: text })
        }
    }
}

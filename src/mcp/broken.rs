//! The server that could not be set up: each request is told why.

use url::Url;

use super::{Connected, Failure, Hello, Link, Pending, Sink};
use crate::forward::{Asks, Broker};

pub struct Broken {
    why: String,
    broker: Broker,
    url: Url,
}

impl Broken {
    pub fn new(why: String) -> Self {
        let nowhere = Url::parse("about:blank");
        Self {
            why,
            broker: Broker::new(Asks::channel().0),
            url: nowhere.unwrap_or_else(|_| unreachable!("a constant URL")),
        }
    }
}

impl Link for Broken {
    fn connect<'a>(
        &'a self,
        _hello: &'a Hello,
        _sink: Sink,
    ) -> Pending<'a, Result<Connected, Failure>> {
        Box::pin(async { Err(Failure::failed(self.why.clone())) })
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn url(&self) -> &Url {
        &self.url
    }

    fn title(&self) -> String {
        "authctl".to_owned()
    }
}

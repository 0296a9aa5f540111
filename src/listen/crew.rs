//! Threads that take over connections from the one that accepts them: started when there is enough to do for one
//! more, and given what comes to whoever has the fewest.

use std::net::TcpStream as Plain;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Connections that one thread is enough for.
const ENOUGH: usize = 8;

/// Connections for a thread.
pub struct Handed {
    pub(super) queue: mpsc::UnboundedReceiver<(Plain, Place)>,
    /// How many threads there may be.
    pub(super) size: usize,
}

/// One connection of a thread, as long as it lasts.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    fn of(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The threads beside the one that accepts. They end when this is dropped.
pub struct Crew {
    start: Box<dyn Fn(Handed)>,
    most: usize,
    members: Vec<Member>,
}

struct Member {
    queue: mpsc::UnboundedSender<(Plain, Place)>,
    load: Arc<AtomicUsize>,
}

impl Member {
    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }
}

impl Crew {
    /// At `most` so many, each of which `start` starts.
    pub fn new(most: usize, start: impl Fn(Handed) + 'static) -> Self {
        Self { start: Box::new(start), most, members: Vec::new() }
    }

    /// How many threads there may be, with the one that accepts.
    pub(super) fn size(&self) -> usize {
        self.most + 1
    }

    /// Hands a connection over, unless whoever accepted it, with `own` connections, is the one to serve it.
    pub(super) fn take(&mut self, stream: TcpStream, own: usize) -> Option<TcpStream> {
        if own < ENOUGH {
            return Some(stream);
        }
        let Some(member) = self.least(own) else { return Some(stream) };
        let (place, queue) = (Place::of(&member.load), member.queue.clone());
        let Ok(stream) = stream.into_std() else { return None };
        match queue.send((stream, place)) {
            Ok(()) => None,
            // That thread could not begin.
            Err(unsent) => TcpStream::from_std(unsent.0.0).ok(),
        }
    }

    fn least(&mut self, own: usize) -> Option<&Member> {
        let least = self.members.iter().map(Member::load).min();
        if least.is_none_or(|load| load >= ENOUGH) && self.members.len() < self.most {
            let (queue, handed) = mpsc::unbounded_channel();
            (self.start)(Handed { queue: handed, size: self.size() });
            self.members.push(Member { queue, load: Arc::default() });
        }
        self.members.iter().min_by_key(|member| member.load()).filter(|it| it.load() < own)
    }
}

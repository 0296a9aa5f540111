//! One stream of server-sent events to a client (HTML §9.2), kept for a while, so that a client whose
//! connection was cut goes on where it was (MCP 2025-11-25, resumability).

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::jsonrpc::Message;

/// Events that are kept, and their size in bytes; the newest is kept in any case.
const MOST_EVENTS: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// Pause after which something is sent, so that a lost connection is noticed on both sides.
const QUIET: Duration = Duration::from_secs(15);

/// The events of one stream. One connection at a time reads them, the newest.
pub struct Events {
    /// In the ids of its events; `None`: they have none.
    name: Option<u64>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Message>,
    bytes: usize,
    /// The number of the first one that is kept.
    first: u64,
    /// The number of the first one that no connection got.
    delivered: u64,
    is_over: bool,
    /// The number of the connection that reads.
    reader: u64,
    is_read: bool,
    waker: Option<Waker>,
}

impl Events {
    pub fn new(name: Option<u64>) -> Rc<Self> {
        Rc::new(Self { name, state: RefCell::default() })
    }

    pub fn push(&self, message: Message) {
        let mut state = self.state.borrow_mut();
        state.bytes += message.text().len();
        state.kept.push_back(message);
        while state.kept.len() > 1 && (state.kept.len() > MOST_EVENTS || state.bytes > MOST_BYTES) {
            let dropped = state.kept.pop_front().map_or(0, |message| message.text().len());
            state.bytes -= dropped;
            state.first += 1;
        }
        state.wake();
    }

    /// No more events will come.
    pub fn finish(&self) {
        let mut state = self.state.borrow_mut();
        state.is_over = true;
        state.wake();
    }

    /// Whether a connection reads it.
    pub fn is_read(&self) -> bool {
        self.state.borrow().is_read
    }

    /// The only event of a stream that is over, if there is no other.
    pub fn single(&self) -> Option<Message> {
        let mut state = self.state.borrow_mut();
        let is_single = state.is_over && state.first == 0 && state.kept.len() == 1;
        if is_single { state.kept.pop_front() } else { None }
    }

    /// Waits for the first event, or the end.
    pub async fn begun(&self) {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if state.is_over || !state.kept.is_empty() || state.first > 0 {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Counts as read while somebody waits for it to begin.
    pub fn hold(self: &Rc<Self>) -> Held {
        self.state.borrow_mut().is_read = true;
        Held(Rc::clone(self))
    }

    pub fn name(&self) -> Option<u64> {
        self.name
    }

    /// A body that begins at `from`; whoever read before comes to an end. With the body, `wanted` is dropped.
    pub fn body(self: &Rc<Self>, from: From, prime: bool, wanted: Option<Wanted>) -> EventBody {
        let mut state = self.state.borrow_mut();
        state.wake();
        state.reader += 1;
        state.is_read = true;
        let next = match from {
            From::Undelivered => state.delivered.max(state.first),
            From::After(number) => number.map_or(0, |number| number.saturating_add(1)),
        };
        let mut quiet = interval(QUIET);
        quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        quiet.reset();
        EventBody {
            events: Rc::clone(self),
            next,
            reader: state.reader,
            prime,
            quiet,
            _wanted: wanted,
        }
    }

    fn id(&self, number: u64) -> Option<String> {
        self.name.map(|name| format!("{name}-{number}"))
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn at(&self, number: u64) -> Option<&Message> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.kept.get(index)
    }
}

/// The stream and the number in an id that [`Events`] gave.
pub fn read_id(id: &str) -> Option<(u64, Option<u64>)> {
    let (name, number) = id.split_once('-')?;
    let number = if number == "start" { None } else { Some(number.parse().ok()?) };
    Some((name.parse().ok()?, number))
}

/// What lives as long as a client reads.
pub type Wanted = Box<dyn Any>;

/// Where a connection begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At what no connection has got yet.
    Undelivered,
    /// After this event; `None`: at the beginning.
    After(Option<u64>),
}

/// Somebody waits for a stream to begin.
pub struct Held(Rc<Events>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        if state.reader == 0 {
            state.is_read = false;
        }
    }
}

/// One connection's view of a stream.
pub struct EventBody {
    events: Rc<Events>,
    next: u64,
    reader: u64,
    /// Begins with an event that has an id and no data, from which a client can resume.
    prime: bool,
    quiet: Interval,
    _wanted: Option<Wanted>,
}

impl EventBody {
    fn frame(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.prime)
            && let Some(name) = self.events.name
        {
            return Some(Bytes::from(format!("id: {name}-start\ndata: \n\n")));
        }
        let mut state = self.events.state.borrow_mut();
        let message = state.at(self.next)?;
        let id = self.events.id(self.next).map_or(String::new(), |id| format!("id: {id}\n"));
        let frame = format!("{id}event: message\ndata: {}\n\n", message.text());
        self.next += 1;
        state.delivered = state.delivered.max(self.next);
        Some(Bytes::from(frame))
    }

    fn is_over(&self) -> bool {
        let state = self.events.state.borrow();
        let is_behind = self.next < state.first;
        state.reader != self.reader || state.is_over || is_behind
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let is_reader = this.events.state.borrow().reader == this.reader;
        if is_reader && let Some(frame) = this.frame() {
            this.quiet.reset();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if this.is_over() {
            return Poll::Ready(None);
        }
        this.events.state.borrow_mut().waker = Some(context.waker().clone());
        if this.quiet.poll_tick(context).is_ready() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))));
        }
        Poll::Pending
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        let mut state = self.events.state.borrow_mut();
        if state.reader == self.reader {
            state.is_read = false;
        }
    }
}

//! Server-sent events (WHATWG HTML §9.2): bytes in pieces of any size come out as events.

use crate::line_end;

/// One event. `data` is what its lines held, joined by line feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `message` where the stream names none.
    pub event: String,
    pub data: String,
}

/// A decoder of one stream.
#[derive(Debug, Clone)]
pub struct EventStream {
    limit: usize,
    /// The line that has not ended yet, without what of it stands in `data` already.
    line: Vec<u8>,
    /// The line's rest belongs to `data`.
    in_data: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    is_first_line: bool,
    event: String,
    /// Of the event that has not ended yet, if it has any.
    data: Option<Vec<u8>>,
    /// Of the event that has not ended yet, or of one before it.
    id: Option<String>,
    last_id: Option<String>,
    retry: Option<u64>,
    /// Why nothing after the events that were given can be read.
    broken: Option<Unreadable>,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("an event of its stream is longer than {0} bytes")]
    TooLong(usize),
    #[error("its event stream is not UTF-8")]
    NotText,
}

impl EventStream {
    /// A decoder of events up to `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            in_data: false,
            after_cr: false,
            is_first_line: true,
            event: String::new(),
            data: None,
            id: None,
            last_id: None,
            retry: None,
            broken: None,
        }
    }

    /// A decoder for what comes after this stream was cut: an event that had not ended is lost, the last id
    /// and the wait stay.
    pub fn resumed(self) -> Self {
        let Self { limit, last_id, retry, .. } = self;
        Self { id: last_id.clone(), last_id, retry, ..Self::new(limit) }
    }

    /// The id of the last whole event that had one, for `Last-Event-ID`. Empty means that there is none again;
    /// one that cannot stand in a header cannot be named either.
    pub fn last_id(&self) -> Option<&str> {
        let is_fit =
            |id: &&str| !id.is_empty() && id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        self.last_id.as_deref().filter(is_fit)
    }

    /// How many milliseconds the server wants us to wait before we come again.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Whether a part of an event has come that is no comment.
    pub fn has_data(&self) -> bool {
        self.data.is_some() || self.line.starts_with(b"data")
    }

    /// The event that only lacks its end.
    pub fn unfinished(&self) -> Option<Event> {
        self.has_data().then(|| self.clone().push(b"\r\r").ok()?.pop()).flatten()
    }

    /// Takes the next piece of the stream, and gives the events that end in it. What cannot be read is said
    /// after the events before it.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, Unreadable> {
        let mut events = Vec::new();
        if self.broken.is_none() {
            self.broken = self.read(piece, &mut events).err();
        }
        match self.broken {
            Some(broken) if events.is_empty() => Err(broken),
            _ => Ok(events),
        }
    }

    fn read(&mut self, mut piece: &[u8], events: &mut Vec<Event>) -> Result<(), Unreadable> {
        while !piece.is_empty() {
            if std::mem::take(&mut self.after_cr) && piece[0] == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let end = line_end::find(piece);
            let (part, rest) = piece.split_at(end.unwrap_or(piece.len()));
            let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
            if held + part.len() > self.limit {
                return Err(Unreadable::TooLong(self.limit));
            }
            self.take(part);
            if end.is_none() {
                return Ok(());
            }
            self.after_cr = rest[0] == b'\r';
            piece = &rest[1..];
            events.extend(self.end_line()?);
        }
        Ok(())
    }

    /// Most events are one line of data, and it may be long: it is put where it belongs as it comes.
    fn take(&mut self, part: &[u8]) {
        if let Some(data) = self.data.as_mut().filter(|_| self.in_data) {
            return data.extend_from_slice(part);
        }
        self.line.extend_from_slice(part);
        // A sixth byte shows whether a blank follows the name.
        if self.line.len() > 5 && self.line.starts_with(b"data:") {
            let line = std::mem::take(&mut self.line);
            self.begin_data(line[5..].strip_prefix(b" ").unwrap_or(&line[5..]));
            self.in_data = true;
        }
    }

    fn begin_data(&mut self, value: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
    }

    fn end_line(&mut self) -> Result<Option<Event>, Unreadable> {
        let is_first = std::mem::take(&mut self.is_first_line);
        if std::mem::take(&mut self.in_data) {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line);
        let line = line.as_slice();
        let line = if is_first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.begin_data(value),
            b"event" => self.event = text(value)?,
            b"id" if !value.contains(&0) => self.id = Some(text(value)?),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                self.retry = text(value)?.parse().ok();
            }
            _ => {}
        }
        Ok(None)
    }

    /// One that cannot be read has not come: its id is not the last one.
    fn end_event(&mut self) -> Result<Option<Event>, Unreadable> {
        let event = std::mem::take(&mut self.event);
        let data = self.data.take().map(String::from_utf8).transpose();
        let data = data.map_err(|_| Unreadable::NotText)?;
        self.last_id.clone_from(&self.id);
        let Some(data) = data else { return Ok(None) };
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Ok(Some(Event { event, data }))
    }
}

fn text(value: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(value.to_vec()).map_err(|_| Unreadable::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_cannot_be_read_has_not_come_and_those_before_it_have() {
        let mut stream = EventStream::new(100);
        let events = stream.push(b"id: 1\ndata: one\n\nid: 2\ndata: \xff\n\n").unwrap();
        assert_eq!((events.len(), stream.last_id()), (1, Some("1")));
        assert_eq!(stream.push(b"data: three\n\n"), Err(Unreadable::NotText));
        let mut stream = stream.resumed();
        assert_eq!(stream.push(b"data: two\n\n").unwrap()[0].data, "two");
        let mut stream = EventStream::new(20);
        let long = format!("data: one\n\ndata: {}", "x".repeat(30));
        assert_eq!(stream.push(long.as_bytes()).unwrap().len(), 1);
        assert_eq!(stream.push(b"\n"), Err(Unreadable::TooLong(20)));
    }

    fn whole(stream: &[u8]) -> Vec<(String, String)> {
        let events = EventStream::new(1_000).push(stream).unwrap();
        events.into_iter().map(|event| (event.event, event.data)).collect()
    }

    fn message(data: &str) -> (String, String) {
        ("message".into(), data.into())
    }

    #[test]
    fn fields_become_events() {
        let stream = b"\xef\xbb\xbf: hello\ndata: a\ndata:b\ndata\n\nevent: endpoint\r\ndata: /x\r\n\r\nevent: lost\n\ndata:  two\rdata:c\r\rdata: open";
        assert_eq!(
            whole(stream),
            [message("a\nb\n"), ("endpoint".into(), "/x".into()), message(" two\nc")]
        );
    }

    #[test]
    fn ids_and_waits_are_kept() {
        let mut stream = EventStream::new(1_000);
        assert_eq!(stream.last_id(), None);
        stream.push(b"id: 7\nretry: 500\ndata: x\n\nid: a\0b\nretry: soon\n\n").unwrap();
        assert_eq!((stream.last_id(), stream.retry()), (Some("7"), Some(500)));
        for unfit in ["id", "id: \u{e9}", "id: a\u{1b}b"] {
            stream.push(format!("{unfit}\n\n").as_bytes()).unwrap();
            assert_eq!(stream.last_id(), None);
        }
    }

    #[test]
    fn an_event_that_was_cut_has_no_id_yet() {
        let mut stream = EventStream::new(1_000);
        stream.push(b"id: 1\nretry: 9\ndata: a\n\nid: 2\ndata: b\n").unwrap();
        assert_eq!(stream.last_id(), Some("1"));
        let mut stream = stream.resumed();
        assert_eq!((stream.last_id(), stream.retry()), (Some("1"), Some(9)));
        assert_eq!(stream.push(b"\ndata: b\n\n").unwrap()[0].data, "b");
        assert_eq!(stream.last_id(), Some("1"));
    }

    #[test]
    fn what_is_too_long_or_no_text_ends_the_stream() {
        let mut stream = EventStream::new(10);
        assert_eq!(stream.push(b"data: 12345678"), Err(Unreadable::TooLong(10)));
        let mut lines = EventStream::new(20);
        assert_eq!(lines.push(b"data: 1234567\ndata: 12345678"), Err(Unreadable::TooLong(20)));
        assert_eq!(EventStream::new(10).push(b"data: \xff\n\n"), Err(Unreadable::NotText));
    }

    proptest::proptest! {
        #[test]
        fn where_it_is_cut_makes_no_difference(
            stream in "(data: [a-z]{0,5}|id:[0-9]|event: x|\n|\r|\r\n|: c){0,30}",
            size in 1_usize..9,
        ) {
            let mut decoder = EventStream::new(1_000);
            let pieces = stream.as_bytes().chunks(size);
            let events: Vec<Event> = pieces.flat_map(|piece| decoder.push(piece).unwrap()).collect();
            let mut at_once = EventStream::new(1_000);
            proptest::prop_assert_eq!(events, at_once.push(stream.as_bytes()).unwrap());
            proptest::prop_assert_eq!(decoder.last_id(), at_once.last_id());
        }
    }
}

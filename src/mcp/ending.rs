//! The signals that ask a session to end: it does so in order, where the default would leave the server with a
//! session that nobody uses.

/// Comes back when the process is asked to end.
#[cfg(unix)]
pub async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let wanted = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    // What the process was told to ignore (`nohup`) stays ignored.
    let ignored = crate::signals::ignored();
    let is_wanted = |kind: &SignalKind| ignored & (1 << (kind.as_raw_value() - 1)) == 0;
    let mut signals: Vec<_> =
        wanted.into_iter().filter(is_wanted).filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(|context| {
        let ready = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(not(unix))]
pub async fn asked() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

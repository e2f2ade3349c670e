//! Plays a case to a contender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use urlpool_conformance::reply::status;
use urlpool_conformance::server::End;
use urlpool_conformance::{Reply, Request, Server};

use crate::case::{Case, Play, Told, Urls, Verdict};
use crate::contender::Contender;

/// Plays a case to a contender, and tells what came of it.
///
/// # Errors
///
/// When the servers cannot be started, or the contender's process ends or cannot be understood.
pub async fn play(case: &Case, contender: &mut Contender<'_>) -> Result<Verdict> {
    let (script_a, script_b) = (Script::default(), Script::default());
    let a = Server::answering(script_a.player()).await?;
    let b = Server::answering(script_b.player()).await?;
    let urls = Urls { a: a.url(""), b: b.url("") };
    let play: Play = (case.play)(&urls);
    script_a.write(play.a);
    script_b.write(play.b);

    contender.open().await.with_context(|| format!("{}: open", case.id))?;
    let mut answers = Vec::new();
    for ask in &play.asks {
        if ask.after_end {
            let ended = |log: &urlpool_conformance::Log| {
                log.connections.first().is_some_and(|first| first.ended == Some(End::Server))
            };
            a.until("its own end of the first connection", ended).await?;
            contender.idle(NOTICES).await?;
        }
        answers.push(contender.send(ask, &urls).await.with_context(|| case.id)?);
    }
    contender.close().await?;
    Ok((case.judge)(&Told { answers, a: a.log(), b: b.log() }))
}

/// How long a client is left alone before a request that should find a connection gone. The end has arrived by then, as this
/// is one machine; it is for those that take note of it in a task or thread of their own.
const NOTICES: Duration = Duration::from_millis(150);

/// The replies of a server, which is started before its URL can be in them.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<HashMap<&'static str, Vec<Reply>>>>);

impl Script {
    fn write(&self, routes: Vec<(&'static str, Vec<Reply>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = routes.into_iter().collect();
    }

    /// Answers each request with the next reply of its path, and with the last one again.
    fn player(&self) -> impl FnMut(&Request) -> Reply + Send + 'static {
        let script = self.clone();
        move |request| {
            let mut routes = script.0.lock().unwrap_or_else(PoisonError::into_inner);
            match routes.get_mut(request.path()) {
                None => status(404),
                Some(replies) if replies.len() > 1 => replies.remove(0),
                Some(replies) => replies.first().cloned().unwrap_or_else(|| status(404)),
            }
        }
    }
}

//! The operations of a script: one for each function of the interface, as JSON objects.
//!
//! docs/script.md describes the format. Here stand the keys of each operation and what it answers; what a request or
//! a pool may say stands in `request.rs` and `policy.rs`. Longer than other files since it is one method an operation.

use crate::{
    answer, duration,
    error::Failure,
    policy::Options,
    request::{Field, Request},
    session::{Fields, Pending, Pool, Response, Session},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, time::Duration};

/// What the caller named: pools by their names, pending requests and responses by their handles.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pools: HashMap<String, Pool>,
    handles: HashMap<String, Named>,
}

#[derive(Debug)]
enum Named {
    Pending(Pending),
    Response(Response),
}

/// How much is read at once, and what `read` takes when it does not say.
const PIECE: u32 = 64 * 1024;
/// What the whole-body operations take when they do not say, as the documentation of the component advises.
const WHOLE: u32 = 64 * 1024 * 1024;
/// The pool that is there without being opened.
const DEFAULT_POOL: &str = "pool";

type Answer = Map<String, Value>;

/// Why an operation failed, and what of its answer was there already.
struct Fault {
    failure: Failure,
    beside: Answer,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, beside: Answer::new() }
    }
}

impl Session {
    /// Does what one line of a script says; `None` for a blank line or a comment.
    pub async fn line(&mut self, line: &str) -> Option<Value> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(match serde_json::from_str(line) {
            Ok(operation) => self.op(operation).await,
            Err(error) => refusal(Value::Null, None, &Failure::Usage(format!("not a line of JSON: {error}"))),
        })
    }

    /// Does one operation and answers it; what goes wrong is an answer too.
    pub async fn op(&mut self, operation: Value) -> Value {
        let Value::Object(mut keys) = operation else {
            let failure = Failure::Usage("an operation is a JSON object".into());
            return refusal(Value::Null, None, &failure);
        };
        let name = keys.shift_remove("op").unwrap_or(Value::Null);
        let id = keys.shift_remove("id");
        let done = match &name {
            Value::String(name) => self.perform(name, keys).await,
            Value::Null => Err(usage("op: missing")),
            other => Err(usage(format!("op: {other} is not a name"))),
        };
        match done {
            Ok(answer) => {
                let mut all = Answer::from_iter([("op".into(), name)]);
                all.extend(id.map(|id| ("id".into(), id)));
                all.insert("ok".into(), true.into());
                all.extend(answer);
                Value::Object(all)
            }
            Err(Fault { failure, beside }) => {
                let mut all = refusal(name, id, &failure);
                if let Value::Object(all) = &mut all {
                    all.extend(beside);
                }
                all
            }
        }
    }

    async fn perform(&mut self, name: &str, keys: Answer) -> Result<Answer, Fault> {
        self.alive()?;
        match name {
            "open" => self.do_open(keys).await,
            "send" => self.do_send(keys).await,
            "send-all" => self.do_send_all(keys).await,
            "get" => self.do_get(keys).await,
            "post" => self.do_post(keys).await,
            "start" => self.do_start(keys).await,
            "advance" => self.do_advance(keys).await,
            "history" => self.do_history(keys).await,
            "trace" => self.do_trace(keys).await,
            "wait" => self.do_wait(keys).await,
            "finish" => self.do_finish(keys).await,
            "head" => self.do_head(keys).await,
            "read" => self.do_read(keys).await,
            "try-read" => self.do_try_read(keys).await,
            "read-all" => self.do_read_all(keys).await,
            "read-text" => self.do_read_text(keys).await,
            "trailers" => self.do_trailers(keys).await,
            "take-raw" => self.do_take_raw(keys).await,
            "close" => self.do_close(keys).await,
            "stats" => self.do_stats(keys).await,
            "drop" => self.do_drop(keys).await,
            "sleep" => self.do_sleep(keys).await,
            other => Err(usage(format!("op {other:?}: unknown"))),
        }
    }

    async fn do_open(&mut self, keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            pool: Option<String>,
            #[serde(default)]
            options: Options,
        }
        let Keys { pool, options } = read(keys)?;
        let name = pool.unwrap_or_else(|| DEFAULT_POOL.into());
        if self.names.pools.contains_key(&name) {
            return Err(usage(format!("pool {name:?}: already open")));
        }
        let pool = self.open(&options).await?;
        self.names.pools.insert(name, pool);
        Ok(Answer::new())
    }

    async fn do_send(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        let (pool, as_handle) = self.take_names(&mut keys)?;
        let request: Request = read(keys)?;
        let pool = self.pool(pool).await?;
        let response = self.send(&request, pool).await?;
        self.answer(response, as_handle).await
    }

    async fn do_send_all(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            requests: Vec<Request>,
        }
        let pool = text(&mut keys, "pool")?;
        let Keys { requests } = read(keys)?;
        let pool = self.pool(pool).await?;
        let mut responses = Vec::new();
        for answer in self.send_all(&requests, pool).await? {
            let whole = match answer {
                Ok(response) => self.whole(response).await,
                Err(failure) => Err(failure.into()),
            };
            responses.push(Value::Object(match whole {
                Ok(answer) => {
                    let mut all = Answer::from_iter([("ok".into(), true.into())]);
                    all.extend(answer);
                    all
                }
                Err(Fault { failure: failure @ Failure::Trap(_), beside }) => {
                    return Err(Fault { failure, beside });
                }
                Err(Fault { failure, beside }) => {
                    let mut all = Answer::from_iter([("ok".into(), false.into())]);
                    all.insert("error".into(), answer::error(&failure));
                    all.extend(beside);
                    all
                }
            }));
        }
        Ok(Answer::from_iter([("responses".into(), responses.into())]))
    }

    async fn do_get(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            url: String,
            #[serde(default)]
            fields: Vec<(String, String)>,
        }
        let (pool, as_handle) = self.take_names(&mut keys)?;
        let Keys { url, fields } = read(keys)?;
        let pool = self.pool(pool).await?;
        let response = self.get(&url, &fields, pool).await?;
        self.answer(response, as_handle).await
    }

    async fn do_post(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            url: String,
            #[serde(default)]
            form: Vec<Field>,
            #[serde(default)]
            multipart: bool,
            boundary: Option<String>,
        }
        let (pool, as_handle) = self.take_names(&mut keys)?;
        let Keys { url, form, multipart, boundary } = read(keys)?;
        let pool = self.pool(pool).await?;
        let as_request = Request { form: Some(form), ..Request::new("POST", "") };
        as_request.check().map_err(Failure::Usage)?;
        let form = as_request.form.unwrap_or_default();
        let multipart = (multipart || boundary.is_some()).then_some(boundary.as_deref());
        let response = self.post(&url, &form, multipart, pool).await?;
        self.answer(response, as_handle).await
    }

    async fn do_start(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        let (pool, as_handle) = self.take_names(&mut keys)?;
        let as_handle = as_handle.ok_or_else(|| usage("as: missing"))?;
        let request: Request = read(keys)?;
        let pool = self.pool(pool).await?;
        let pending = self.start(&request, pool).await?;
        self.names.handles.insert(as_handle, Named::Pending(pending));
        Ok(Answer::new())
    }

    async fn do_advance(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Handle { handle } = read(keys)?;
        let pending = self.take_pending(&handle)?;
        let finished = self.advance(&pending).await;
        self.names.handles.insert(handle, Named::Pending(pending));
        Ok(Answer::from_iter([("finished".into(), finished?.into())]))
    }

    async fn do_history(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Handle { handle } = read(keys)?;
        let pending = self.take_pending(&handle)?;
        let history = self.history(&pending).await;
        self.names.handles.insert(handle, Named::Pending(pending));
        Ok(Answer::from_iter([("history".into(), answer::history(&history?))]))
    }

    async fn do_trace(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Handle { handle } = read(keys)?;
        let named = self.names.handles.remove(&handle).ok_or_else(|| unknown(&handle))?;
        let trace = match &named {
            Named::Pending(pending) => self.trace_pending(pending).await,
            Named::Response(response) => self.trace(response).await,
        };
        self.names.handles.insert(handle, named);
        Ok(Answer::from_iter([("trace".into(), answer::trace(&trace?))]))
    }

    async fn do_wait(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            #[serde(default)]
            handles: Vec<String>,
            #[serde(default, deserialize_with = "duration::limit")]
            timeout: Option<Option<Duration>>,
        }
        let pool = text(&mut keys, "pool")?;
        let Keys { handles, timeout } = read(keys)?;
        let pool = self.pool(pool).await?;
        for (index, handle) in handles.iter().enumerate() {
            match self.names.handles.get(handle) {
                Some(Named::Pending(_)) if !handles[..index].contains(handle) => {}
                Some(Named::Pending(_)) => {
                    return Err(usage(format!("handle {handle:?}: named twice")));
                }
                Some(Named::Response(_)) => {
                    return Err(usage(format!("handle {handle:?}: a response, not pending")));
                }
                None => return Err(unknown(handle)),
            }
        }
        let mut taken = Vec::new();
        for handle in &handles {
            taken.push(self.take_pending(handle)?);
        }
        let lent: Vec<&Pending> = taken.iter().collect();
        let finished = self.wait(&lent, timeout.flatten(), pool).await;
        let pending = taken.into_iter().map(Named::Pending);
        self.names.handles.extend(handles.iter().cloned().zip(pending));
        let finished: Vec<_> = finished?.iter().filter_map(|index| handles.get(*index)).collect();
        Ok(Answer::from_iter([("finished".into(), json!(finished))]))
    }

    async fn do_finish(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        let handle = match keys.get("handle") {
            Some(Value::String(handle)) => handle.clone(),
            _ => String::new(),
        };
        let as_handle = text(&mut keys, "as")?;
        // Its own name is free again: finishing takes the pending request away.
        if let Some(name) = as_handle.as_ref().filter(|name| **name != handle) {
            self.free(name)?;
        }
        let Handle { handle } = read(keys)?;
        let pending = self.take_pending(&handle)?;
        let response = self.finish(pending).await?;
        self.answer(response, as_handle).await
    }

    async fn do_head(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Handle { handle } = read(keys)?;
        let response = self.take_response(&handle)?;
        let took = response.took();
        let head = self.head(&response).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(answer::head(&head?, took))
    }

    async fn do_read(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Piece { handle, max } = read(keys)?;
        let response = self.take_response(&handle)?;
        let piece = self.read(&response, max).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(piece_answer(&piece?))
    }

    async fn do_try_read(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Piece { handle, max } = read(keys)?;
        let response = self.take_response(&handle)?;
        let piece = self.try_read(&response, max).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(match piece? {
            Some(piece) => piece_answer(&piece),
            None => Answer::from_iter([("pending".into(), true.into())]),
        })
    }

    async fn do_read_all(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Whole { handle, limit } = read(keys)?;
        let response = self.take_response(&handle)?;
        let body = self.read_all(&response, limit).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(answer::body(&body?))
    }

    async fn do_read_text(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Whole { handle, limit } = read(keys)?;
        let response = self.take_response(&handle)?;
        let text = self.read_text(&response, limit).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(Answer::from_iter([("text".into(), text?.into())]))
    }

    async fn do_trailers(&mut self, keys: Answer) -> Result<Answer, Fault> {
        let Handle { handle } = read(keys)?;
        let response = self.take_response(&handle)?;
        let trailers = self.trailers(&response).await;
        self.names.handles.insert(handle, Named::Response(response));
        Ok(Answer::from_iter([("trailers".into(), answer::fields(&trailers?))]))
    }

    async fn do_take_raw(&mut self, keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            handle: String,
            max: Option<u64>,
        }
        let Keys { handle, max } = read(keys)?;
        let response = self.take_response(&handle)?;
        let mut raw = self.take_raw(response).await?;
        let mut left = max.unwrap_or(u64::MAX);
        let mut body = Vec::new();
        while left > 0 {
            let piece = raw.read(left.min(u64::from(PIECE)) as usize).await?;
            if piece.is_empty() {
                break;
            }
            left -= piece.len() as u64;
            body.extend_from_slice(&piece);
        }
        // A body that was not wanted to its end is dropped, not drained.
        let trailers = if left > 0 { raw.trailers().await } else { Fields::new() };
        let mut answer = answer::body(&body);
        answer.insert("trailers".into(), answer::fields(&trailers));
        Ok(answer)
    }

    async fn do_close(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        let pool = text(&mut keys, "pool")?;
        let Nothing {} = read(keys)?;
        let pool = self.pool(pool).await?;
        self.close(pool).await?;
        Ok(Answer::new())
    }

    async fn do_stats(&mut self, mut keys: Answer) -> Result<Answer, Fault> {
        let pool = text(&mut keys, "pool")?;
        let Nothing {} = read(keys)?;
        let pool = self.pool(pool).await?;
        let stats = self.stats(pool).await?;
        let host = self.host().map(|host| answer::host_stats(&host.stats()));
        Ok(Answer::from_iter([("stats".into(), answer::pool_stats(&stats)), ("host".into(), host.into())]))
    }

    async fn do_drop(&mut self, keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            handle: Option<String>,
            pool: Option<String>,
        }
        match read(keys)? {
            Keys { handle: Some(handle), pool: None } => {
                match self.names.handles.remove(&handle).ok_or_else(|| unknown(&handle))? {
                    Named::Pending(pending) => self.release(pending).await?,
                    Named::Response(response) => self.release(response).await?,
                }
            }
            Keys { handle: None, pool: Some(name) } => {
                let pool = self.names.pools.remove(&name);
                self.release(pool.ok_or_else(|| unknown_pool(&name))?).await?;
            }
            Keys { handle: Some(_), pool: Some(_) } | Keys { handle: None, pool: None } => {
                return Err(usage("drop: needs a handle or a pool"));
            }
        }
        Ok(Answer::new())
    }

    async fn do_sleep(&mut self, keys: Answer) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            #[serde(rename = "for", default, deserialize_with = "duration::given")]
            pause: Option<Duration>,
        }
        let Keys { pause } = read(keys)?;
        tokio::time::sleep(pause.ok_or_else(|| usage("for: missing"))?).await;
        Ok(Answer::new())
    }

    /// Answers a response: its head when it is kept, otherwise all of it.
    async fn answer(&mut self, response: Response, as_handle: Option<String>) -> Result<Answer, Fault> {
        let Some(name) = as_handle else {
            return self.whole(response).await;
        };
        let head = self.head(&response).await?;
        let answer = answer::head(&head, response.took());
        self.names.handles.insert(name, Named::Response(response));
        Ok(answer)
    }

    /// Reads a response to its end and gives it back.
    async fn whole(&mut self, response: Response) -> Result<Answer, Fault> {
        let head = self.head(&response).await?;
        let mut body = Vec::new();
        let cut = loop {
            match self.read(&response, PIECE).await {
                Ok(piece) if piece.is_empty() => break None,
                Ok(piece) => body.extend(piece),
                Err(failure) => break Some(failure),
            }
        };
        let mut answer = answer::head(&head, response.elapsed());
        match cut {
            None => {
                let trailers = self.trailers(&response).await?;
                answer.insert("trailers".into(), answer::fields(&trailers));
                answer.extend(answer::body(&body));
                self.release(response).await?;
                Ok(answer)
            }
            Some(failure) => {
                answer.extend(answer::body(&body));
                if !matches!(failure, Failure::Trap(_)) {
                    self.release(response).await?;
                }
                Err(Fault { failure, beside: answer })
            }
        }
    }

    /// The name of the pool, and the handle for what comes; the handle must be free.
    fn take_names(&self, keys: &mut Answer) -> Result<(Option<String>, Option<String>), Fault> {
        let as_handle = text(keys, "as")?;
        if let Some(name) = &as_handle {
            self.free(name)?;
        }
        Ok((text(keys, "pool")?, as_handle))
    }

    /// The pool of this name, or the one that is there by default.
    async fn pool(&mut self, name: Option<String>) -> Result<Pool, Fault> {
        let name = name.unwrap_or_else(|| DEFAULT_POOL.into());
        if let Some(pool) = self.names.pools.get(&name) {
            return Ok(*pool);
        }
        if name != DEFAULT_POOL {
            return Err(unknown_pool(&name));
        }
        let pool = self.open(&Options::default()).await?;
        self.names.pools.insert(name, pool);
        Ok(pool)
    }

    fn free(&self, handle: &str) -> Result<(), Fault> {
        match self.names.handles.contains_key(handle) {
            true => Err(usage(format!("handle {handle:?}: in use; drop it first"))),
            false => Ok(()),
        }
    }

    fn take_pending(&mut self, handle: &str) -> Result<Pending, Fault> {
        match self.names.handles.remove(handle) {
            Some(Named::Pending(pending)) => Ok(pending),
            Some(response @ Named::Response(_)) => {
                self.names.handles.insert(handle.into(), response);
                Err(usage(format!("handle {handle:?}: a response, not pending")))
            }
            None => Err(unknown(handle)),
        }
    }

    fn take_response(&mut self, handle: &str) -> Result<Response, Fault> {
        match self.names.handles.remove(handle) {
            Some(Named::Response(response)) => Ok(response),
            Some(pending @ Named::Pending(_)) => {
                self.names.handles.insert(handle.into(), pending);
                Err(usage(format!("handle {handle:?}: pending, not a response yet")))
            }
            None => Err(unknown(handle)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handle {
    handle: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    handle: String,
    #[serde(default = "piece")]
    max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    handle: String,
    #[serde(default = "whole")]
    limit: u32,
}

fn piece() -> u32 {
    PIECE
}

fn whole() -> u32 {
    WHOLE
}

fn piece_answer(piece: &[u8]) -> Answer {
    let mut answer = answer::piece(piece);
    answer.insert("end".into(), piece.is_empty().into());
    answer
}

/// The line that says why not.
fn refusal(op: Value, id: Option<Value>, failure: &Failure) -> Value {
    let mut all = Answer::from_iter([("op".into(), op)]);
    all.extend(id.map(|id| ("id".into(), id)));
    all.insert("ok".into(), false.into());
    all.insert("error".into(), answer::error(failure));
    Value::Object(all)
}

fn read<T: DeserializeOwned>(keys: Answer) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(keys)).map_err(|error| usage(error.to_string()))
}

fn text(keys: &mut Answer, key: &str) -> Result<Option<String>, Fault> {
    match keys.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(usage(format!("{key}: {other} is not a text"))),
    }
}

fn usage(message: impl Into<String>) -> Fault {
    Failure::Usage(message.into()).into()
}

fn unknown(handle: &str) -> Fault {
    usage(format!("handle {handle:?}: unknown"))
}

fn unknown_pool(name: &str) -> Fault {
    usage(format!("pool {name:?}: not open"))
}

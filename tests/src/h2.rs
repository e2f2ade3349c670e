//! The scripted server over HTTP/2: the same replies, as streams of one connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::reply::{Message, Reading, Step};
use crate::server::{End, InFlight, Request, Shared, wait};

/// Serves one connection to its end. `socket` is another handle of what carries `stream`.
pub(crate) async fn converse<S>(stream: S, socket: Socket, id: usize, shared: &Shared) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = server::handshake(stream).await else { return End::Client };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let socket = Arc::new(socket);
    // Ending the connection ends the answers to its requests.
    let mut answers = JoinSet::new();
    let mut leaving = false;
    for nth in 0.. {
        let accepted = loop {
            tokio::select! {
                // First of all: who says so lets go of its stream next, which would be an answer too.
                biased;
                order = ordered.recv() => match order {
                    Some(Order::Leave) => {
                        leaving = true;
                        connection.graceful_shutdown();
                    }
                    Some(Order::Drop) | None => return End::Server,
                },
                accepted = connection.accept() => break accepted,
            }
        };
        let Some(Ok((request, respond))) = accepted else { break };
        let stream = Stream { respond, orders: orders.clone(), socket: socket.clone(), shared: shared.clone() };
        answers.spawn(stream.answer(request, id, nth));
    }
    if leaving { End::Server } else { End::Client }
}

/// What a stream asks of its connection.
enum Order {
    /// To take no further streams, and to end with those that are open.
    Leave,
    /// To end at once.
    Drop,
}

/// One stream, to be answered.
struct Stream {
    respond: SendResponse<Bytes>,
    orders: mpsc::UnboundedSender<Order>,
    socket: Arc<Socket>,
    shared: Shared,
}

impl Stream {
    async fn answer(mut self, request: http::Request<RecvStream>, id: usize, nth: usize) {
        let (head, mut body) = request.into_parts();
        let mut request = Request {
            arrival: 0,
            connection: id,
            nth,
            at: Instant::now(),
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            head: Bytes::new(),
            headers: fields(&head.headers),
            body: Bytes::new(),
            trailers: Vec::new(),
            whole: body.is_end_stream(),
        };
        let shared = self.shared.clone();
        shared.arrived(&mut request);
        let mut flying = InFlight::new(&shared);
        let reply = shared.ask(&request);
        if reply.reading() == Reading::First && !self.read(&mut body, request.arrival).await {
            return;
        }
        let answered = match reply.message(request.method == "HEAD") {
            // What was scripted cannot be said in HTTP/2, so no case may pass by it.
            Err(()) => return self.respond.send_reset(Reason::INTERNAL_ERROR),
            Ok(message) => self.say(reply.before(), message, &mut flying).await,
        };
        drop(flying);
        for step in reply.after_all() {
            match step {
                Step::Wait(until) => wait(until, &self.shared).await,
                Step::Close if answered => drop(self.orders.send(Order::Leave)),
                Step::Close | Step::Hangup => drop(self.orders.send(Order::Drop)),
                Step::Reset => {
                    let _ = self.socket.set_linger(Some(Duration::ZERO));
                    let _ = self.orders.send(Order::Drop);
                }
                Step::Stall => drop(poll_fn(|cx| self.respond.poll_reset(cx)).await),
                Step::Send(_) | Step::Flood(_) => self.respond.send_reset(Reason::INTERNAL_ERROR),
            }
        }
        if reply.reading() == Reading::After {
            self.read(&mut body, request.arrival).await;
        }
    }

    /// Sends what there is to send; false when there is nothing.
    async fn say(&mut self, before: &[Step], message: Option<Message>, flying: &mut InFlight<'_>) -> bool {
        for step in before {
            match step {
                Step::Wait(until) => wait(until, &self.shared).await,
                Step::Send(bytes) => {
                    for status in interim(bytes) {
                        let _ = self.respond.send_informational(head(status, Vec::new()));
                    }
                }
                Step::Flood(_) | Step::Close | Step::Hangup | Step::Reset | Step::Stall => {
                    self.respond.send_reset(Reason::INTERNAL_ERROR);
                }
            }
        }
        let Some(Message { status, headers, pieces, trailers }) = message else { return false };
        // The client may send its next request before this task runs again.
        flying.land();
        let ends = pieces.is_empty() && trailers.is_empty();
        // Whoever went away meanwhile needs no answer.
        let Ok(mut stream) = self.respond.send_response(head(status, headers), ends) else { return true };
        let last = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let _ = stream.send_data(piece, trailers.is_empty() && index + 1 == last);
        }
        if !trailers.is_empty() {
            let _ = stream.send_trailers(map(trailers.into_iter().map(|(name, value)| (name, value.into_bytes()))));
        }
        true
    }

    /// Reads a body to its end and into the log; false when the client gave it up before.
    async fn read(&self, body: &mut RecvStream, arrival: usize) -> bool {
        let mut whole = Vec::new();
        while let Some(piece) = body.data().await {
            let Ok(piece) = piece else { return false };
            let _ = body.flow_control().release_capacity(piece.len());
            whole.extend_from_slice(&piece);
        }
        let Ok(trailers) = body.trailers().await else { return false };
        self.shared.read(arrival, whole.into(), fields(&trailers.unwrap_or_default()));
        true
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let latin1 = |value: &HeaderValue| value.as_bytes().iter().map(|&byte| char::from(byte)).collect();
    headers.iter().map(|(name, value)| (name.to_string(), latin1(value))).collect()
}

fn head(status: u16, headers: Vec<(String, Vec<u8>)>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).expect("a script has statuses of three digits");
    *response.headers_mut() = map(headers);
    response
}

fn map(headers: impl IntoIterator<Item = (String, Vec<u8>)>) -> HeaderMap {
    let headers = headers.into_iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a script for HTTP/2 has valid names");
        (name, HeaderValue::from_bytes(&value).expect("a script for HTTP/2 has valid values"))
    });
    // Not collected, which would keep the last of a name only.
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, value);
    }
    map
}

/// The statuses of the interim responses in these bytes of HTTP/1.1.
fn interim(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()).collect()
}

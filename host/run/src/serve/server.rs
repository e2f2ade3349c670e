//! A handler, and the instances of it that requests are given to.
//!
//! Longer than 400 lines, since the settings of a server stand beside what it does with them.

use super::fault::Fault;
use super::figures::Served;
use super::instance::{Answer, Instance};
use super::ticker;
use super::whole::{Broken, Whole};
use crate::error::Error;
use crate::grants::Grants;
use crate::program::{HANDLE, Program};
use crate::state::State;
use bytes::Bytes;
use futures::channel::oneshot;
use http::header::{self, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use urlpool_host::Guest;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi_http::WasiBody;

/// A handler of requests (`wasi:http/proxy`, or `service` of WASI 0.3) with the instances of it that requests are given to.
///
/// All instances send over the connections of one host, as one guest of it: they share its limits, its quota and what it has
/// open. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    program: Program,
    guest: Guest,
    settings: ServerBuilder,
    permits: Arc<Semaphore>,
    /// Those that may handle further requests; the last one was used last.
    idle: Mutex<Vec<Instance>>,
    served: Mutex<Served>,
}

impl Server {
    /// A server with the documented defaults, to be changed.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Has the component answer a request.
    ///
    /// There is always a response: where the component gives none, one with the [status](Fault::status) of the reason, and a
    /// line of text. Dropping the future ends the instance. It takes a tokio runtime to run on.
    pub async fn handle<B>(&self, request: http::Request<B>) -> http::Response<WasiBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<wasmtime_wasi_http::Error>,
    {
        let begun = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answered = self.answer(request.map(|body| body.map_err(Into::into).boxed_unsync()), begun).await;
        let (response, fault, rest) = match answered {
            Ok((response, rest)) => (response, None, Some(rest)),
            Err(fault) => (made_up(&fault), Some(fault), None),
        };
        let status = response.status();
        {
            let mut served = self.shared.served();
            served.answered(status);
            if let Some(fault) = &fault {
                served.failed(fault);
            }
        }
        let took = begun.elapsed();
        let event = Event::Answered { method: &method, path: &path, status, took, fault: fault.as_ref() };
        self.shared.settings.tell(event);
        if let Some(rest) = rest {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                if let Err(fault) = rest.ended().await {
                    {
                        let mut served = shared.served();
                        served.cut += 1;
                        served.failed(&fault);
                    }
                    shared.settings.tell(Event::Cut { method: &method, path: &path, fault: &fault });
                }
            });
        }
        response
    }

    /// The figures up to now.
    pub fn stats(&self) -> Served {
        let shared = &self.shared;
        let running = shared.settings.instances.saturating_sub(shared.permits.available_permits());
        let idle = shared.idle().len();
        Served { running, idle, ..shared.served().clone() }
    }

    /// Waits until no instance handles a request, and lets none begin to.
    pub(crate) async fn finish(&self) {
        // The number was checked to be one that a semaphore has.
        let all = u32::try_from(self.shared.settings.instances).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        let _ = self.shared.permits.acquire_many(all).await;
    }

    pub(crate) fn settings(&self) -> &ServerBuilder {
        &self.shared.settings
    }

    /// The response, and what goes on behind it.
    async fn answer(
        &self,
        request: http::Request<WasiBody>,
        begun: Instant,
    ) -> Result<(http::Response<WasiBody>, Running), Fault> {
        // wasmtime would take its absence for a failure of the host's.
        let host = request.headers().get(header::HOST).is_some_and(|host| host.to_str().is_ok());
        if request.uri().authority().is_none() && !host {
            return Err(Fault::NoHost);
        }
        let settings = &self.shared.settings;
        // What is too far off for a clock never comes.
        let deadline = settings.deadline.and_then(|deadline| begun.checked_add(deadline));
        let patience = begun.checked_add(settings.wait).into_iter().chain(deadline).min();
        let permit = Arc::clone(&self.shared.permits).acquire_owned();
        let permit = match patience {
            Some(patience) => timeout_at(patience, permit).await.ok(),
            None => Some(permit.await),
        };
        let permit = permit.and_then(Result::ok).ok_or(Fault::Busy)?;

        let (answer, answered) = oneshot::channel();
        let broken = Broken::default();
        let job = Job { shared: Arc::clone(&self.shared), request, answer, deadline, permit, broken: broken.clone() };
        let running = Running(tokio::spawn(job.run()));
        match answered.await {
            Ok(Ok(response)) => Ok((response.map(|body| Whole::new(body, broken).boxed_unsync()), running)),
            Ok(Err(error)) => Err(Fault::of(&error)),
            // It ended, and knows why.
            Err(oneshot::Canceled) => Err(running.ended().await.err().unwrap_or(Fault::Silent)),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Shared {
    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn instance(&self) -> Result<Instance, Fault> {
        if let Some(instance) = self.idle().pop() {
            return Ok(instance);
        }
        self.served().started += 1;
        let mut wasi = self.settings.grants.wasi().map_err(|error| Fault::Host(error.to_string()))?;
        let state = State::new(&self.guest, &mut wasi, self.settings.memory);
        Instance::start(&self.program, state).await
    }
}

/// One request, given to an instance.
struct Job {
    shared: Arc<Shared>,
    request: http::Request<WasiBody>,
    answer: oneshot::Sender<Answer>,
    deadline: Option<Instant>,
    permit: OwnedSemaphorePermit,
    broken: Broken,
}

impl Job {
    async fn run(self) -> Result<(), Fault> {
        let Self { shared, request, answer, deadline, permit, broken } = self;
        let handling = async {
            let mut instance = shared.instance().await?;
            // Declared behind the instance, so that it is dropped before it in every case.
            let at_work = broken.unless_done();
            instance.handle(request, answer).await?;
            at_work.done();
            Ok(instance)
        };
        let instance = match deadline {
            // What is dropped here is the instance, in whatever it is doing.
            Some(deadline) => timeout_at(deadline, handling).await.unwrap_or(Err(Fault::Deadline))?,
            None => handling.await?,
        };
        if instance.given() < shared.settings.reuse {
            shared.idle().push(instance);
        }
        drop(permit);
        Ok(())
    }
}

/// An instance at work; dropping it ends the instance.
struct Running(JoinHandle<Result<(), Fault>>);

impl Running {
    /// How it ended.
    async fn ended(mut self) -> Result<(), Fault> {
        (&mut self.0).await.unwrap_or_else(|error| Err(Fault::Host(error.to_string())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The response where the component gave none.
fn made_up(fault: &Fault) -> http::Response<WasiBody> {
    let text = match fault {
        Fault::NoHost => "the request names no host\n",
        Fault::Busy => "all instances of the component are busy\n",
        Fault::Deadline => "the component took too long\n",
        // Why is for the log, not for whoever sent the request.
        Fault::Memory | Fault::Trapped(_) | Fault::Silent | Fault::Answered(_) | Fault::Host(_) => {
            "the component failed\n"
        }
    };
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = http::Response::new(body);
    *response.status_mut() = fault.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if *fault == Fault::Busy {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Something that a server did.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request was answered, as far as its head.
    Answered {
        /// The method.
        method: &'a http::Method,
        /// The path, without the query, which may hold secrets.
        path: &'a str,
        /// The status.
        status: http::StatusCode,
        /// How long it took up to the head.
        took: Duration,
        /// Why the component did not answer itself.
        fault: Option<&'a Fault>,
    },
    /// A response was cut off after its head.
    Cut {
        /// The method.
        method: &'a http::Method,
        /// The path, without the query.
        path: &'a str,
        /// Why.
        fault: &'a Fault,
    },
}

/// Is told of every [`Event`] of a server.
///
/// It is called by whatever task the event happens in, which waits for it; so it should pass on, and return.
pub trait Observe: Send + Sync {
    /// This happened.
    fn observe(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync> Observe for F {
    fn observe(&self, event: Event<'_>) {
        self(event);
    }
}

/// The settings of a [`Server`].
#[derive(Clone)]
#[must_use]
pub struct ServerBuilder {
    instances: usize,
    reuse: usize,
    memory: usize,
    deadline: Option<Duration>,
    wait: Duration,
    grace: Duration,
    grants: Grants,
    observer: Option<Arc<dyn Observe>>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            instances: 64,
            reuse: 1,
            memory: 256 * 1024 * 1024,
            deadline: Some(Duration::from_secs(30)),
            wait: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            grants: Grants::none(),
            observer: None,
        }
    }
}

impl ServerBuilder {
    /// How many instances may handle a request at once; further requests wait. Default: 64.
    pub fn instances(self, instances: usize) -> Self {
        Self { instances, ..self }
    }

    /// How many requests an instance is given, one after the other. Default: 1, so that no request sees what another one left
    /// behind.
    ///
    /// An instance that trapped or was ended is given no other, whatever this says.
    pub fn reuse(self, requests: usize) -> Self {
        Self { reuse: requests, ..self }
    }

    /// How many bytes the linear memories of an instance may have together. Default: 256 MiB.
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// How long a request may take from its head to the end of its response, waiting for an instance included, or none to set
    /// no limit. Default: 30 s.
    ///
    /// It holds while the component computes as well as while it waits. Before the head of the response it is a status 504,
    /// after it the response is cut off.
    pub fn deadline(self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self }
    }

    /// How long a request waits for an instance. Default: 5 s, after which it is a status 503.
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// How long requests that have begun may take after the server was told to end. Default: 30 s.
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// What instances may see of the machine. Default: nothing.
    pub fn grants(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    /// Who is told what happens. Default: nobody.
    pub fn observer(self, observer: Arc<dyn Observe>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Compiles a component, or takes it from wasmtime's cache, for a server that runs it as this guest.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] when a limit is 0 or too large, and those of [`Command::new`](crate::Command::new).
    pub fn build(self, component: &[u8], guest: Guest) -> Result<Server, Error> {
        if !(1..=Semaphore::MAX_PERMITS.min(u32::MAX as usize)).contains(&self.instances) {
            return Err(Error::Limit("instances"));
        }
        if self.reuse == 0 {
            return Err(Error::Limit("reuse"));
        }
        let program = match Program::new(component, HANDLE, &mut self.config(true)) {
            // The pool has a form, into which not every component fits, and asks for address space, which may be limited.
            Err(Error::Compile(_)) => Program::new(component, HANDLE, &mut self.config(false))?,
            program => program?,
        };
        ticker::start(program.linked.engine()).map_err(|error| Error::Compile(error.into()))?;
        let permits = Arc::new(Semaphore::new(self.instances));
        let (idle, served) = (Mutex::default(), Mutex::default());
        Ok(Server { shared: Arc::new(Shared { program, guest, settings: self, permits, idle, served }) })
    }

    fn config(&self, pooled: bool) -> Config {
        let mut config = Config::new();
        config.epoch_interruption(true);
        if pooled {
            let instances = u32::try_from(self.instances).unwrap_or(u32::MAX);
            let each = |most: u32| instances.saturating_mul(most);
            let mut pool = PoolingAllocationConfig::new();
            pool.total_component_instances(instances)
                .max_core_instances_per_component(CORE_INSTANCES)
                .total_core_instances(each(CORE_INSTANCES))
                .max_memories_per_component(MEMORIES)
                .total_memories(each(MEMORIES))
                .max_tables_per_component(TABLES)
                .total_tables(each(TABLES))
                // One to start an instance on, and one for what it does.
                .total_stacks(each(2));
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        config
    }

    pub(crate) fn patience_of_the_end(&self) -> Duration {
        self.grace
    }

    fn tell(&self, event: Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("instances", &self.instances)
            .field("reuse", &self.reuse)
            .field("memory", &self.memory)
            .field("deadline", &self.deadline)
            .field("wait", &self.wait)
            .field("grace", &self.grace)
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}

// What a component may consist of to fit into the pool. A composed one of Rust has some six core instances and two memories;
// one of Python links its libraries, each as a core instance, to one memory.
const CORE_INSTANCES: u32 = 64;
const MEMORIES: u32 = 4;
const TABLES: u32 = 16;

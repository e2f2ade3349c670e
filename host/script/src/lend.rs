//! From plain values to resources of the component: the one place that knows which key is which setter.

use crate::{
    bindings::exports::urlpool::client::pool,
    error::{self, Failure},
    pieces::PieceStream,
    policy::{Options, WhenFull},
    request::{Field, Request},
    session::{Pool, Session},
};
use std::path::Path;
use wasmtime::component::{Resource, ResourceAny};
use wasmtime_wasi::p2::pipe::AsyncReadStream;
use wasmtime_wasi_io::streams::DynInputStream;

impl Session {
    /// Makes the settings of a pool; the caller releases them.
    pub(crate) async fn lend_options(&mut self, options: &Options) -> Result<ResourceAny, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_pool().options();
        let made = guest.call_constructor(&mut self.store).await;
        let any = self.settled(made)?;
        let filled = self.fill_options(options, any).await;
        self.kept(any, filled).await
    }

    async fn fill_options(&mut self, options: &Options, any: ResourceAny) -> Result<(), Failure> {
        for (name, value) in &options.headers {
            let guest = self.client.urlpool_client_pool().options();
            let set = guest.call_append_header(&mut self.store, any, name, value).await;
            self.told(set).await?;
        }
        for credentials in &options.credentials {
            let guest = self.client.urlpool_client_pool().options();
            let (store, url) = (&mut self.store, &credentials.url);
            let set = match (&credentials.basic, &credentials.bearer) {
                (Some((user, password)), None) => guest.call_basic_auth(store, any, url, user, password).await,
                (None, Some(token)) => guest.call_bearer_auth(store, any, url, token).await,
                (Some(_), Some(_)) | (None, None) => {
                    return Err(Failure::Usage(format!("credentials for {url}: needs either basic or bearer")));
                }
            };
            self.told(set).await?;
        }
        let retry = self.lend_retry(options.retry.as_ref()).await?;
        let redirect = self.lend_redirect(options.redirect.as_ref()).await?;
        let timeouts = self.lend_timeouts(options.timeouts.as_ref()).await?;
        let set = self.set_options(options, [retry, redirect, timeouts], any).await;
        self.settled(set)?;
        self.release_lent([retry, redirect, timeouts]).await
    }

    async fn set_options(
        &mut self,
        options: &Options,
        [retry, redirect, timeouts]: [Option<ResourceAny>; 3],
        any: ResourceAny,
    ) -> wasmtime::Result<()> {
        let guest = self.client.urlpool_client_pool().options();
        let store = &mut self.store;
        if let Some(slots) = options.slots {
            guest.call_set_slots(&mut *store, any, slots).await?;
        }
        if let Some(when_full) = options.when_full {
            let then = match when_full {
                WhenFull::Queue => pool::WhenFull::Queue,
                WhenFull::Refuse => pool::WhenFull::Refuse,
            };
            guest.call_set_when_full(&mut *store, any, then).await?;
        }
        if let Some(limit) = options.queue {
            guest.call_set_queue(&mut *store, any, limit).await?;
        }
        if let Some(enabled) = options.trace_context {
            guest.call_set_trace_context(&mut *store, any, enabled).await?;
        }
        if let Some(origins) = options.origins {
            guest.call_set_origins(&mut *store, any, origins).await?;
        }
        for name in &options.remove_headers {
            guest.call_remove_header(&mut *store, any, name).await?;
        }
        if let Some(retry) = retry {
            guest.call_set_retry(&mut *store, any, retry).await?;
        }
        if let Some(redirect) = redirect {
            guest.call_set_redirect(&mut *store, any, redirect).await?;
        }
        if let Some(timeouts) = timeouts {
            guest.call_set_timeouts(&mut *store, any, timeouts).await?;
        }
        if let Some(decode) = options.decode {
            guest.call_set_decode(&mut *store, any, decode).await?;
        }
        if let Some(limit) = options.preload {
            guest.call_set_preload(&mut *store, any, limit).await?;
        }
        if let Some(limit) = options.max_body {
            guest.call_set_max_body(&mut *store, any, limit).await?;
        }
        if let Some(limit) = options.max_ratio {
            guest.call_set_max_ratio(&mut *store, any, limit).await?;
        }
        if let Some(seed) = options.seed {
            guest.call_set_seed(&mut *store, any, seed).await?;
        }
        Ok(())
    }

    /// Makes a request in the component; sending it moves it.
    pub(crate) async fn build(&mut self, request: &Request, pool: Pool) -> Result<ResourceAny, Failure> {
        self.alive()?;
        request.check().map_err(Failure::Usage)?;
        let method = error::method(&request.method);
        let made = match pool.from_url {
            true => {
                let guest = self.client.urlpool_client_pool().pool();
                guest.call_request(&mut self.store, pool.any, &method, &request.url).await
            }
            false => {
                let guest = self.client.urlpool_client_messages().request();
                guest.call_create(&mut self.store, &method, &request.url).await
            }
        };
        let any = self.told(made).await?;
        let filled = self.fill_request(request, any).await;
        let any = self.kept(any, filled).await?;
        if !request.clone {
            return Ok(any);
        }
        let guest = self.client.urlpool_client_messages().request();
        let cloned = guest.call_clone(&mut self.store, any).await;
        let cloned = self.told(cloned).await;
        self.release_any(any).await?;
        cloned
    }

    async fn fill_request(&mut self, request: &Request, any: ResourceAny) -> Result<(), Failure> {
        for (name, value) in &request.headers {
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_append_header(&mut self.store, any, name, value).await;
            self.told(set).await?;
        }
        if !request.header_bytes.is_empty() {
            let fields = request.header_bytes.iter();
            let fields: Vec<_> = fields.map(|(name, value)| (name.clone(), value.0.clone())).collect();
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_append_headers(&mut self.store, any, &fields).await;
            self.told(set).await?;
        }
        if let Some((user, password)) = &request.basic {
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_basic_auth(&mut self.store, any, user, password).await;
            self.told(set).await?;
        }
        if let Some(token) = &request.bearer {
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_bearer_auth(&mut self.store, any, token).await;
            self.told(set).await?;
        }
        if !request.trailers.is_empty() {
            let fields = request.trailers.iter();
            let fields: Vec<_> = fields.map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_trailers(&mut self.store, any, &fields).await;
            self.told(set).await?;
        }
        self.fill_body(request, any).await?;

        let retry = self.lend_retry(request.retry.as_ref()).await?;
        let redirect = self.lend_redirect(request.redirect.as_ref()).await?;
        let timeouts = self.lend_timeouts(request.timeouts.as_ref()).await?;
        let set = self.set_request(request, [retry, redirect, timeouts], any).await;
        self.settled(set)?;
        self.release_lent([retry, redirect, timeouts]).await
    }

    async fn set_request(
        &mut self,
        request: &Request,
        [retry, redirect, timeouts]: [Option<ResourceAny>; 3],
        any: ResourceAny,
    ) -> wasmtime::Result<()> {
        let guest = self.client.urlpool_client_messages().request();
        let store = &mut self.store;
        for (name, value) in &request.query {
            guest.call_append_query(&mut *store, any, name, value).await?;
        }
        for name in &request.remove_headers {
            guest.call_remove_header(&mut *store, any, name).await?;
        }
        if let Some(retry) = retry {
            guest.call_set_retry(&mut *store, any, retry).await?;
        }
        if let Some(redirect) = redirect {
            guest.call_set_redirect(&mut *store, any, redirect).await?;
        }
        if let Some(timeouts) = timeouts {
            guest.call_set_timeouts(&mut *store, any, timeouts).await?;
        }
        if let Some(decode) = request.decode {
            guest.call_set_decode(&mut *store, any, decode).await?;
        }
        if let Some(limit) = request.preload {
            guest.call_set_preload(&mut *store, any, limit).await?;
        }
        if let Some(limit) = request.max_body {
            guest.call_set_max_body(&mut *store, any, limit).await?;
        }
        if let Some(limit) = request.max_ratio {
            guest.call_set_max_ratio(&mut *store, any, limit).await?;
        }
        Ok(())
    }

    async fn fill_body(&mut self, request: &Request, any: ResourceAny) -> Result<(), Failure> {
        if let Some(form) = &request.form {
            let multipart = request.multipart || request.boundary.is_some();
            let multipart = multipart.then_some(request.boundary.as_deref());
            let form = self.build_form(form, multipart).await?;
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_form(&mut self.store, any, form).await;
            return self.settled(set);
        }
        if let Some(path) = &request.body_file {
            let (stream, length) = self.lend_file(path).await?;
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_body_stream(&mut self.store, any, stream, length).await;
            return self.settled(set);
        }
        if let Some(pieces) = &request.body_stream {
            let stream = self.lend_stream(Box::new(PieceStream::from(pieces.clone())))?;
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_body_stream(&mut self.store, any, stream, pieces.length).await;
            return self.settled(set);
        }
        if let Some(json) = &request.json {
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_json(&mut self.store, any, &json.to_string()).await;
            return self.settled(set);
        }
        let bytes = request.body_base64.as_ref().map(|body| body.0.as_slice());
        let text = request.body.as_ref().map(String::as_bytes);
        if let Some(body) = bytes.or(text) {
            let guest = self.client.urlpool_client_messages().request();
            let set = guest.call_set_body(&mut self.store, any, body).await;
            self.settled(set)?;
        }
        Ok(())
    }

    /// Makes a form; `multipart` makes it one even without files, with its boundary where there is one.
    pub(crate) async fn build_form(
        &mut self,
        fields: &[Field],
        multipart: Option<Option<&str>>,
    ) -> Result<ResourceAny, Failure> {
        self.alive()?;
        let guest = self.client.urlpool_client_messages().form();
        let any = match multipart {
            None => {
                let made = guest.call_constructor(&mut self.store).await;
                self.settled(made)?
            }
            Some(boundary) => {
                let made = guest.call_multipart(&mut self.store, boundary).await;
                self.told(made).await?
            }
        };
        let mut filled = Ok(());
        for field in fields {
            filled = self.fill_form(field, any).await;
            if filled.is_err() {
                break;
            }
        }
        self.kept(any, filled).await
    }

    async fn fill_form(&mut self, field: &Field, any: ResourceAny) -> Result<(), Failure> {
        let name = field.name.as_str();
        let media_type = field.media_type.as_deref();
        if let Some(value) = &field.value {
            let guest = self.client.urlpool_client_messages().form();
            let set = guest.call_append_field(&mut self.store, any, name, value).await;
            return self.settled(set);
        }
        let of_path = || field.file.as_deref().and_then(Path::file_name);
        let filename = match &field.filename {
            Some(filename) => filename.clone(),
            None => of_path().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let bytes = field.content_base64.as_ref().map(|content| content.0.as_slice());
        if let Some(content) = bytes.or(field.content.as_deref().map(str::as_bytes)) {
            let guest = self.client.urlpool_client_messages().form();
            let set = guest.call_append_file(&mut self.store, any, name, &filename, content, media_type).await;
            return self.told(set).await;
        }
        let (stream, length) = match (&field.file, &field.stream) {
            (Some(path), _) => self.lend_file(path).await?,
            (None, Some(pieces)) => {
                let stream = self.lend_stream(Box::new(PieceStream::from(pieces.clone())))?;
                (stream, pieces.length)
            }
            (None, None) => return Ok(()),
        };
        let guest = self.client.urlpool_client_messages().form();
        let set =
            guest.call_append_file_stream(&mut self.store, any, name, &filename, stream, length, media_type).await;
        self.told(set).await
    }

    /// Opens a file as a stream; its length is known when it is a regular file. `-` is the standard input.
    async fn lend_file(&mut self, path: &Path) -> Result<(Resource<DynInputStream>, Option<u64>), Failure> {
        if path.as_os_str() == "-" {
            let stream = self.lend_stream(Box::new(AsyncReadStream::new(tokio::io::stdin())))?;
            return Ok((stream, None));
        }
        let unreadable = |error: std::io::Error| Failure::Usage(format!("file {}: {error}", path.display()));
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok((self.lend_stream(Box::new(AsyncReadStream::new(file)))?, length))
    }

    fn lend_stream(&mut self, stream: DynInputStream) -> Result<Resource<DynInputStream>, Failure> {
        let pushed = self.store.data_mut().table().push(stream);
        self.settled(pushed.map_err(wasmtime::Error::from))
    }

    /// Hands on what was filled, or gives it back when filling it failed.
    async fn kept(&mut self, any: ResourceAny, filled: Result<(), Failure>) -> Result<ResourceAny, Failure> {
        match filled {
            Ok(()) => Ok(any),
            Err(failure) => {
                self.release_any(any).await?;
                Err(failure)
            }
        }
    }

    async fn release_lent(&mut self, lent: [Option<ResourceAny>; 3]) -> Result<(), Failure> {
        for any in lent.into_iter().flatten() {
            self.release_any(any).await?;
        }
        Ok(())
    }
}

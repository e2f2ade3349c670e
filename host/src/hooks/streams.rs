//! `read` and `blocking-read` of an input stream: as wasmtime has them, but what was read is copied once, into the guest.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::io::streams::{Host as _, StreamError};
use wasmtime_wasi::p2::{DynInputStream, StreamResult};

/// Replaces `read` and `blocking-read`.
pub(super) fn add<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: WasiView + 'static,
{
    type Arguments = (Resource<DynInputStream>, u64);
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.func_wrap(
        "[method]input-stream.read",
        |mut store: StoreContextMut<'_, T>, (stream, most): Arguments| {
            let table = store.data_mut().ctx().table;
            let read = table.get_mut(&stream)?.read(size(most));
            Ok((told(read, table)?,))
        },
    )?;
    streams.func_wrap_async(
        "[method]input-stream.blocking-read",
        |mut store: StoreContextMut<'_, T>, (stream, most): Arguments| {
            Box::new(async move {
                let table = store.data_mut().ctx().table;
                let read = table.get_mut(&stream)?.blocking_read(size(most)).await;
                Ok((told(read, table)?,))
            })
        },
    )
}

/// More than there can be in memory counts as all of it.
fn size(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn told(read: StreamResult<Bytes>, table: &mut ResourceTable) -> wasmtime::Result<Result<Bytes, StreamError>> {
    match read {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) => Ok(Err(table.convert_stream_error(error)?)),
    }
}

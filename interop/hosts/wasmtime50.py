"""Runs a component's `wasi:cli/run` on the wasmtime that pip brings, and ends with its status.

Usage: wasmtime50.py COMPONENT FOLDER [ARGUMENT]...

FOLDER is what the component sees as its current one.
"""

import sys

import wasmtime
from wasmtime import component


def main(file, folder, *arguments):
    config = wasmtime.Config()
    config.cache = True
    engine = wasmtime.Engine(config)
    linker = component.Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()

    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = [file, *arguments]
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(folder, ".")
    store.set_wasi(wasi)
    store.set_wasi_http()

    guest = component.Component.from_file(engine, file)
    instance = linker.instantiate(store, guest)
    for name in guest.type.exports(engine):
        if name.startswith("wasi:cli/run@"):
            interface = instance.get_export_index(store, name)
            run = instance.get_func(store, instance.get_export_index(store, "run", interface))
            outcome = run(store)
            return 1 if isinstance(outcome, component.Variant) and outcome.tag == "err" else 0
    sys.exit(f"{file}: exports no wasi:cli/run")


sys.exit(main(*sys.argv[1:]))

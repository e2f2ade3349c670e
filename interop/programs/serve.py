"""Serves a few paths with one of Python's servers.

Called as `python serve.py SERVER PORT`. Every answer has the headers `X-Method` and `X-Peer`: the port of the client,
which tells its connections apart.

- `/echo` answers with the body of the request.
- `/stream` answers with a thousand lines, one after the other.
- `/refuse` answers 413 without reading the body.
- `/redirect` answers 307 to `/echo`.
- `/gone` ends a connection that has carried a request before without an answer; aiohttp only.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

LINES = [f"line {number}\n".encode() for number in range(1000)]


def aiohttp(port: int) -> None:
    """Serves with aiohttp's own server."""
    from aiohttp import web

    served: set[int] = set()

    def told(request: web.Request) -> dict[str, str]:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")[1]
        return {"X-Method": request.method, "X-Peer": str(peer)}

    async def echo(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        served.add(int(told(request)["X-Peer"]))
        return web.Response(body=body, headers=told(request))

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=told(request))
        await response.prepare(request)
        for line in LINES:
            await response.write(line)
        await response.write_eof()
        return response

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=413, text="too large", headers=told(request))

    async def redirect(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(status=307, headers={"Location": "/echo", **told(request)})

    async def gone(request: web.Request) -> web.StreamResponse:
        if int(told(request)["X-Peer"]) in served and request.transport is not None:
            request.transport.abort()
        return web.Response(text="here", headers=told(request))

    app = web.Application(client_max_size=1 << 30)
    for path, handler in [
        ("/echo", echo),
        ("/stream", stream),
        ("/refuse", refuse),
        ("/redirect", redirect),
        ("/gone", gone),
    ]:
        app.router.add_route("*", path, handler)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The paths as an application of ASGI."""

    async def read() -> bytes:
        body = b""
        while True:
            message = await receive()
            body += bytes(message.get("body", b""))
            if not message.get("more_body"):
                return body

    async def start(status: int, *headers: tuple[bytes, bytes]) -> None:
        told = [(b"x-method", scope["method"].encode()), (b"x-peer", str(scope["client"][1]).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*told, *headers]})

    match scope["path"]:
        case "/echo":
            body = await read()
            await start(200, (b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.body", "body": body})
        case "/stream":
            await start(200)
            for line in LINES:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body"})
        case "/refuse":
            await start(413, (b"content-length", b"9"))
            await send({"type": "http.response.body", "body": b"too large"})
        case "/redirect":
            await read()
            await start(307, (b"location", b"/echo"), (b"content-length", b"0"))
            await send({"type": "http.response.body"})
        case _:
            await start(404, (b"content-length", b"0"))
            await send({"type": "http.response.body"})


def uvicorn(port: int) -> None:
    """Serves with uvicorn, which parses by h11."""
    import uvicorn as server

    server.run(application, host="127.0.0.1", port=port, http="h11", lifespan="off", log_level="warning")


SERVERS: dict[str, Callable[[int], None]] = {"aiohttp": aiohttp, "uvicorn": uvicorn}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]))

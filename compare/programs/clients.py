"""Does with one of Python's clients what it is asked to, by a line of JSON for each request.

Called as `python clients.py CLIENT`. The operations:

- `{"op": "version"}` is answered by `{"version"}`.
- `{"op": "open", "seconds"}` makes a new client that gives up after so many seconds, by whichever limit it has.
- `{"op": "send", "method", "url", "headers", "body", "form"}` sends a request and reads the answer whole. The body is a
  text or null; the form is null or a list of `{"name", "value"}` and `{"name", "filename", "content"}`. The answer is
  `{"status", "url", "headers", "body"}`, the body in base64, or `{"error", "typed"}`: whether the exception is one of
  those that the client's documentation tells its users to catch.
- `{"op": "idle"}` is answered once everything that was due has been done.

Each client has its defaults but for what is said where it is made.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import json
import sys
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

Fields = list[tuple[str, str]]


class Request(NamedTuple):
    """What is to be sent."""

    method: str
    url: str
    headers: Fields
    body: bytes | None
    form: list[dict[str, str]] | None


class Response(NamedTuple):
    """What came back."""

    status: int
    url: str
    headers: Fields
    body: bytes


class Client(ABC):
    """One client with its connections."""

    #: What its documentation tells its users to catch.
    errors: tuple[type[BaseException], ...]

    @abstractmethod
    def __init__(self, seconds: float) -> None:
        """Makes one that gives up after so many seconds."""

    @abstractmethod
    async def send(self, request: Request) -> Response:
        """Sends a request and reads the answer whole."""

    @abstractmethod
    async def close(self) -> None:
        """Ends its connections."""


class Urllib3(Client):
    """A `PoolManager`."""

    def __init__(self, seconds: float) -> None:
        import urllib3

        self.errors = (urllib3.exceptions.HTTPError,)
        self.pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=seconds))

    async def send(self, request: Request) -> Response:
        headers = multi_header(request.headers)
        if request.form is None:
            response = self.pool.request(request.method, request.url, headers=headers, body=request.body)
        else:
            fields = [
                (field["name"], (field["filename"], field["content"]) if "filename" in field else field["value"])
                for field in request.form
            ]
            response = self.pool.request(request.method, request.url, headers=headers, fields=fields)
        return Response(response.status, response.geturl() or "", list(response.headers.iteritems()), response.data)

    async def close(self) -> None:
        self.pool.clear()


def multi_header(headers: Fields) -> Any:
    """Headers in the type of urllib3."""
    import urllib3

    return urllib3.HTTPHeaderDict(headers)


def files_of(form: list[dict[str, str]]) -> list[tuple[str, tuple[str | None, str]]]:
    """A form in the words that requests and httpx share: a field is a file without a name."""
    return [
        (field["name"], (field["filename"], field["content"]) if "filename" in field else (None, field["value"]))
        for field in form
    ]


class Requests(Client):
    """A `Session`, which reads no settings of proxies from the environment."""

    def __init__(self, seconds: float) -> None:
        import requests

        self.errors = (requests.RequestException,)
        self.session = requests.Session()
        self.session.trust_env = False
        self.seconds = seconds

    async def send(self, request: Request) -> Response:
        files = None if request.form is None else files_of(request.form)
        response = self.session.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
            files=files,
            timeout=self.seconds,
        )
        return Response(response.status_code, response.url, list(response.raw.headers.iteritems()), response.content)

    async def close(self) -> None:
        self.session.close()


class Httpx(Client):
    """A `Client` that follows redirects, which it does not by default."""

    def __init__(self, seconds: float) -> None:
        import httpx

        self.errors = (httpx.HTTPError, httpx.InvalidURL)
        self.client = httpx.Client(follow_redirects=True, timeout=seconds, trust_env=False)

    async def send(self, request: Request) -> Response:
        files = None if request.form is None else files_of(request.form)
        response = self.client.request(
            request.method, request.url, headers=request.headers, content=request.body, files=files
        )
        return Response(response.status_code, str(response.url), response.headers.multi_items(), response.content)

    async def close(self) -> None:
        self.client.close()


class Aiohttp(Client):
    """A `ClientSession` without a jar of cookies: those that are sent are the caller's."""

    def __init__(self, seconds: float) -> None:
        import aiohttp

        self.errors = (aiohttp.ClientError, asyncio.TimeoutError)
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def send(self, request: Request) -> Response:
        import aiohttp

        content: Any = request.body
        if request.form is not None:
            content = aiohttp.FormData(default_to_multipart=True)
            for field in request.form:
                if "filename" in field:
                    content.add_field(field["name"], field["content"].encode(), filename=field["filename"])
                else:
                    content.add_field(field["name"], field["value"])
        async with self.session.request(
            request.method, request.url, headers=request.headers, data=content
        ) as response:
            body = await response.read()
            return Response(response.status, str(response.url), list(response.headers.items()), body)

    async def close(self) -> None:
        await self.session.close()


CLIENTS: dict[str, type[Client]] = {"aiohttp": Aiohttp, "httpx": Httpx, "requests": Requests, "urllib3": Urllib3}


async def sent(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to `send`."""
    body = None if asked["body"] is None else asked["body"].encode()
    headers = [(name, value) for name, value in asked["headers"]]
    try:
        response = await client.send(Request(asked["method"], asked["url"], headers, body, asked["form"]))
    except Exception as error:  # Whatever it raises is what its user gets.
        kind = type(error)
        return {"error": f"{kind.__module__}.{kind.__qualname__}: {error}", "typed": isinstance(error, client.errors)}
    return {
        "status": response.status,
        "url": response.url,
        "headers": [[name, value] for name, value in response.headers],
        "body": base64.b64encode(response.body).decode(),
    }


async def main() -> None:
    """Answers each line before it reads the next."""
    name = sys.argv[1]
    client: Client | None = None
    loop = asyncio.get_running_loop()
    # A thread reads, so that clients with a loop can take note of what happens to their connections meanwhile.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        match asked["op"]:
            case "version":
                answer = {"version": importlib.metadata.version(name)}
            case "open":
                if client is not None:
                    await client.close()
                client = CLIENTS[name](asked["seconds"])
            case "send" if client is not None:
                answer = await sent(client, asked)
            case "idle":
                await asyncio.sleep(0)
        print(json.dumps(answer), flush=True)
    if client is not None:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())

"""Parses multipart bodies with one of Python's parsers, as an application would have it parsed.

Each line of the standard input is a JSON object with the `content_type` of a request and its `body` in base64. It is
answered by a line with the `fields` as [name, value] and the `files` as [name, filename, content type], all contents
in base64, in the order in which the parser gives them; or with an `error`.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple


class File(NamedTuple):
    """A part that the parser takes for a file."""

    name: str | None
    filename: str | None
    content_type: str | None
    content: bytes


class Form(NamedTuple):
    """All that a parser found."""

    fields: list[tuple[str | None, str]]
    files: list[File]


Parser = Callable[[str, bytes], Form]


def werkzeug() -> Parser:
    """Flask's."""
    from werkzeug.formparser import FormDataParser
    from werkzeug.http import parse_options_header

    def parse(content_type: str, body: bytes) -> Form:
        mimetype, options = parse_options_header(content_type)
        parser = FormDataParser(silent=False)
        _, form, files = parser.parse(io.BytesIO(body), mimetype, len(body), options)
        return Form(
            list(form.items(multi=True)),
            [File(name, file.filename, file.content_type, file.read()) for name, file in files.items(multi=True)],
        )

    return parse


def starlette() -> Parser:
    """FastAPI's, on python-multipart."""
    from starlette.datastructures import Headers, UploadFile
    from starlette.formparsers import MultiPartParser

    async def parsed(content_type: str, body: bytes) -> Form:
        async def stream() -> AsyncIterator[bytes]:
            # In pieces, as it would arrive, so that delimiters are cut in the middle.
            for start in range(0, len(body), 4093):
                yield body[start : start + 4093]
            yield b""

        form = await MultiPartParser(Headers({"content-type": content_type}), stream()).parse()
        result = Form([], [])
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                result.files.append(File(name, value.filename, value.content_type, await value.read()))
            else:
                result.fields.append((name, value))
        return result

    return lambda content_type, body: asyncio.run(parsed(content_type, body))


def multipart() -> Parser:
    """The one of `multipart`, which Bottle's author wrote, strict."""
    from multipart import MultipartParser, parse_options_header

    def parse(content_type: str, body: bytes) -> Form:
        _, options = parse_options_header(content_type)
        result = Form([], [])
        for part in MultipartParser(io.BytesIO(body), options["boundary"], len(body), strict=True):
            if part.filename is None:
                result.fields.append((part.name, part.value))
            else:
                result.files.append(File(part.name, part.filename, part.content_type, part.raw))
        return result

    return parse


def django() -> Parser:
    """Django's, with its own handlers of uploads."""
    from django.conf import settings
    from django.core.files.uploadhandler import MemoryFileUploadHandler, TemporaryFileUploadHandler
    from django.http.multipartparser import MultiPartParser

    settings.configure()

    def parse(content_type: str, body: bytes) -> Form:
        meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
        handlers = [MemoryFileUploadHandler(), TemporaryFileUploadHandler()]
        post, files = MultiPartParser(meta, io.BytesIO(body), handlers, "utf-8").parse()
        return Form(
            [(name, value) for name, values in post.lists() for value in values],
            [
                File(name, file.name, file.content_type, file.read())
                for name, values in files.lists()
                for file in values
            ],
        )

    return parse


PARSERS: dict[str, Callable[[], Parser]] = {
    "django": django,
    "multipart": multipart,
    "starlette": starlette,
    "werkzeug": werkzeug,
}


def answer(parse: Parser, line: str) -> dict[str, object]:
    """What the parser makes of one line, as the answer to it."""
    asked = json.loads(line)
    try:
        form = parse(asked["content_type"], base64.b64decode(asked["body"]))
    except Exception as error:  # Whatever it raises is its answer.
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "fields": [[name, base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()] for name, value in form.fields],
        "files": [
            [file.name, file.filename, file.content_type, base64.b64encode(file.content).decode()]
            for file in form.files
        ],
    }


def main() -> None:
    """Answers each line before it reads the next."""
    parse = PARSERS[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(answer(parse, line)), flush=True)


if __name__ == "__main__":
    main()

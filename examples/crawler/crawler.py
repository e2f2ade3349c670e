"""Crawls a site from its start page, several pages at a time, and posts what it found as a file.

    crawler http://127.0.0.1:8000/ http://127.0.0.1:1/

The first URL is where it starts, the second one that of a place that refuses connections.
"""

import json
import re
from urllib.parse import urljoin

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import environment
from wit_world.imports.messages import ErrorKind, Form, Request
from wit_world.imports.policy import Retry, Timeouts
from wit_world.imports.pool import Options, Pool
from wit_world.imports.types import Method_Get

SECOND = 1_000_000_000
LINK = re.compile(r'href="([^"#]*)"')


class Run(exports.Run):
    def run(self):
        arguments = environment.get_arguments()
        start, refusing = arguments[-2:]
        options = Options()
        options.set_slots(4)
        retry = Retry()
        retry.set_statuses([503])
        retry.set_backoff(SECOND // 1000, SECOND // 1000)
        options.set_retry(retry)

        with Pool(options) as pool:
            pages = crawl(pool, start)
            for url, links in sorted(pages.items()):
                print(f"/{url.removeprefix(start)}: {links} links")

            form = Form()
            form.append_field("pages", str(len(pages)))
            form.append_file("report", "pages.json", json.dumps(pages).encode(), "application/json")
            with pool.post(urljoin(start, "upload"), form) as posted:
                print(f"posted: {posted.status()}, {posted.read_text(1 << 20)}")

            quick = Timeouts()
            quick.set_total(SECOND // 5)
            tell("refused", pool, Request.create(Method_Get(), refusing))
            slow = Request.create(Method_Get(), urljoin(start, "slow"))
            slow.set_timeouts(quick)
            tell("slow", pool, slow)
            large = Request.create(Method_Get(), urljoin(start, "large"))
            large.set_max_body(64 * 1024)
            tell("large", pool, large)


def crawl(pool, start):
    """The pages that can be reached, with how many links each has; those of one distance are fetched side by side."""
    pages = {}
    ahead = [start]
    while ahead:
        answers = pool.send_all([Request.create(Method_Get(), url) for url in ahead])
        found = []
        for url, answer in zip(ahead, answers):
            if isinstance(answer, Err):
                print(f"{url}: {answer.value.message}")
                continue
            with answer.value as response:
                links = [urljoin(response.url(), link) for link in LINK.findall(response.read_text(1 << 20))]
            pages[url] = len(links)
            found += links
        ahead = [url for url in dict.fromkeys(found) if url.startswith(start) and url not in pages]
    return pages


def tell(what, pool, request):
    """One line for each way in which it may end; a program would do something about each."""
    try:
        with pool.send(request) as response:
            print(f"{what}: {len(response.read_text(1 << 20))} bytes")
    except Err as failure:
        error = failure.value
        match error.kind:
            case ErrorKind.CONNECT:
                print(f"{what}: cannot be reached")
            case ErrorKind.TIMED_OUT:
                print(f"{what}: takes longer than {error.details.limit() // 1_000_000}ms")
            case ErrorKind.TOO_LARGE:
                print(f"{what}: is larger than allowed")
            case ErrorKind.DENIED:
                print(f"{what}: denied by the host")
            case _:
                print(f"{what}: {error.message}")

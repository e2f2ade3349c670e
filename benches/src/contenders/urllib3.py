# Reads a question a line, as JSON, and writes an answer a line: the bytes read, or an error.
import json
import sys

import urllib3


def run(pool, urls, requests, length):
    total = 0
    for index in range(requests):
        url = urls[index % len(urls)]
        response = pool.request("GET", url, retries=False)
        if response.status != 200:
            raise ValueError(f"{url}: status {response.status}")
        if len(response.data) != length:
            raise ValueError(f"{url}: {len(response.data)} bytes")
        total += len(response.data)
    return total


def fresh(root):
    context = urllib3.util.create_urllib3_context()
    context.load_verify_locations(cadata=root)
    return urllib3.PoolManager(ssl_context=context)


root, pool = None, None
for line in sys.stdin:
    question = json.loads(line)
    try:
        if "root" in question:
            root = question["root"]
        if "urls" in question:
            answer = {"bytes": run(pool, **question)}
        else:
            pool = fresh(root)
            answer = {"bytes": 0}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)

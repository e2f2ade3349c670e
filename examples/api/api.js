// A client of a JSON API with pages: lists its items, adds one, and tells what went wrong by kind.
//
//     api http://127.0.0.1:8000/ http://127.0.0.1:1/
//
// The first URL is that of the API, the second one of a place that refuses connections.

import { getArguments } from 'wasi:cli/environment@0.2.12';
import { Request } from 'urlpool:client/messages@0.2.1';
import { Retry, Timeouts } from 'urlpool:client/policy@0.2.1';
import { Options, Pool } from 'urlpool:client/pool@0.2.1';

const MILLISECOND = 1_000_000n;
const LIMIT = 1 << 20;

class Api {
  constructor(url) {
    const retry = new Retry();
    retry.setStatuses([503]);
    retry.setBackoff(MILLISECOND, MILLISECOND);
    const options = new Options();
    options.setRetry(retry);
    options.appendHeader('accept', 'application/json');
    // Targets are relative to the API, and no request leaves it.
    this.pool = Pool.fromUrl(url, options);
  }

  *items() {
    for (let page = 1; page; ) {
      const answer = this.call('get', `items?page=${page}`);
      yield* answer.items;
      page = answer.next;
    }
  }

  add(item) {
    return this.call('post', 'items', item);
  }

  call(method, target, body) {
    const request = this.pool.request({ tag: method }, target);
    request.bearerAuth('secret');
    if (body !== undefined) {
      request.setJson(JSON.stringify(body));
    }
    const response = this.pool.send(request);
    try {
      const text = response.readText(LIMIT);
      if (response.status() >= 400) {
        throw new Error(`${response.url()}: status ${response.status()}`);
      }
      return JSON.parse(text);
    } finally {
      // Nothing is collected while a call runs, so what is not given back keeps its place until then.
      response[Symbol.dispose]();
    }
  }
}

// One line for each way in which it may end; a program would do something about each.
function tell(what, send) {
  try {
    const response = send();
    console.log(`${what}: ${response.readText(LIMIT).length} bytes`);
    response[Symbol.dispose]();
  } catch (failure) {
    // What a call fails with is the payload of what is thrown.
    const error = failure.payload;
    switch (error?.kind) {
      case 'connect':
        return console.log(`${what}: cannot be reached`);
      case 'timed-out':
        return console.log(`${what}: takes longer than ${error.details.limit() / MILLISECOND}ms`);
      case 'too-large':
        return console.log(`${what}: is larger than allowed`);
      case 'denied':
        return console.log(`${what}: denied by the host`);
      case undefined:
        throw failure;
      default:
        return console.log(`${what}: ${error.message}`);
    }
  }
}

export const run = {
  run() {
    try {
      program(...getArguments().slice(-2));
    } catch (failure) {
      console.error(failure.payload?.message ?? failure);
      throw undefined;
    }
  },
};

function program(url, refusing) {
  const api = new Api(url);
  console.log([...api.items()].join(', '));
  const added = api.add({ name: 'a new one' });
  console.log(`added: ${JSON.stringify(added)}`);

  tell('refused', () => new Pool(undefined).send(Request.create({ tag: 'get' }, refusing)));
  tell('slow', () => {
    const request = api.pool.request({ tag: 'get' }, 'slow');
    const quick = new Timeouts();
    quick.setTotal(200n * MILLISECOND);
    request.setTimeouts(quick);
    return api.pool.send(request);
  });
  tell('large', () => {
    const request = api.pool.request({ tag: 'get' }, 'large');
    request.setMaxBody(65_536n);
    return api.pool.send(request);
  });
}

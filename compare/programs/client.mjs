/**
 * Does with undici's fetch what it is asked to, by a line of JSON for each request: the operations of `clients.py`.
 *
 * Called as `node client.mjs FOLDER`, where the folder holds `node_modules`.
 */

import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";

const [, , folder] = process.argv;
const require = createRequire(path.resolve(folder, "package.json"));
const { Agent, FormData, fetch } = require("undici");
const { version } = require("undici/package.json");

/** @typedef {{name: string, value?: string, filename?: string, content?: string}} Field */
/** @typedef {{method: string, url: string, headers: [string, string][], body: string | null, form: Field[] | null}} Asked */

let dispatcher = new Agent();
let seconds = 5;

/**
 * Sends a request and reads the answer whole.
 *
 * @param {Asked} asked
 */
async function send({ method, url, headers, body, form }) {
  /** @type {BodyInit | null} */
  let content = body;
  if (form !== null) {
    content = new FormData();
    for (const { name, value, filename, content: text } of form) {
      if (filename === undefined) {
        content.append(name, value);
      } else {
        content.append(name, new Blob([text]), filename);
      }
    }
  }
  try {
    const signal = AbortSignal.timeout(seconds * 1000);
    const response = await fetch(url, { method, headers, body: content, dispatcher, signal });
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      status: response.status,
      url: response.url,
      headers: [...response.headers],
      body: bytes.toString("base64"),
    };
  } catch (error) {
    // The standard says that fetch rejects with one of these, and nothing else.
    const typed = error instanceof TypeError || error instanceof DOMException;
    const cause = error.cause === undefined ? "" : ` (${error.cause.message || error.cause.code})`;
    return { error: `${error.name}: ${error.message}${cause}`, typed };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer = {};
  switch (asked.op) {
    case "version":
      answer = { version };
      break;
    case "open":
      await dispatcher.destroy();
      dispatcher = new Agent();
      seconds = asked.seconds;
      break;
    case "send":
      answer = await send(asked);
      break;
    case "idle":
      await new Promise((resolve) => setImmediate(resolve));
      break;
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/**
 * Parses multipart bodies with one of Node's parsers, as an application would have it parsed.
 *
 * Each line of the standard input is a JSON object with the `content_type` of a request and its `body` in base64. It is
 * answered by a line with the `fields` as [name, value] and the `files` as [name, filename, content type, content], all
 * contents in base64, in the order in which the parser gives them; or with an `error`.
 *
 * Called as `node forms.mjs PARSER FOLDER`, where the folder holds `node_modules`.
 */

import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";

/** @typedef {{fields: [string, string][], files: [string, string, string, string][]}} Form */
/** @typedef {(contentType: string, body: Buffer) => Promise<Form>} Parser */

const [, , parser, folder] = process.argv;
const require = createRequire(path.resolve(folder, "package.json"));

/** @type {Record<string, () => Parser>} */
const PARSERS = {
  busboy: () => {
    const busboy = require("busboy");
    // Without this it takes names for Latin-1, which no browser sends.
    return (contentType, body) =>
      streamed(busboy({ headers: { "content-type": contentType }, defParamCharset: "utf8" }), body, (info) => info);
  },

  "fastify-busboy": () => {
    const { Busboy } = require("@fastify/busboy");
    return (contentType, body) =>
      streamed(new Busboy({ headers: { "content-type": contentType } }), body, (filename, _encoding, mimeType) => ({
        filename,
        mimeType,
      }));
  },

  undici: () => {
    const { Response } = require("undici");
    return async (contentType, body) => {
      const form = await new Response(body, { headers: { "content-type": contentType } }).formData();
      /** @type {Form} */
      const result = { fields: [], files: [] };
      for (const [name, value] of form) {
        if (typeof value === "string") {
          result.fields.push([name, base64(value)]);
        } else {
          result.files.push([name, value.name, value.type, base64(Buffer.from(await value.arrayBuffer()))]);
        }
      }
      return result;
    };
  },
};

/**
 * Feeds a parser of busboy's kind, and collects what it emits. `told` makes one object of what it tells of a file.
 *
 * @param {import("node:stream").Writable} parser
 * @param {Buffer} body
 * @param {(...told: any[]) => {filename: string, mimeType: string}} told
 * @returns {Promise<Form>}
 */
function streamed(parser, body, told) {
  return new Promise((resolve, reject) => {
    /** @type {Form} */
    const result = { fields: [], files: [] };
    parser.on("field", (name, value) => result.fields.push([name, base64(value)]));
    parser.on("file", (name, stream, ...info) => {
      const { filename, mimeType } = told(...info);
      /** @type {Buffer[]} */
      const pieces = [];
      stream.on("data", (piece) => pieces.push(piece));
      stream.on("end", () => result.files.push([name, filename ?? null, mimeType, base64(Buffer.concat(pieces))]));
    });
    parser.on("error", reject);
    parser.on("close", () => resolve(result));
    parser.on("finish", () => resolve(result));
    // In pieces, as it would arrive, so that delimiters are cut in the middle.
    for (let start = 0; start < body.length; start += 4093) {
      parser.write(body.subarray(start, start + 4093));
    }
    parser.end();
  });
}

/** @param {string | Buffer} content */
function base64(content) {
  return Buffer.from(content).toString("base64");
}

const parse = PARSERS[parser]();
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  /** @type {unknown} */
  let answer;
  try {
    answer = await parse(asked.content_type, Buffer.from(asked.body, "base64"));
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

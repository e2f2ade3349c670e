/**
 * Serves the paths of `serve.py` with Node's own server. Called as `node serve.mjs PORT`.
 */

import { createServer } from "node:http";

const LINES = Array.from({ length: 1000 }, (_, number) => `line ${number}\n`);

/** The ports of clients whose connections have carried a request before. */
const served = new Set();

const server = createServer(async (request, response) => {
  const peer = request.socket.remotePort;
  response.setHeader("X-Method", request.method);
  response.setHeader("X-Peer", peer);
  switch (request.url) {
    case "/echo": {
      const pieces = [];
      for await (const piece of request) {
        pieces.push(piece);
      }
      served.add(peer);
      response.end(Buffer.concat(pieces));
      break;
    }
    case "/stream":
      for (const line of LINES) {
        response.write(line);
      }
      response.end();
      break;
    case "/refuse":
      response.statusCode = 413;
      response.end("too large");
      break;
    case "/redirect":
      request.resume();
      request.on("end", () => response.writeHead(307, { Location: "/echo" }).end());
      break;
    case "/gone":
      if (served.has(peer)) {
        request.socket.destroy();
      } else {
        response.end("here");
      }
      break;
    default:
      response.statusCode = 404;
      response.end();
  }
});
// Longer than any check, so that it is never the server's clock that ends a connection.
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), "127.0.0.1");

// A service that answers the same few bytes to everybody, to see what becomes of its requests while
// the cluster moves it about. START_MS: how long it takes to listen. IGNORE_TERM: it has to be
// killed. BAD_SHARE: that share of its answers is 500, marked as its own.

import { createServer } from 'node:http'

const { PORT, HOST, START_MS, IGNORE_TERM, BAD_SHARE } = process.env
const BODY = 'served\n'
const badShare = Number(BAD_SHARE ?? 0)
let count = 0

const server = createServer((_request, response) => {
  count += 1
  const isBad = Math.floor(count * badShare) > Math.floor((count - 1) * badShare)
  if (isBad) response.writeHead(500, { 'x-bad': '1', 'content-length': BODY.length })
  else response.writeHead(200, { 'content-length': BODY.length })
  response.end(BODY)
})
// Beyond what any pool keeps: it is the balancer that ends a connection.
server.keepAliveTimeout = 120_000

process.on('SIGTERM', () => {
  if (IGNORE_TERM !== undefined) return
  server.close(() => process.exit(0))
  server.closeAllConnections()
})
setTimeout(() => server.listen(Number(PORT), HOST), Number(START_MS ?? 0))

// Stands between the agents and the controller and changes what they report of their machine, so
// that nodes that share one host look as if they had unlike loads. All else passes as it is.

import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import type { Report } from '#shared/wire.ts'

/** Share of the processor in use, by node; its memory is then reported as free. */
export type ToldCpu = Readonly<Record<string, number>>

export async function startTeller(
  controllerUrl: string,
  told: ToldCpu,
): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing, { controllerUrl, told }).catch((error: Error) => {
      // The agent takes it for a controller that is away, and reports again.
      outgoing.destroy(error)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function pass(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { controllerUrl, told }: { controllerUrl: string; told: ToldCpu },
): Promise<void> {
  const { method = 'GET', url = '/' } = incoming
  const { 'content-length': _length, ...headers } = incoming.headers
  const onward = request(new URL(url, controllerUrl), { method, headers })
  const answered = once(onward, 'response')
  onward.end(
    method === 'POST' ? JSON.stringify(retold((await json(incoming)) as Report, told)) : undefined,
  )
  const [answer] = (await answered) as [IncomingMessage]
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  answer.pipe(outgoing)
}

/** A report without metrics, or of a node of which nothing is told, stays as it is. */
export function retold(report: Report, told: ToldCpu): Report {
  const cpu = told[report.node]
  if (cpu === undefined || report.metrics === undefined) return report
  return { ...report, metrics: { ...report.metrics, cpu, memory_used: 0 } }
}

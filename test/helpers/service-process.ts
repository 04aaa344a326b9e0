// Starts a sample service as the process it is in a cluster, and asks it over HTTP.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { text } from 'node:stream/consumers'

export type Answer = {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

export type ServiceProcess = AsyncDisposable & {
  child: ChildProcess
  port: number
  /** The next line of output that matches. */
  line(pattern: RegExp): Promise<string>
  /** Sends the signal and waits for the end. */
  stop(signal: NodeJS.Signals): Promise<number | null>
}

const servicesFolder = join(import.meta.dirname, '../../services')

export function spawnService(name: string, env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, ['server.ts'], { cwd: join(servicesFolder, name), env })
}

/** Returns when the service listens, on a port that the system chose. */
export async function startService(
  name: string,
  env: Record<string, string> = {},
): Promise<ServiceProcess> {
  const child = spawnService(name, { PORT: '0', ...env })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
  const stop = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const [code] = await ended
    return code as number | null
  }
  const first = await lineOf(lines, /listens/)
  return {
    child,
    port: Number(/port (\d+)/.exec(first)?.[1]),
    line: (pattern) => lineOf(lines, pattern),
    stop,
    [Symbol.asyncDispose]: async () => void (await stop('SIGKILL')),
  }
}

function lineOf(lines: Interface, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const see = (line: string) => {
      if (!pattern.test(line)) return
      lines.off('line', see)
      resolve(line)
    }
    lines.on('line', see)
    lines.once('close', () => reject(new Error(`ended without a line that matches ${pattern}`)))
  })
}

export async function ask(
  { port }: { port: number },
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return answerOf(request({ host: '127.0.0.1', port, path, agent: false, ...options }).end())
}

/**
 * Sends a request and returns once the service has it in hand: the service says `100 Continue`
 * in the same step in which it starts on the request.
 */
export async function hold(
  { port }: { port: number },
  path: string,
): Promise<{ sent: ClientRequest; answer: Promise<Answer> }> {
  const headers = { expect: '100-continue' }
  const sent = request({ host: '127.0.0.1', port, path, agent: false, headers })
  const answer = answerOf(sent)
  answer.catch(() => {}) // A test that hangs up does not look at the answer.
  sent.flushHeaders()
  await once(sent, 'continue')
  sent.end()
  return { sent, answer }
}

async function answerOf(sent: ClientRequest): Promise<Answer> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const body = await text(response)
  return { status: response.statusCode ?? 0, headers: response.headers, body }
}

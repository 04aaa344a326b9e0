// Starts the program that takes over, with the listening sockets of this one as its own from its
// birth: no socket is closed in between, so no client is refused.

import { spawn } from 'node:child_process'
import type { ListeningPort } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'
import { hearSuccessor, type ToSuccessor } from './handover.ts'
import type { ToDataPlane } from './protocol.ts'

/** A successor that does not serve by then is ended, and this program goes on. */
const READY_MS_MAX = 10_000
/** After standard input, output, error and the channel. */
const FIRST_FD = 4

export type Successor = {
  pid: number
  send(message: ToSuccessor): void
}

/** Resolves when it serves. Rejects with `unavailable`, and then it does not run. */
export async function startSuccessor(
  command: readonly string[],
  given: Omit<Extract<ToSuccessor, { kind: 'inherit' }>, 'kind'>,
  on: { fed(message: ToDataPlane): void },
  clock: Clock,
): Promise<Successor> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 1, 2, 'ipc', ...given.sockets.map(({ fd }) => fd)],
  })
  const send = (message: ToSuccessor) => {
    // It may have ended: its predecessor has nothing to do but to finish.
    if (child.connected) child.send(message, () => {})
  }
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
  const fail = (why: string) => {
    child.kill('SIGKILL')
    reject(new TucanoError('unavailable', `the successor ${why}`))
  }
  const cancel = clock.after(READY_MS_MAX, () => fail(`is not ready after ${READY_MS_MAX} ms`))
  child.once('error', (error) => fail(`does not start: ${error.message}`))
  child.once('exit', (code, signal) => fail(`ended (${signal ?? `exit code ${code}`})`))
  child.on('message', (message) => {
    const heard = hearSuccessor(message)
    if (heard?.kind === 'ready') resolve()
    if (heard?.kind === 'feed') on.fed(heard.line)
  })
  send({ kind: 'inherit', table: given.table, sockets: given.sockets.map(asInherited) })
  try {
    await ready
  } finally {
    cancel()
  }
  return { pid: child.pid ?? 0, send }
}

/** The same socket by its number in the child. */
function asInherited({ port }: ListeningPort, index: number): ListeningPort {
  return { port, fd: FIRST_FD + index }
}

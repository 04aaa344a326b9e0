// One loop in a thread of its own: hands it what the supervisor posts, and posts what it tells.
// An error that nobody caught ends the thread, and the supervisor starts another.

import { randomBytes } from 'node:crypto'
import { BroadcastChannel, parentPort, workerData } from 'node:worker_threads'
import { assert } from '#shared/assert.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDice } from '#shared/ids.io.ts'
import { createLog } from '#shared/log.io.ts'
import type { LogLevel } from '#shared/ports.ts'
import { createLoop, type Loop } from './loop.io.ts'
import { type FreedBell, SharedCounts } from './shared-counts.ts'
import type { FromLoop, LoopBirth, ToLoop } from './thread-messages.ts'

serve(workerData as LoopBirth)

function serve({ index, counts, channel, logLevel }: LoopBirth): void {
  assert(parentPort !== null, 'a loop runs in a thread')
  const supervisor = parentPort
  const post = (message: FromLoop) => supervisor.postMessage(message)
  let version = -1
  const loop = createLoop({
    index,
    shared: new SharedCounts({ buffer: counts, column: index, bell: bellOn(channel) }),
    clock: machineClock,
    dice: machineDice,
    log: createLog(`tucano_balancer/${index}`, logLevel as LogLevel),
    newRequestId: numbered(),
    tell: (news) => post({ kind: 'news', news, version }),
  })

  supervisor.on('message', (message: ToLoop) => {
    switch (message.kind) {
      case 'table': {
        const { table } = message
        version = table.version
        void loop.update(table).then(() => post({ kind: 'updated', version: table.version }))
        return
      }
      case 'drain':
        void loop.drain(message.graceMs).then(() => post({ kind: 'drained' }))
        return
      case 'ask':
        post(answerOf(loop, message))
        return
    }
  })
}

function answerOf(loop: Loop, { what, id }: Extract<ToLoop, { kind: 'ask' }>): FromLoop {
  switch (what) {
    case 'counters':
      return { kind: what, id, answer: loop.counters() }
    case 'listening':
      return { kind: what, id, answer: loop.listening() }
  }
}

/** From thread to thread, and not by way of the supervisor, which may be busy. */
function bellOn(name: string): FreedBell {
  const channel = new BroadcastChannel(name)
  channel.unref()
  return {
    ring: (slot) => channel.postMessage(slot),
    onRing(listener) {
      channel.onmessage = (event: unknown) => listener((event as { data: number }).data)
    },
  }
}

// A random number for each request would cost a tenth of the time that the request takes here.
function numbered(): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => {
    count += 1
    return `${prefix}-${count.toString(36)}`
  }
}

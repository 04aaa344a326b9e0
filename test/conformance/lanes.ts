// Sends cases to a data plane that listens, each through a lane of its own: a public port with one
// strict origin behind it. One lane handles one case at a time, several lanes go side by side.

import { connect } from 'node:net'
import { createPlane, route, target } from '#test/ctld/balancer/rig.ts'
import { freePorts } from '#test/helpers/free-ports.ts'
import type { Case } from './corpora.ts'
import { createOrigin, type Origin } from './origin.ts'
import { readStrictly } from './strict-reader.ts'
import type { Seen } from './verdict.ts'

export type Lanes = {
  /** In the order of the cases. */
  run<T>(cases: readonly Case[], judge: (one: Case, seen: Seen) => T): Promise<T[]>
  [Symbol.asyncDispose](): Promise<void>
}

/** So long nothing comes of a request that is not complete, then it is given up. */
const QUIET_MS = 250
/** What ought to be answered or refused has more time: the machine may be busy. */
const PATIENCE_MS = 5_000
const SENTINEL = 'GET /sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

type Lane = { port: number; origin: Origin }

export async function createLanes(count: number): Promise<Lanes> {
  await using opened = new AsyncDisposableStack()
  const plane = createPlane(0)
  opened.defer(() => plane.close(0))
  const lanes: Lane[] = []
  for (const port of await freePorts(count)) {
    const origin = await createOrigin()
    opened.defer(() => origin.close())
    lanes.push({ port, origin })
  }
  await plane.publish(
    lanes.map(({ port, origin }) =>
      route([target(`i-${port}`, origin.port)], {
        service: `lane-${port}`,
        hosts: [`lane-${port}`],
        paths: [`/svc/lane-${port}/`],
        publicPort: port,
      }),
    ),
  )
  const stack = opened.move()
  return {
    async run(cases, judge) {
      const judged = new Map<number, ReturnType<typeof judge>>()
      const left = [...cases.entries()]
      const work = async (lane: Lane) => {
        for (let next = left.shift(); next !== undefined; next = left.shift()) {
          const [index, one] = next
          judged.set(index, judge(one, await send(lane, one)))
        }
      }
      await Promise.all(lanes.map(work))
      return cases.map((_, index) => judged.get(index) as ReturnType<typeof judge>)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function send({ port, origin }: Lane, { raw }: Case): Promise<Seen> {
  const sent = readStrictly(raw)
  const isWhole = sent.end === 'empty' || sent.end === 'rest'
  const { text, isClosed } = await exchange(port, raw, {
    answers: isWhole ? sent.messages.length : Number.POSITIVE_INFINITY,
    quietMs: sent.end === 'incomplete' ? QUIET_MS : PATIENCE_MS,
  })
  // Whatever was left behind on a connection to the origin would come before this.
  const { text: after } = await exchange(port, SENTINEL, {
    answers: 1,
    quietMs: PATIENCE_MS,
  })
  const { messages, faults } = origin.take()
  const own = messages.findIndex(({ target }) => target === '/sentinel')
  if (own !== messages.length - 1 || statusesIn(after).join() !== '200') {
    faults.push('what came after it was not served as it should')
  }
  return { messages: messages.slice(0, own), faults, statuses: statusesIn(text), isClosed }
}

/** Ends when the other side ends, when all answers are there, or when nothing more comes. */
function exchange(
  port: number,
  raw: string,
  until: { answers: number; quietMs: number },
): Promise<{ text: string; isClosed: boolean }> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(raw, 'latin1'))
    let text = ''
    socket.setEncoding('latin1')
    socket.setTimeout(until.quietMs, () => finish(false))
    socket.on('data', (piece) => {
      text += piece
      const statuses = statusesIn(text)
      if (statuses.length >= until.answers && statuses.every((status) => status < 400))
        finish(false)
    })
    socket.on('error', () => {})
    socket.once('close', () => finish(true))
    function finish(isClosed: boolean): void {
      socket.destroy()
      resolve({ text, isClosed })
    }
  })
}

function statusesIn(text: string): number[] {
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  return statuses.filter((status) => status >= 200)
}

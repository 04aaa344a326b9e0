// tucano drain: moves a worker's instances elsewhere and waits until it is empty.

import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { InstancesAnswer, NodeAnswer } from './answers.ts'
import type { Client } from './client.ts'
import { type Command, type Context, Interrupted } from './command.ts'
import { isPassing, pause, timeoutOf, waitOptions } from './follow.ts'
import { createInstanceTeller } from './instances.ts'
import { eventsAfter, lastCursor } from './news.ts'
import { countText, instanceState, shortIds } from './words.ts'

const LOOK_MS = 2_000

export const drain: Command = {
  name: 'drain',
  summary: "Move a worker's instances elsewhere",
  words: 'NODE',
  options: waitOptions,
  details: 'It gets no instance until: tucano undrain NODE',
  async run(context) {
    const { words, screen, flags } = context
    const node = words[0] ?? ''
    const timeoutMs = timeoutOf(context)
    const client = await context.client()
    const path = `/v1/nodes/${encodeURIComponent(node)}`
    const first = await client.send<NodeAnswer>('POST', `${path}/drain`)
    const last = flags.has('detach')
      ? first
      : await untilEmpty(context, client, { path, node, timeoutMs }).catch((error: unknown) => {
          screen.status('')
          if (!(error instanceof Interrupted)) throw error
          throw new Interrupted(`${node} stays drained and goes on emptying; see: tucano nodes`)
        })
    if (screen.json) screen.object(last)
    else if (last.instanceCount === 0) screen.line(`${node}: drained and empty`)
    else screen.line(`${node}: drained; ${countText(last.instanceCount)} still to leave`)
    return 0
  },
}

async function untilEmpty(
  { screen, signal }: Context,
  client: Client,
  wanted: { path: string; node: string; timeoutMs: number },
): Promise<NodeAnswer> {
  const { path, node, timeoutMs } = wanted
  const ends = performance.now() + timeoutMs
  const tell = createInstanceTeller()
  let cursor = await lastCursor(client)
  for (;;) {
    try {
      const view = await client.get<NodeAnswer>(path)
      const { instances } = await client.get<InstancesAnswer>('/v1/instances?all=true')
      tellMoves(screen, instances, tell)
      if (view.instanceCount === 0) {
        screen.status('')
        return view
      }
      screen.status(`${node}: ${countText(view.instanceCount)} still to leave`)
      const left = ends - performance.now()
      if (left <= 0) throw tooLong(node, view.instanceCount, timeoutMs)
      const waitMs = Math.ceil(Math.min(LOOK_MS, left))
      cursor = (await eventsAfter(client, cursor, { waitMs })).cursor
    } catch (error) {
      // A controller that restarts meanwhile goes on draining when it is back.
      if (!isPassing(error) || performance.now() >= ends) throw error
      await pause(LOOK_MS, signal)
    }
  }
}

function tellMoves(
  screen: Context['screen'],
  instances: InstancesAnswer['instances'],
  tell: ReturnType<typeof createInstanceTeller>,
): void {
  const short = shortIds(instances.map(({ id }) => id))
  for (const instance of tell(instances)) {
    const { text } = instanceState(instance)
    screen.note(`  ${instance.node}  ${short(instance.id)}  ${instance.service}  ${text}`)
  }
}

function tooLong(node: string, count: number, timeoutMs: number): TucanoError {
  return new TucanoError(
    'limit_reached',
    `${node} is not empty after ${durationText(timeoutMs)}: ${countText(count)} left; ` +
      `it stays drained and goes on; see: tucano ps --node ${node}`,
  )
}

// tucano logs: the output of an instance, or of all instances of a service as it comes. While it
// follows, instances that are placed anew are followed too, wherever they move.

import { TucanoError } from '#shared/errors.ts'
import type { Instance } from '#shared/model.ts'
import type { InstancesAnswer, ServiceDetail } from './answers.ts'
import { servicePath } from './change-service.ts'
import { type Client, orUndefined } from './client.ts'
import { type Command, type Context, Interrupted } from './command.ts'
import { isPassing, pause } from './follow.ts'
import { bySeat } from './instances.ts'
import { eventsAfter, lastCursor } from './news.ts'
import { countOf } from './numbers.ts'
import { plain, plainLine } from './table.ts'
import { instanceOf, instanceState, shortIds } from './words.ts'

const LINES_DEFAULT = 100
const LOOK_MS = 5_000
const AGAIN_MS = 1_000
/** Instances that have ended whose last lines are shown when none lives. */
const ENDED_MAX = 3

type Source = {
  service: string | undefined
  instances: Instance[]
  /** Of the service, the newest first. */
  ended: Instance[]
}
type Printer = (instance: Instance, line: string) => void

export const logs: Command = {
  name: 'logs',
  summary: "A service's or an instance's output",
  words: 'SERVICE|INSTANCE',
  options: [
    { name: 'follow', short: 'f', summary: 'go on with what comes' },
    {
      name: 'lines',
      short: 'n',
      value: 'N',
      summary: `last lines of each instance (default ${LINES_DEFAULT})`,
    },
  ],
  details: 'With --json each line is an object {node, instance, line}.',
  async run(context) {
    const { words, flags } = context
    const count = countOf(flags.text('lines') ?? String(LINES_DEFAULT), '--lines')
    const client = await context.client()
    const source = await sourceOf(client, words[0] ?? '')
    const print = printerOf(context, source)
    if (flags.has('follow')) return followAll(context, client, { source, count, print })
    return printAll(context, client, { source, count, print })
  },
}

async function sourceOf(client: Client, word: string): Promise<Source> {
  const detail = await orUndefined(client.get<ServiceDetail>(servicePath(word)))
  if (detail !== undefined) {
    const ended = detail.instances.filter((instance) => !isLive(instance))
    return {
      service: word,
      instances: detail.instances.filter(isLive),
      ended: ended.toSorted((a, b) => b.changedAt - a.changedAt).slice(0, ENDED_MAX),
    }
  }
  const { instances } = await client.get<InstancesAnswer>('/v1/instances?all=true')
  return { service: undefined, instances: [instanceOf(instances, word)], ended: [] }
}

/** Lines of several instances say whose they are. */
function printerOf({ screen }: Context, { service, instances, ended }: Source): Printer {
  const short = shortIds([...instances, ...ended].map(({ id }) => id))
  return ({ id, node }, line) => {
    if (screen.json) screen.objectLine({ node, instance: id, line })
    else if (service === undefined) screen.line(line)
    else screen.line(`${screen.paint('dim', `${node}/${short(id)} |`)} ${line}`)
  }
}

type Wanted = { source: Source; count: number; print: Printer }

async function printAll(context: Context, client: Client, wanted: Wanted): Promise<number> {
  const { source, count, print } = wanted
  if (source.instances.length === 0) {
    printEnded(context, wanted)
    return 0
  }
  let failures = 0
  for (const instance of bySeat(source.instances)) {
    try {
      const path = logPath(instance, count, false)
      for await (const line of client.lines(path, context.signal)) print(instance, line)
    } catch (error) {
      if (printKept(context, instance, error, print)) continue
      // One agent that does not answer must not hide what the others have.
      if (!(error instanceof TucanoError) || source.instances.length === 1) throw error
      context.screen.note(`${instance.node}: ${error.message}`)
      failures += 1
    }
    if (context.signal.aborted) throw new Interrupted()
  }
  return failures > 0 ? 1 : 0
}

/** No instance lives: what the controller keeps of those that ended last. */
function printEnded({ screen }: Context, { source, print }: Wanted): void {
  const { service, ended } = source
  if (ended.length === 0) {
    screen.note(`${service} has no instance`)
    return
  }
  screen.note(`no instance of ${service} lives; what is kept of those that ended last:`)
  const short = shortIds(ended.map(({ id }) => id))
  for (const instance of ended.toReversed()) {
    const { text } = instanceState(instance)
    const why = plain(instance.failure?.error ?? instance.why)
    screen.note(`${instance.node}/${short(instance.id)}  ${text}: ${why}`)
    for (const line of instance.failure?.log_tail ?? []) print(instance, plainLine(line))
  }
  const ids = ended.filter(({ failure }) => failure?.log_tail).map(({ id }) => short(id))
  if (ids.length > 0) screen.note(`tucano logs INSTANCE-ID works for ${ids.join(', ')}`)
  screen.note(`all that ended: tucano ps ${service} -a`)
}

/** An agent forgets an instance that has ended; of a failed one the controller has the end. */
function printKept(
  { screen }: Context,
  instance: Instance,
  error: unknown,
  print: Printer,
): boolean {
  const lines = instance.failure?.log_tail
  if (!(error instanceof TucanoError) || error.code !== 'not_found' || !lines) return false
  screen.note(`${instance.node} keeps this output no longer; its last lines were:`)
  for (const line of lines) print(instance, plainLine(line))
  return true
}

async function followAll(context: Context, client: Client, wanted: Wanted): Promise<number> {
  const { source, count, print } = wanted
  const followed = new Map<string, Promise<void>>()
  const begin = (instance: Instance, lines: number) => {
    if (followed.has(instance.id)) return
    followed.set(instance.id, followOne(context, client, { instance, lines, print }))
  }
  for (const instance of source.instances) begin(instance, count)
  const { service } = source
  if (service === undefined) {
    await Promise.all(followed.values())
    if (context.signal.aborted) throw new Interrupted()
    return 0
  }
  if (source.instances.length === 0) printEnded(context, wanted)
  let cursor = await lastCursor(client)
  for (;;) {
    try {
      const detail = await orUndefined(client.get<ServiceDetail>(servicePath(service)))
      if (detail === undefined) {
        context.screen.note(`${service} was removed`)
        await Promise.all(followed.values())
        return 0
      }
      for (const instance of detail.instances.filter(isLive)) begin(instance, count)
      cursor = (await eventsAfter(client, cursor, { waitMs: LOOK_MS })).cursor
    } catch (error) {
      if (!isPassing(error)) throw error
      await pause(AGAIN_MS, context.signal)
    }
  }
}

/** Ends when the instance has; a connection that broke is opened again where the log now ends. */
async function followOne(
  { screen, signal }: Context,
  client: Client,
  wanted: { instance: Instance; lines: number; print: Printer },
): Promise<void> {
  const { instance, print } = wanted
  let { lines } = wanted
  let isTold = false
  while (!signal.aborted) {
    try {
      for await (const line of client.lines(logPath(instance, lines, true), signal)) {
        print(instance, line)
        isTold = false
        lines = 0
      }
    } catch (error) {
      if (!(error instanceof TucanoError)) throw error
      if (!isTold) screen.note(`${instance.node}: ${error.message}`)
      isTold = true
    }
    if (signal.aborted || !(await stillLives(client, instance))) return
    // Aborted, the pause ends at once, and the loop with it.
    await pause(AGAIN_MS, signal).catch(() => {})
  }
}

async function stillLives(client: Client, { id }: Instance): Promise<boolean> {
  try {
    const now = await orUndefined(client.get<Instance>(`/v1/instances/${id}`))
    return now !== undefined && isLive(now)
  } catch (error) {
    // Not to be known now: it is tried again.
    return isPassing(error)
  }
}

function logPath({ id }: Instance, lines: number, follow: boolean): string {
  return `/v1/instances/${id}/log?lines=${lines}${follow ? '&follow=true' : ''}`
}

function isLive({ state }: Instance): boolean {
  return ['deploying', 'pre_terminating', 'started', 'terminating', 'lost'].includes(state)
}

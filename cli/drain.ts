// tucano drain: moves a worker's instances elsewhere, waits until it is empty, and says meanwhile
// what holds it up.

import { DRAIN_TIME } from '#shared/drain.ts'
import { DURATION_PATTERN, durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { DrainAnswer, HoldUp, InstancesAnswer, NodeAnswer } from './answers.ts'
import type { Client } from './client.ts'
import { type Command, type Context, Interrupted } from './command.ts'
import { isPassing, pause } from './follow.ts'
import { createInstanceTeller } from './instances.ts'
import { eventsAfter, lastCursor } from './news.ts'
import { nodePath } from './node-path.ts'
import { plain } from './table.ts'
import { countText, instanceState, shortIds } from './words.ts'

const LOOK_MS = 2_000

export const drain: Command = {
  name: 'drain',
  summary: "Move a worker's instances elsewhere",
  words: 'NODE',
  options: [
    {
      name: 'deadline',
      value: 'TIME',
      summary: `when it is late, and this command ends (default ${DRAIN_TIME})`,
    },
    { name: 'force', short: 'f', summary: 'even if the other workers cannot hold all of it' },
    { name: 'no-wait', summary: 'return as soon as the controller has accepted it' },
    { name: 'detach', short: 'd', summary: 'the same as --no-wait' },
  ],
  details: `It gets no instance until: tucano undrain NODE. One instance after the other is
started elsewhere and takes the place of the one that leaves.
It is refused, with the reasons, when the others cannot hold what is on it. What
is sticky stays. With --force it is not refused, what is sticky moves too, and
what is left at the deadline is stopped without a replacement. Without --force
the drain goes on after the deadline, and the administrator is told.`,
  async run(context) {
    const { words, screen, flags } = context
    const node = words[0] ?? ''
    const deadline = deadlineOf(context)
    const client = await context.client()
    const asked = { deadline, force: flags.has('force') }
    const first = await client.send<NodeAnswer>('POST', nodePath(node, '/drain'), asked)
    if (flags.has('no-wait') || flags.has('detach')) {
      if (screen.json) screen.object(first)
      else screen.line(`${node}: drains; ${countText(first.instanceCount)} still to leave`)
      return 0
    }
    const last = await untilEmpty(context, client, { node, ms: durationMs(deadline) }).catch(
      (error: unknown) => {
        screen.status('')
        if (!(error instanceof Interrupted)) throw error
        throw new Interrupted(`the drain of ${node} goes on; see: tucano show ${node}`)
      },
    )
    screen.status('')
    return tellEnd(context, node, last)
  },
}

type End = DrainAnswer & { isLate: boolean }

function tellEnd({ screen }: Context, node: string, { isLate, ...last }: End): number {
  if (screen.json) screen.object(last)
  const { holds } = last
  if (holds.length === 0) {
    if (!screen.json) screen.line(`${node}: drained and empty`)
    return 0
  }
  screen.note(
    isLate
      ? `${node} is not empty at the deadline; the drain goes on. What holds it up:`
      : `${node} is empty but for what stays:`,
  )
  for (const line of linesOf(holds)) screen.note(line)
  if (holds.some(({ isStuck }) => isStuck)) {
    screen.note(`to move it all the same: tucano drain ${node} --force`)
  }
  return 1
}

async function untilEmpty(
  { screen, signal }: Context,
  client: Client,
  { node, ms }: { node: string; ms: number },
): Promise<End> {
  const ends = performance.now() + ms
  const tell = createInstanceTeller()
  let cursor = await lastCursor(client)
  let told = ''
  for (;;) {
    try {
      const view = await client.get<DrainAnswer>(nodePath(node, '/drain'))
      const { holds } = view
      const { instances } = await client.get<InstancesAnswer>('/v1/instances?all=true')
      tellMoves(screen, instances, tell)
      if (holds.every(({ isStuck }) => isStuck)) return { ...view, isLate: false }
      const lines = linesOf(holds.filter(({ why }) => /^no place|\(try /.test(why)))
      if (lines.join() !== told) for (const line of lines) screen.note(line)
      told = lines.join()
      screen.status(`${node}: ${countText(holds.length)} still to leave: ${holds[0]?.why}`)
      const left = ends - performance.now()
      if (left <= 0) return { ...view, isLate: true }
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

/** `  api ×2: no place elsewhere: w1: is drained`. */
function linesOf(holds: readonly HoldUp[]): string[] {
  const groups = Map.groupBy(holds, ({ service, why }) => `${service}\n${why}`)
  return [...groups.values()].map((group) => {
    const times = group.length === 1 ? '' : ` ×${group.length}`
    return plain(`${group[0]?.service}${times}: ${group[0]?.why}`).replace(/^/, '  ')
  })
}

function deadlineOf({ flags }: Context): string {
  const text = flags.text('deadline') ?? DRAIN_TIME
  if (DURATION_PATTERN.test(text)) return text
  throw new TucanoError('usage', `--deadline is a duration like 90s or 10m, not ${text}`)
}

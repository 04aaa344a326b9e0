// tucano rebalance: shows which instances would better run elsewhere, and on a yes moves them one
// after the other.

import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Rebalance } from '#shared/model.ts'
import type { RebalancePlan } from './answers.ts'
import type { Client } from './client.ts'
import { type Command, type Context, Interrupted } from './command.ts'
import { confirm } from './confirm.ts'
import { isPassing, pause } from './follow.ts'
import { eventsAfter, lastCursor } from './news.ts'
import type { Column } from './table.ts'
import { countText, shortIds } from './words.ts'

const LOOK_MS = 2_000

const columns: readonly Column[] = [
  { title: 'SERVICE', least: 10 },
  { title: 'INSTANCE' },
  { title: 'FROM', least: 8 },
  { title: 'TO', least: 8 },
  { title: 'WHY' },
]

export const rebalance: Command = {
  name: 'rebalance',
  summary: 'Move instances to where they are spread better',
  words: '',
  options: [
    { name: 'yes', short: 'y', summary: 'carry it out without asking' },
    { name: 'dry-run', summary: 'only show the plan' },
    { name: 'stop', summary: 'end the one that is under way' },
    { name: 'no-wait', summary: 'return as soon as the controller has accepted it' },
  ],
  details: `One instance at a time: another one is started, and when it is healthy it takes
the place of the one that leaves. It ends by itself when something fails; what
has not moved stays. What is sticky, and what may not overlap, is not moved.`,
  async run(context) {
    const client = await context.client()
    if (context.flags.has('stop')) return stop(context, client)
    const now = await client.get<Rebalance | null>('/v1/rebalance')
    if (now?.state === 'running') {
      context.screen.note('a rebalance is under way; to end it: tucano rebalance --stop')
      return follow(context, client, now)
    }
    const plan = await client.get<RebalancePlan>('/v1/rebalance/plan')
    return carryOut(context, client, plan)
  },
}

async function carryOut(context: Context, client: Client, plan: RebalancePlan): Promise<number> {
  const { screen, flags } = context
  const { moves } = plan
  const isPlanAll = flags.has('dry-run') || moves.length === 0
  if (!screen.json) showPlan(context, plan)
  else if (isPlanAll) screen.object(plan)
  if (isPlanAll) return 0
  const question = `move ${countText(moves.length)}, one at a time?`
  const isWanted = flags.has('yes') || (await confirm(context, question))
  if (isWanted === undefined) {
    throw new TucanoError('usage', 'nothing was moved: repeat it with --yes to carry it out')
  }
  if (!isWanted) {
    screen.note('nothing was moved')
    return 1
  }
  const instances = moves.map(({ instance }) => instance)
  const begun = await client.send<Rebalance>('POST', '/v1/rebalance', { instances })
  if (!flags.has('no-wait')) return follow(context, client, begun)
  if (screen.json) screen.object(begun)
  else screen.line('the rebalance is under way; see: tucano rebalance')
  return 0
}

async function stop({ screen }: Context, client: Client): Promise<number> {
  const ended = await client.send<Rebalance>('POST', '/v1/rebalance/stop')
  if (screen.json) screen.object(ended)
  else screen.line(`rebalance: ${ended.why}`)
  return 0
}

function showPlan({ screen }: Context, { moves, staying, isCut }: RebalancePlan): void {
  if (moves.length === 0) screen.line('nothing would be better elsewhere')
  else {
    const short = screen.wide ? (id: string) => id : shortIds(moves.map((one) => one.instance))
    const rows = moves.map(({ service, instance, from, to, why }) => [
      service,
      short(instance),
      from,
      to,
      why,
    ])
    screen.table(columns, rows)
  }
  if (isCut) screen.line('there may be more to move: call it again afterwards')
  for (const { service, why } of staying) screen.line(`${service} stays where it is: ${why}`)
}

async function follow(context: Context, client: Client, begun: Rebalance): Promise<number> {
  const { screen, signal } = context
  let told = ''
  try {
    let cursor = await lastCursor(client)
    for (let is = begun; ; ) {
      if (is.state !== 'running' || is.id !== begun.id) return tellEnd(context, is)
      if (is.why !== told && is.movingSince !== undefined) screen.note(`  ${is.why}`)
      told = is.why
      cursor = (await eventsAfter(client, cursor, { waitMs: LOOK_MS })).cursor
      is = (await patiently(client, signal)) ?? is
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    throw new Interrupted('the rebalance goes on; to end it: tucano rebalance --stop')
  }
}

/** undefined: the controller is away, and goes on when it is back. */
async function patiently(client: Client, signal: AbortSignal): Promise<Rebalance | undefined> {
  try {
    return await client.get<Rebalance>('/v1/rebalance')
  } catch (error) {
    if (!isPassing(error)) throw error
    await pause(LOOK_MS, signal)
    return undefined
  }
}

function tellEnd({ screen }: Context, is: Rebalance): number {
  if (screen.json) screen.object(is)
  const took = durationText((is.finishedAt ?? is.createdAt) - is.createdAt)
  if (is.state === 'done') {
    if (!screen.json) screen.line(`rebalance: ${is.why} in ${took}`)
    return 0
  }
  screen.note(`the rebalance ended after ${is.done} of ${is.moves.length}: ${is.why}`)
  return 1
}

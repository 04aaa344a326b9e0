// tucano events: the cluster's history, and with -f what happens from now on.

import type { ClusterEvent } from '#shared/model.ts'
import type { Client } from './client.ts'
import type { Command, Context } from './command.ts'
import { eventLine } from './event-line.ts'
import { isPassing, pause } from './follow.ts'
import { eventsAfter, lastCursor } from './news.ts'
import { countOf } from './numbers.ts'

const LINES_DEFAULT = 20
const PAGE_MAX = 1_000
const FOLLOW_MS = 30_000
const AGAIN_MS = 2_000

export const events: Command = {
  name: 'events',
  summary: 'What happened in the cluster',
  words: '',
  options: [
    { name: 'follow', short: 'f', summary: 'go on with what happens from now on' },
    { name: 'lines', short: 'n', value: 'N', summary: `how many (default ${LINES_DEFAULT})` },
  ],
  async run(context) {
    const { flags, screen } = context
    const count = countOf(flags.text('lines') ?? String(LINES_DEFAULT), '--lines')
    const client = await context.client()
    const end = await lastCursor(client)
    const past = await pageFrom(client, Math.max(0, end - count), end)
    if (screen.json && !flags.has('follow')) {
      screen.object({ events: past, cursor: end })
      return 0
    }
    for (const event of past) print(context, event)
    if (!flags.has('follow')) return 0
    return followFrom(context, client, end)
  },
}

async function pageFrom(client: Client, from: number, end: number): Promise<ClusterEvent[]> {
  const all: ClusterEvent[] = []
  let after = from
  while (after < end) {
    const page = await eventsAfter(client, after, { waitMs: 0, limit: PAGE_MAX })
    // Old events are forgotten: what is asked for may begin later or be gone.
    if (page.events.length === 0) break
    all.push(...page.events.filter(({ cursor }) => cursor <= end))
    after = page.cursor
  }
  return all
}

async function followFrom(context: Context, client: Client, from: number): Promise<number> {
  let cursor = from
  let isTold = false
  for (;;) {
    try {
      const page = await eventsAfter(client, cursor, { waitMs: FOLLOW_MS })
      for (const event of page.events) print(context, event)
      cursor = page.cursor
      isTold = false
    } catch (error) {
      if (!isPassing(error)) throw error
      if (!isTold) context.screen.note('the controller cannot be reached; trying again')
      isTold = true
      await pause(AGAIN_MS, context.signal)
    }
  }
}

function print({ screen }: Context, event: ClusterEvent): void {
  if (screen.json) screen.objectLine(event)
  else screen.line(eventLine(event, { wide: screen.wide, paint: screen.paint }))
}

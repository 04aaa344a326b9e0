// Waits for the next event of the cluster: what commands that watch something sleep on.

import type { ClusterEvent } from '#shared/model.ts'
import type { EventsAnswer } from './answers.ts'
import type { Client } from './client.ts'

/** No cursor is higher; the API answers it with the last cursor that there is. */
const END = Number.MAX_SAFE_INTEGER
const ANSWER_MS = 15_000

export async function lastCursor(client: Client): Promise<number> {
  const { cursor } = await client.get<EventsAnswer>(`/v1/events?after=${END}&limit=1`)
  return cursor
}

/** Events after the cursor, at once when there are any, else after at most `waitMs`. */
export async function eventsAfter(
  client: Client,
  after: number,
  options: { waitMs: number; limit?: number },
): Promise<{ events: ClusterEvent[]; cursor: number }> {
  const query = new URLSearchParams({ after: String(after), wait: `${options.waitMs}ms` })
  if (options.limit !== undefined) query.set('limit', String(options.limit))
  const timeoutMs = options.waitMs + ANSWER_MS
  return client.get<EventsAnswer>(`/v1/events?${query}`, { timeoutMs })
}

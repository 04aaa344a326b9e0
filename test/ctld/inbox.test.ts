// What becomes of news when more wait than the loop can take.

import { expect, test } from 'vitest'
import { createInbox, INBOX_MAX, type Inbound } from '#ctld/inbox.ts'

test('a full inbox refuses requests, but loses no result of what the loop itself began', () => {
  const inbox = createInbox(() => {})
  const refused: unknown[] = []
  const request: Inbound = {
    kind: 'request',
    command: { kind: 'test_alert' },
    config: undefined,
    answer: { resolve: () => {}, reject: (error) => refused.push(error) },
  }
  const results: Inbound[] = [
    { kind: 'probed', node: 'w1', ok: false },
    { kind: 'restarted', node: 'w1', error: null },
    { kind: 'mailed', id: 'm1', error: null },
    { kind: 'observed', observation: { kind: 'drained', instance: 'i1' } },
  ]
  for (let count = 0; count <= INBOX_MAX; count += 1) inbox.put(request)
  for (const result of results) inbox.put(result)
  expect(refused).toMatchObject([{ code: 'too_many_requests' }])
  expect(inbox.drain().slice(INBOX_MAX)).toEqual(results)
})

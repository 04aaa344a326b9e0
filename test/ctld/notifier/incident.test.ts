// The limits of incidents; what the sysadmin gets of them stands in notifier.test.ts.

import { expect, test } from 'vitest'
import { INCIDENTS_MAX, type Incident } from '#ctld/discovery/document.ts'
import { type Occurrence, STORY_MAX, tellIncidents } from '#ctld/notifier/incident.ts'
import type { IncidentKind } from '#shared/model.ts'
import { begins, ends, hour, note, START } from './world.ts'

const limits = { gatherMs: 10_000, reminderMs: 6 * hour }

function teller() {
  let ids = 0
  return (incidents: readonly Incident[], occurrences: Occurrence[], now: number) =>
    tellIncidents(incidents, occurrences, limits, now, () => `id-${++ids}`)
}

/** As if the first mail had been made. */
function mailed(incidents: readonly Incident[]): Incident[] {
  return incidents.map((incident) => {
    if (incident.state === 'recovered') return { ...incident, mailAt: null }
    if (incident.state === 'open') return incident
    return { ...incident, state: 'open', mailAt: incident.openedAt + 6 * hour }
  })
}

test('S14: keeps at most INCIDENTS_MAX; finished ones go first, the oldest before', () => {
  const tell = teller()
  let incidents: Incident[] = []
  for (let index = 0; index < INCIDENTS_MAX + 50; index++) {
    incidents = mailed(tell(incidents, [begins(`w${index}`)], START + index))
    if (index % 2 === 0) incidents = mailed(tell(incidents, [ends(`w${index}`)], START + index))
  }
  expect(incidents.length).toBe(INCIDENTS_MAX)
  const open = incidents.filter(({ state }) => state === 'open')
  expect(open.length).toBe((INCIDENTS_MAX + 50) / 2)
  expect(incidents.find(({ state }) => state === 'recovered')?.subjects).toEqual(['w100'])
})

test('I6: when all that is kept is open, a new matter joins one of its kind and is mailed soon', () => {
  const tell = teller()
  const kinds: IncidentKind[] = [
    'service_failed',
    'node_dead',
    'mass_failure',
    'no_workers',
    'store',
    'second_controller',
  ]
  let incidents: Incident[] = []
  let now = START
  for (const kind of kinds) {
    for (let index = 0; index < INCIDENTS_MAX; index++) {
      now += 1
      incidents = tell(mailed(incidents), [begins(`x${index}`, 'fails', kind)], now)
    }
  }
  expect(incidents.length).toBeLessThanOrEqual(INCIDENTS_MAX)
  const told = kinds.flatMap((kind) =>
    incidents.filter((incident) => incident.kind === kind).flatMap(({ subjects }) => subjects),
  )
  expect(told.length).toBe(kinds.length * INCIDENTS_MAX)
  const host = incidents.at(-1)
  expect(host).toMatchObject({ kind: 'second_controller', state: 'open' })
  expect(host?.mailAt).toBeLessThanOrEqual(now + 10_000)
})

test('a story that grows too long keeps its beginning and its end, and says how much is missing', () => {
  const tell = teller()
  const notes = Array.from({ length: 500 }, (_, index) => note('w1', `note ${index}.`))
  const [incident] = tell([], [begins('w1'), ...notes], START)
  expect(incident?.story.length).toBe(STORY_MAX)
  expect(incident?.story[0]).toBe('2026-11-21T09:00:00.000Z w1 is dead')
  expect(incident?.story.at(-1)).toBe('2026-11-21T09:00:00.000Z note 499.')
  expect(incident?.storyDropped).toBe(501 - STORY_MAX)
})

test('a note just after the end still gets into the mail about the end', () => {
  const tell = teller()
  const open = mailed(tell([], [begins('w1')], START))
  const over = tell(open, [ends('w1'), note('w1', 'api 0198 adopted on w1')], START + hour)
  expect(over[0]?.story.at(-1)).toContain('api 0198 adopted on w1')
  const finished = mailed(over)
  expect(tell(finished, [note('w1', 'too late')], START + 2 * hour)).toEqual(finished)
})

test('a mass failure takes only its own nodes out of what is gathering', () => {
  const tell = teller()
  const mass = begins('w1', 'vanished', 'mass_failure')
  const incidents = tell([], [begins('w1'), begins('w9'), mass], START)
  expect(incidents.map(({ kind, subjects }) => [kind, subjects])).toEqual([
    ['node_dead', ['w9']],
    ['mass_failure', ['w1']],
  ])
})

test('does not change the incidents that it is given', () => {
  const tell = teller()
  const before = tell([], [begins('w1'), begins('w2')], START)
  const copy = structuredClone(before)
  tell(before, [note('w1', 'x'), ends('w1'), begins('w3')], START + 1)
  expect(before).toEqual(copy)
})

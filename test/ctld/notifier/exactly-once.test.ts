// I6 by seed: random deaths and returns, a mail server that fails at times, undone steps, crashes.

import { expect, test } from 'vitest'
import type { Occurrence } from '#ctld/notifier/notifier.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { begins, ends, hour, minute, World } from './world.ts'

const SEEDS =
  process.env.SEED === undefined
    ? Array.from({ length: 200 }, (_, i) => i)
    : [Number(process.env.SEED)]

test('I6: whatever happens and whenever it breaks, each transition is told exactly once', () => {
  for (const seed of SEEDS) {
    const { random } = randomOf(seed)
    const world = new World({ digest_above: random() < 0.5 ? 1_000 : 3 }, random)
    const state = new Map<string, boolean>()
    const told: string[] = []
    let again: Occurrence[] = []
    for (let turn = 0; turn < 150; turn++) {
      const occurrences: Occurrence[] = [...again]
      for (const node of ['w1', 'w2', 'w3'].filter(() => random() < 0.15)) {
        const isDead = state.get(node) ?? false
        state.set(node, !isDead)
        const text = `${node} ${isDead ? 'back' : 'dead'} #${turn}.`
        told.push(text)
        occurrences.push(isDead ? ends(node, text) : begins(node, text))
      }
      world.answer = random() < 0.3 ? 'connection refused' : null
      const results = random() < 0.7 ? world.settle() : []
      const undone = random() < 0.1
      world.step(occurrences, results, undone)
      again = undone ? occurrences : []
      if (random() < 0.05 && again.length === 0) world.crash()
      world.now += Math.round(random() ** 4 * 2 * minute)
    }
    world.answer = null
    world.step([...again, ...[...state].filter(([, dead]) => dead).map(([node]) => ends(node))])
    world.pass(24 * hour)

    // A mail whose acceptance was not yet on disk when the process died is sent again, unchanged.
    const mails = [...new Map(world.sent.map((mail) => [mail.id, mail])).values()]
    const lines = mails.flatMap(({ mail }) =>
      [...mail.text.matchAll(/Incident: (\S+) \((\w+),/g)].map(([, id, kind]) => ({ id, kind })),
    )
    const context = `SEED=${seed}`
    expect(world.disk.outbox, context).toEqual([])
    for (const { id, kind, story } of world.everyIncident.values()) {
      expect(kind).toBe('node_dead')
      const kindsOfIt = lines.filter((line) => line.id === id).map((line) => line.kind)
      const once = kindsOfIt.filter((one) => one !== 'reminder')
      expect(['first,recovery', 'first_and_recovery'], `${context} ${id}: ${once}`).toContain(
        // Only a digest may come after a mail that was written later.
        (mails.some((mail) => mail.kind === 'digest') ? once.sort() : once).join(),
      )
      expect(story.length, context).toBeGreaterThan(0)
    }
    for (const text of told) {
      const tellers = [...world.everyIncident.values()].filter(({ story }) =>
        story.some((line) => line.endsWith(text)),
      )
      expect(tellers.length, `${context} "${text}"`).toBe(1)
    }
  }
})

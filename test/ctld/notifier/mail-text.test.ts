// The words of the mails.

import { expect, test } from 'vitest'
import type { Incident } from '#ctld/discovery/document.ts'
import {
  digestText,
  mailText,
  SUBJECT_MAX,
  TEXT_MAX,
  testMailText,
} from '#ctld/notifier/mail-text.ts'
import type { IncidentKind } from '#shared/model.ts'
import { hour, minute, START } from './world.ts'

const kinds: IncidentKind[] = [
  'node_dead',
  'mass_failure',
  'service_failed',
  'no_workers',
  'store',
  'second_controller',
]

function incident(rest: Partial<Incident> = {}): Incident {
  return {
    id: '0198-i',
    kind: 'node_dead',
    subjects: ['w2'],
    over: [],
    state: 'gathering',
    openedAt: START,
    mailAt: START,
    recoveredAt: null,
    story: [
      '2026-11-21T09:00:00.000Z w2 (10.0.0.12) is dead: no report for 8.2 s, 2 probes failed',
      '2026-11-21T09:00:01.000Z number-fact 0198 moved from w2 to w3',
      '2026-11-21T09:00:01.000Z number-fact: 1 instance has no place: w1 has 4 of max_per_node 4',
    ],
    storyDropped: 0,
    mails: 0,
    ...rest,
  }
}

test('the first mail of a dead node says since when, what was moved, what was not, what to do', () => {
  const { subject, text } = mailText(incident(), 'first', 6 * hour, START + 10_000)
  expect(subject).toBe('[tucano] node w2 is dead')
  expect(text).toBe(`Node w2 is dead.

Since: 2026-11-21T09:00:00.000Z (10 s)
Nodes: w2

What happened
  2026-11-21T09:00:00.000Z w2 (10.0.0.12) is dead: no report for 8.2 s, 2 probes failed
  2026-11-21T09:00:01.000Z number-fact 0198 moved from w2 to w3
  2026-11-21T09:00:01.000Z number-fact: 1 instance has no place: w1 has 4 of max_per_node 4

What to do
  - See whether the machine has power and network, and start it.
  - On it: systemctl status tucano-agentd; journalctl -u tucano-agentd
  - What the controller knows: tucano show w2
  - It joins again by itself. To give it up, drain it or take it out of the topology.

Incident: 0198-i (first, mail 1)
While it lasts you are reminded every 6 h; one mail tells when it is over.
`)
})

test('each kind has words for its beginning, its lasting and its end', () => {
  for (const kind of kinds) {
    const one = incident({ kind })
    const end = { over: ['w2'], recoveredAt: START + 12 * minute }
    const first = mailText(one, 'first', 6 * hour, START)
    const reminder = mailText(one, 'reminder', 6 * hour, START + 6 * hour)
    const recovery = mailText({ ...one, ...end }, 'recovery', 6 * hour, START + 13 * minute)
    expect(reminder.subject).toBe(first.subject.replace('] ', '] still, after 6 h: '))
    expect(recovery.subject).toMatch(/^\[tucano\] recovered after 12 min: \S/)
    expect(recovery.text).toContain('Until: 2026-11-21T09:12:00.000Z')
    expect(first.text).toMatch(/What to do\n {2}- \S/)
  }
})

test('B2: no line break gets into a subject, and none of a story makes a line of its own', () => {
  const evil = incident({
    subjects: ['w\r\nBcc: a@b.c', 'x\u2028y'],
    story: ['a\nSubject: b\u0000'],
  })
  const { subject, text } = mailText(evil, 'first', hour, START)
  expect(subject).toBe('[tucano] 2 nodes are dead: w Bcc: a@b.c, x y')
  expect(text).toContain('\n  a Subject: b \n')
})

test('S14: subject and text have a limit', () => {
  const long = incident({
    subjects: Array.from({ length: 300 }, (_, index) => `${'n'.repeat(60)}-${index}`),
    story: Array.from({ length: 200 }, () => 'x'.repeat(1_000)),
  })
  const { subject, text } = mailText(long, 'first', hour, START)
  expect(subject.length).toBe(SUBJECT_MAX)
  expect(text.length).toBeLessThan(TEXT_MAX + 100)
  expect(text).toContain('the rest is left out')
})

test('a story whose middle was left out says so there', () => {
  const { text } = mailText(incident({ story: ['a', 'b'], storyDropped: 7 }), 'first', hour, START)
  expect(text).toContain('  a\n  … 7 more sentences, see: tucano events\n  b\n')
})

test('a digest lists each alert with its beginning and its id', () => {
  const due = kinds.map((kind, index) => ({
    incident: incident({ kind, id: `i-${index}` }),
    kind: 'first' as const,
  }))
  const { subject, text } = digestText(due, 6 * hour, START)
  expect(subject).toBe('[tucano] 6 alerts in one: 6 open, 0 over')
  for (let index = 0; index < 6; index++)
    expect(text).toContain(`Incident: i-${index} (first, mail 1)`)
  expect(text).toContain('  3. service w2 is failing')
})

test('a test mail says that it is one', () => {
  expect(testMailText('0198', START)).toEqual({
    subject: '[tucano] test alert',
    text: expect.stringContaining('Asked for at 2026-11-21T09:00:00.000Z by: tucano alerts test'),
  })
})

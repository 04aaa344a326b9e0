// What the sysadmin gets, and when.

import { expect, test } from 'vitest'
import { begins, ends, hour, minute, note, second, World } from './world.ts'

const kinds = (world: World) => world.sent.map(({ kind }) => kind).join()
const subjects = (world: World) => world.sent.map(({ mail }) => mail.subject)
const nodes = Array.from({ length: 20 }, (_, index) => `w${index + 1}`)

test('Q19: a dead node gives one mail after the gather time, and one when it is back', () => {
  const world = new World()
  world.step([begins('w2', 'w2 (10.0.0.12) is dead: no report for 8.2 s')])
  world.pass(9 * second)
  expect(world.sent).toEqual([])
  world.step([note('w2', 'number-fact 0198 moved from w2 to w3')])
  world.pass(1 * second)
  expect(subjects(world)).toEqual(['[tucano] node w2 is dead'])
  expect(world.sent[0]?.mail.text).toContain('number-fact 0198 moved from w2 to w3')
  world.pass(12 * minute)
  world.step([ends('w2')])
  world.pass(hour * 24)
  expect(subjects(world)[1]).toMatch(/^\[tucano\] recovered after 12 min: node w2$/)
  expect(kinds(world)).toBe('first,recovery')
})

test('F40: twenty nodes that die together are one mail, and one when all are back', () => {
  const world = new World()
  for (const node of nodes) {
    world.step([begins(node)])
    world.pass(200)
  }
  world.pass(minute)
  for (const node of nodes) {
    world.step([ends(node)])
    world.pass(5 * second)
  }
  world.pass(24 * hour)
  expect(kinds(world)).toBe('first,recovery')
  expect(subjects(world)[0]).toBe('[tucano] 20 nodes are dead: w1, w2, w3, w4, w5 and 15 more')
  for (const node of nodes) expect(world.sent[0]?.mail.text).toContain(`${node} is dead`)
  for (const node of nodes) expect(world.sent[1]?.mail.text).toContain(`${node} is back`)
})

test('F13: nodes that vanish at once are one mail, also when one was found dead first', () => {
  const world = new World()
  world.step([begins('w1', 'w1 is dead: no report')])
  world.pass(300)
  world.step([
    begins('w1', 'w1, w2 vanished: 2 of 3', 'mass_failure'),
    begins('w2', 'w1, w2 vanished: 2 of 3', 'mass_failure'),
    begins('w2', 'w2 is dead: no report'),
  ])
  world.pass(minute)
  expect(subjects(world)).toEqual(['[tucano] 2 nodes vanished at once: w1, w2'])
  const text = world.sent[0]?.mail.text ?? ''
  expect(text).toContain('More than half of the nodes vanished at once')
  expect(text).toContain('the controller may be the one that is cut off')
  expect(text).toContain('Nothing is moved until')
  expect(text).toContain('tucano unfreeze')
  expect(text).toContain('w1 is dead: no report')
  expect(text).toContain('w2 is dead: no report')
  world.step([ends('w1'), ends('w2')])
  world.pass(24 * hour)
  expect(kinds(world)).toBe('first,recovery')
})

test('a node that is back within the gather time gives one mail that tells both', () => {
  const world = new World()
  world.step([begins('w2')])
  world.pass(4 * second)
  world.step([ends('w2')])
  world.pass(24 * hour)
  expect(kinds(world)).toBe('first_and_recovery')
  expect(subjects(world)).toEqual(['[tucano] began and was over within 4 s: node w2'])
  expect(world.sent[0]?.mail.text).toMatch(/w2 is dead\n.*w2 is back/)
})

test('a node that dies again after its recovery is a new incident', () => {
  const world = new World()
  for (let round = 0; round < 3; round++) {
    world.step([begins('w2')])
    world.pass(minute)
    world.step([ends('w2')])
    world.pass(minute)
  }
  expect(kinds(world)).toBe('first,recovery,first,recovery,first,recovery')
})

test('what is told twice is mailed once', () => {
  const world = new World()
  world.step([begins('w2'), begins('w2')])
  world.pass(minute)
  world.step([begins('w2')])
  world.pass(minute)
  world.step([ends('w2')])
  world.step([ends('w2'), note('w9', 'of no incident'), ends('w9')])
  world.pass(24 * hour)
  expect(kinds(world)).toBe('first,recovery')
})

test('a recovery waits until the last one is back; the reminder names who is not', () => {
  const world = new World()
  world.step([begins('w1'), begins('w2')])
  world.pass(minute)
  world.step([ends('w1')])
  world.pass(7 * hour)
  expect(subjects(world)[1]).toBe('[tucano] still, after 6 h: node w2 is dead')
  expect(world.sent[1]?.mail.text).toContain('Well again: w1\nStill open: w2')
  expect(kinds(world)).toBe('first,reminder')
})

test('Q19: what stays open is mailed again every 6 h', () => {
  const world = new World()
  world.step([begins('api', 'api: 5 starts failed', 'service_failed')])
  world.pass(24 * hour)
  expect(kinds(world)).toBe('first,reminder,reminder,reminder')
  world.pass(minute)
  expect(kinds(world)).toBe('first,reminder,reminder,reminder,reminder')
})

test('reminders do not pile up while the mail server is down', () => {
  const world = new World()
  world.answer = 'connection refused'
  world.step([begins('w2')])
  world.pass(72 * hour)
  expect(world.disk.outbox.map(({ kind }) => kind)).toEqual(['first'])
  world.answer = null
  world.pass(minute)
  expect(kinds(world)).toBe('first')
})

test('Q19: more than 5 mails within a minute: the others wait and become one digest', () => {
  const world = new World({ gather: '0s' })
  const services = Array.from({ length: 12 }, (_, index) => `s${index}`)
  for (const service of services) {
    world.step([begins(service, `${service} fails`, 'service_failed')])
    world.pass(minute)
  }
  expect(kinds(world)).toBe(services.map(() => 'first').join())
  world.sent = []
  for (const service of services) {
    world.step([ends(service, `${service} is well`, 'service_failed')])
    world.pass(second)
  }
  world.pass(2 * minute)
  expect(kinds(world)).toBe('recovery,recovery,recovery,recovery,recovery,digest')
  const digest = world.sent[5]?.mail
  expect(digest?.subject).toBe('[tucano] 7 alerts in one: 0 open, 7 over')
  for (const service of services.slice(5)) expect(digest?.text).toContain(`${service} is well`)
})

test('what begins while mails are held joins the one that is held', () => {
  const world = new World({ gather: '0s' })
  for (let index = 0; index < 12; index++) {
    world.step([begins(`s${index}`, `s${index} fails`, 'service_failed')])
    world.pass(second)
  }
  world.pass(2 * minute)
  expect(world.sent.length).toBe(6)
  expect(subjects(world)[5]).toBe('[tucano] 7 services are failing: s5, s6, s7, s8, s9 and 2 more')
})

test('alerts that fall due together are one digest at once', () => {
  const world = new World()
  const kindsOf = [
    'node_dead',
    'service_failed',
    'no_workers',
    'store',
    'second_controller',
  ] as const
  world.step([
    ...kindsOf.map((kind) => begins('x', `${kind} sentence`, kind)),
    begins('y', 'mass_failure sentence', 'mass_failure'),
  ])
  world.pass(10 * second)
  expect(kinds(world)).toBe('digest')
  for (const kind of kindsOf) expect(world.sent[0]?.mail.text).toContain(`${kind} sentence`)
})

test('one mail is under way at a time, and deciding goes on meanwhile', () => {
  const world = new World({ gather: '0s' })
  world.step([begins('w1')])
  world.step([begins('api', 'api fails', 'service_failed')])
  for (let index = 0; index < 100; index++) world.step()
  expect(world.inFlight.length).toBe(1)
  world.step([], world.settle())
  expect(world.inFlight.length).toBe(1)
  expect(world.step().wakeAt).toBe(world.now + 6 * hour)
})

test('a test mail goes out at once, to whom the configuration names now', () => {
  const world = new World()
  const id = world.notifier.testMail(world.now)
  world.answer = 'the mail server answered 550: no such user'
  world.pass(second)
  world.answer = null
  world.notifier.configure({
    from: 'a@example.net',
    to: ['mended@example.net'],
    gather: '10s',
    reminder: '6h',
    digest_above: 5,
  })
  world.pass(second)
  expect(world.sent.map((mail) => [mail.id, mail.mail.to])).toEqual([[id, ['mended@example.net']]])
})

test('says when something changed, and only then', () => {
  const world = new World()
  expect(world.step()).toMatchObject({ changed: true })
  expect(world.step()).toEqual({ changed: false, sends: [], wakeAt: Infinity, notices: [] })
  expect(world.step([begins('w1')])).toMatchObject({ changed: true, wakeAt: world.now + 10_000 })
  expect(world.step()).toMatchObject({ changed: false })
  world.now += 10_000
  expect(world.step()).toMatchObject({ changed: true, sends: [{ kind: 'first' }] })
  expect(world.step([], world.settle())).toMatchObject({ changed: true, sends: [] })
})

test('F17: a wall clock that is set back or far ahead loses no mail and puts none off', () => {
  for (const jump of [-hour, hour, 10 * 365 * 24 * hour]) {
    const world = new World()
    world.step([begins('w1')])
    world.now += jump
    world.pass(11 * second)
    expect(kinds(world)).toBe('first')
    world.step([ends('w1')])
    world.now += jump
    world.pass(11 * second)
    expect(kinds(world)).toBe('first,recovery')
  }
})

test('an undone change of the configuration leaves the former one in force', () => {
  const world = new World({ gather: '0s' })
  const before = world.notifier.state()
  world.notifier.configure({ ...before.alerts, to: ['never@example.net'], gather: '10m' })
  world.notifier.restore(before)
  world.step([begins('w1')])
  expect(world.inFlight.map(({ mail }) => mail.to)).toEqual([['ops@example.net']])
})

test('what was accepted is gone from the disk also when the step after it was undone', () => {
  const world = new World({ gather: '0s' })
  world.step([begins('w1')])
  for (const { id, error } of world.settle()) world.notifier.mailResult(id, error, world.now)
  const before = world.notifier.state()
  world.notifier.decide(world.now)
  world.notifier.restore(before)
  expect(world.step()).toMatchObject({ changed: true, sends: [] })
})

test('an undone step neither loses a mail nor sends it twice', () => {
  const world = new World({ gather: '0s' })
  world.step([begins('w1')], [], true)
  expect(world.inFlight).toEqual([])
  world.step([begins('w1')])
  const accepted = world.settle()
  world.step([], accepted, true)
  world.pass(minute)
  expect(kinds(world)).toBe('first')
  expect(world.disk.outbox).toEqual([])
})

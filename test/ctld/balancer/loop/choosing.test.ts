// Which instance takes a request, as a client sees it.

import { expect, test } from 'vitest'
import type { Route, Target } from '#ctld/ports.ts'
import { deadPort, type Rig, route, target } from '#test/ctld/balancer/rig.ts'
import { type Client, createClient, get } from './client.ts'
import { answer, createOrigin, type Seen } from './origin.ts'
import { instance, liveRig, service, standingRig, turns, until } from './world.ts'

/** Instances that answer with their names. */
async function named(rig: Rig, names: string[]): Promise<Target[]> {
  const { port } = await createOrigin(rig, (seen) =>
    seen.reply(answer(seen.fields('x-tuc-inst').join())),
  )
  return names.map((name) => target(name, port))
}

async function world(names: string[], more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig({ trustedProxies: ['127.0.0.1'] })
  const targets = await named(rig, names)
  await rig.publish(route(targets, more))
  return { rig, clock, targets, client: createClient(rig.port) }
}

async function bodies(client: Client, count: number, lines = ''): Promise<string[]> {
  const all: string[] = []
  for (let at = 0; at < count; at += 1) all.push((await client.ask(get('/', lines))).body)
  return all
}

const cookieOf = (setCookie: string[]) => /^[^;]*/.exec(setCookie[0] ?? '')?.[0] ?? ''

test('round robin gives everybody a turn, also over a new table', async () => {
  const { rig, targets, client } = await world(['i1', 'i2', 'i3'], { balance: 'round_robin' })
  expect(await bodies(client, 4)).toEqual(['i1', 'i2', 'i3', 'i1'])
  await rig.publish(route(targets, { balance: 'round_robin' }))
  expect(await bodies(client, 3)).toEqual(['i2', 'i3', 'i1'])
})

test('a sticky client is told its instance once, and led back to it', async () => {
  const { client } = await world(['i1', 'i2', 'i3'], { stickyCookie: 'at' })
  const first = await client.ask(get('/'))
  const [setCookie = ''] = first.fields('set-cookie')
  expect(setCookie).toMatch(/^at=[0-9a-f]{16}; Path=\/; HttpOnly; SameSite=Lax$/)
  const lines = `Cookie: x=y; ${cookieOf([setCookie])}\r\n`
  for (let round = 0; round < 5; round += 1) {
    const again = await client.ask(get('/', lines))
    expect([again.body, again.fields('set-cookie')]).toEqual([first.body, []])
  }
})

test('a sticky client whose instance is gone is led to another one, and told so', async () => {
  const sticky = { stickyCookie: 'at' }
  const { rig, targets, client } = await world(['i1', 'i2', 'i3'], sticky)
  const first = await client.ask(get('/'))
  const old = cookieOf(first.fields('set-cookie'))
  await rig.publish(
    route(
      targets.filter(({ instance: id }) => id !== first.body),
      sticky,
    ),
  )
  const moved = await client.ask(get('/', `Cookie: ${old}\r\n`))
  expect(moved.body).not.toBe(first.body)
  const next = cookieOf(moved.fields('set-cookie'))
  expect(next).not.toBe(old)
  const stays = await client.ask(get('/', `Cookie: ${next}\r\n`))
  expect([stays.body, stays.fields('set-cookie')]).toEqual([moved.body, []])
  // A token that nobody has is as none.
  expect((await client.ask(get('/', 'Cookie: at=0123456789abcdef\r\n'))).status).toBe(200)
})

const keys = Array.from({ length: 40 }, (_, at) => `k${at}`)

test.each<[string, NonNullable<Route['hash']>, (key: string) => string]>([
  ['a header', { by: 'header', name: 'X-User' }, (key) => `x-user: ${key}\r\n`],
  ['a cookie', { by: 'cookie', name: 'user' }, (key) => `Cookie: a=b; user=${key}\r\n`],
  ['the address', { by: 'ip' }, (key) => `X-Forwarded-For: 9.9.9.${key.slice(1)}\r\n`],
])(
  'hash by %s: a key has one instance, and keeps it when another one goes',
  async (_n, hash, line) => {
    const { rig, targets, client } = await world(['i1', 'i2', 'i3'], { balance: 'hash', hash })
    const ownerOf = async () => {
      const owners = new Map<string, string>()
      for (const key of keys) {
        const [one, two] = await bodies(client, 2, line(key))
        expect(two).toBe(one)
        owners.set(key, one as string)
      }
      return owners
    }
    const before = await ownerOf()
    expect(new Set(before.values()).size).toBe(3)
    await rig.publish(route(targets.slice(0, 2), { balance: 'hash', hash }))
    const after = await ownerOf()
    for (const [key, owner] of before) {
      if (owner !== 'i3') expect(after.get(key)).toBe(owner)
    }
  },
)

test('a new instance starts slowly, those of the first table do not', async () => {
  const slow = { slowStartMs: 10_000 }
  const { rig, clock } = await standingRig()
  const targets = await named(rig, ['i1', 'i2'])
  await rig.publish(route(targets.slice(0, 1), slow))
  clock.advance(60_000)
  await rig.publish(route(targets, slow))
  const client = createClient(rig.port)
  const share = async () => (await bodies(client, 110)).filter((body) => body === 'i2').length
  // A tenth of its weight, then 55 %, then all of it.
  expect(await share()).toBe(10)
  clock.advance(5_000)
  expect(Math.abs((await share()) - 39)).toBeLessThanOrEqual(1)
  clock.advance(5_000)
  expect(Math.abs((await share()) - 55)).toBeLessThanOrEqual(1)
})

test('least_request goes to who has the fewest for its weight', async () => {
  const rig = await liveRig()
  const held: Seen[] = []
  const origin = await createOrigin(rig, (seen) => void held.push(seen))
  const targets = [target('i1', origin.port, 10), target('i2', origin.port, 5)]
  await rig.publish(route(targets, { balance: 'least_request' }))
  for (let at = 0; at < 9; at += 1) {
    createClient(rig.port).send(get('/'))
    await origin.untilSeen(at + 1)
  }
  const inFlight = () => [instance(rig, 'i1').inFlight, instance(rig, 'i2').inFlight]
  expect(inFlight()).toEqual([6, 3])
  for (const seen of held.filter(({ fields }) => fields('x-tuc-inst')[0] === 'i2')) {
    seen.reply(answer('x'))
  }
  await until(() => instance(rig, 'i2').inFlight === 0)
  for (let at = 9; at < 12; at += 1) {
    createClient(rig.port).send(get('/'))
    await origin.untilSeen(at + 1)
  }
  expect(inFlight()).toEqual([6, 3])
})

/** Of two instances i1 breaks every connection until it is mended. */
async function half(more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig()
  let isBroken = true
  const origin = await createOrigin(rig, (seen) => {
    const [name = ''] = seen.fields('x-tuc-inst')
    if (name === 'i1' && isBroken) seen.socket.destroy()
    else seen.reply(answer(name))
  })
  const dead = await deadPort()
  await rig.publish(
    route([target('i1', origin.port), target('i2', origin.port)], {
      balance: 'round_robin',
      ...more,
    }),
  )
  const hits = () => origin.seen.filter(({ fields }) => fields('x-tuc-inst')[0] === 'i1').length
  const mend = () => {
    isBroken = false
  }
  return { rig, clock, origin, dead, hits, mend, client: createClient(rig.port) }
}

test('an instance that breaks five answers in a row is skipped for a second, then tried once', async () => {
  const { rig, clock, hits, mend, client } = await half()
  expect(new Set(await bodies(client, 12))).toEqual(new Set(['i2']))
  expect(hits()).toBe(5)
  expect(instance(rig, 'i1')).toMatchObject({ ejections: 1, responseErrors: 5 })
  clock.advance(999)
  await bodies(client, 6)
  expect(hits()).toBe(5)
  clock.advance(1)
  await bodies(client, 6)
  // Its trial failed: two seconds now.
  expect(hits()).toBe(6)
  clock.advance(1_999)
  await bodies(client, 6)
  expect(hits()).toBe(6)
  mend()
  clock.advance(1)
  expect(new Set(await bodies(client, 6))).toEqual(new Set(['i1', 'i2']))
})

test('during the trial of an instance nobody else is sent to it', async () => {
  const { rig, clock } = await standingRig()
  const held: Seen[] = []
  let isBroken = true
  const origin = await createOrigin(rig, (seen) => {
    const [name = ''] = seen.fields('x-tuc-inst')
    if (name === 'i2') seen.reply(answer(name))
    else if (isBroken) seen.socket.destroy()
    else held.push(seen)
  })
  const targets = [target('i1', origin.port), target('i2', origin.port)]
  await rig.publish(route(targets, { balance: 'round_robin' }))
  await bodies(createClient(rig.port), 12)
  isBroken = false
  clock.advance(1_000)
  const clients = Array.from({ length: 6 }, () => createClient(rig.port))
  for (const client of clients) client.send(get('/'))
  await until(() => clients.filter((client) => client.text().endsWith('i2')).length === 5)
  await turns()
  expect(held).toHaveLength(1)
  held[0]?.reply(answer('i1'))
  await until(() => clients.every((client) => client.text() !== ''))
  for (const client of clients) await client.answer()
  isBroken = false
  const after = clients.slice(0, 4).map((client) => client.ask(get('/')))
  await origin.until(() => held.length === 3)
  for (const seen of held.slice(1)) seen.reply(answer('i1'))
  await Promise.all(after)
})

test('the trial of a client that leaves, or sends nonsense, does not keep others out', async () => {
  const { clock, hits, mend, client, rig } = await half()
  await bodies(client, 12)
  mend()
  clock.advance(1_000)
  const before = hits()
  const faulty = [0, 1].map(() => createClient(rig.port))
  for (const one of faulty) {
    one.send('POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n')
  }
  await until(() => service(rig).inFlight === 2)
  await turns()
  for (const one of faulty) one.send('zz\r\n')
  await Promise.all(faulty.map((one) => one.rest()))
  expect(new Set(await bodies(client, 4))).toEqual(new Set(['i1', 'i2']))
  expect(hits()).toBeGreaterThan(before)
})

test('an instance that cannot be reached is skipped at once, the last one never', async () => {
  const { rig, clock, dead, client, origin } = await half()
  await rig.publish(
    route([target('d1', dead), target('i2', origin.port)], { balance: 'round_robin' }),
  )
  expect(new Set(await bodies(client, 6))).toEqual(new Set(['i2']))
  expect(instance(rig, 'd1')).toMatchObject({ connectAttempts: 1, connectErrors: 1, ejections: 1 })
  await rig.publish(route([target('d1', dead)]))
  expect((await client.ask(get('/'))).status).toBe(503)
  expect((await client.ask(get('/'))).status).toBe(503)
  expect(instance(rig, 'd1').connectAttempts).toBe(3)
  clock.advance(1)
})

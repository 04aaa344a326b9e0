// Instances that fail in every way, clients that leave at any moment, tables that change: whatever
// comes, nobody reads what belongs to another one, no POST is executed twice, nothing is left over.

import { expect, test } from 'vitest'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { type Random, randomOf } from '#test/helpers/seeds.ts'
import { type Client, createClient, get, post } from './client.ts'
import { answer, chunked, createOrigin, type Seen } from './origin.ts'
import { service, standingRig, turns } from './world.ts'

const SEEDS = 30
const ROUNDS = 30
const CLIENTS = 8

const faults = [
  'refuses',
  'half',
  'nonsense',
  'extra',
  'silent',
  'slow',
  'close',
  'hints',
  'early close',
] as const

/** `later`: what the instance still has to say, some time. */
function serve(seen: Seen, random: Random, later: (() => void)[], faultShare: number): void {
  const { path, reply, socket } = seen
  const own = path.slice(1)
  const whole = random.chance(0.5) ? answer(own) : chunked([own.slice(0, 2), own.slice(2)])
  const at = random.int(1, whole.length - 1)
  const wrong: Record<(typeof faults)[number], () => void> = {
    refuses: () => socket.destroy(),
    half() {
      reply(whole.slice(0, at))
      socket.end()
    },
    nonsense: () => reply('0\r\n\r\n'),
    extra: () => reply(`${whole}\r\n0\r\n\r\n`),
    silent() {},
    slow() {
      reply(whole.slice(0, at))
      later.push(() => reply(whole.slice(at)))
    },
    close() {
      reply(whole.replace('\r\n', '\r\nConnection: close\r\n'))
      socket.end()
    },
    hints: () => reply(`HTTP/1.1 103 Early Hints\r\n\r\n${whole}`),
    'early close'() {
      reply(whole)
      socket.destroy()
    },
  }
  if (random.chance(faultShare)) wrong[random.pick(faults)]()
  else reply(whole)
}

/** Reads answers until the connection ends. */
async function listen(client: Client, asked: string[], note: (fault: string) => void) {
  for (let at = 0; ; ) {
    const got = await client.answer().catch(() => {
      // It ended: by its own leaving, or cut in the middle of an answer.
      return undefined
    })
    if (got === undefined) return
    if (got.status < 200) continue
    const own = asked[at]
    at += 1
    const isProblem = got.status >= 400 && got.body.startsWith('{"type":"about:blank"')
    if (!isProblem && (got.status !== 200 || got.body !== own)) note(`${own} got ${got.body}`)
  }
}

async function oneHistory(seed: number): Promise<Record<string, number>> {
  const random = randomOf(seed)
  const { rig, clock } = await standingRig()
  const later: (() => void)[] = []
  // With few faults instances prove themselves, and requests share connections.
  const faultShare = random.pick([0.3, 0.02])
  const origins = [0, 1, 2].map(() =>
    createOrigin(rig, (seen) => serve(seen, random, later, faultShare)),
  )
  const all = await Promise.all(origins)
  const targets = all.map(({ port }, at) => target(`i${at}`, port))
  const publish = () => {
    const some = targets.filter(() => random.chance(0.8))
    const inFlightMax = random.pick([0, 0, 1, 3])
    const traffic = random.chance(0.1) ? 'paused' : 'open'
    return rig.publish(
      route(some, { inFlightMax, traffic, pauseMs: 2_000, holdMs: 1_000, queueMax: 20 }),
    )
  }
  await publish()
  const found: string[] = []
  const clients: { client: Client; asked: string[]; heard: Promise<void> }[] = []
  const connected = () => {
    const [client, asked] = [createClient(rig.port), [] as string[]]
    const heard = listen(client, asked, (fault) => found.push(fault))
    return { client, asked, heard }
  }
  let count = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    while (clients.length < CLIENTS) clients.push(connected())
    for (const { client, asked } of clients) {
      if (!random.chance(0.6)) continue
      count += 1
      const id = `s${seed}n${count}`
      asked.push(id)
      client.send(random.chance(0.7) ? get(`/${id}`) : post(`/${id}`, id))
    }
    await turns(random.int(1, 12))
    if (random.chance(0.4)) for (const say of later.splice(0)) say()
    if (random.chance(0.5)) clock.advance(random.pick([1, 30, 500, 6_000]))
    if (random.chance(0.2)) await publish()
    if (random.chance(0.3)) clients.splice(random.int(0, CLIENTS - 1), 1)[0]?.client.leave()
  }
  await rig.publish(route(targets))
  // All deadlines that there are: of answers, of bodies, of idle connections.
  for (let step = 0; step < 30; step += 1) {
    for (const say of later.splice(0)) say()
    clock.advance(6_000)
    await turns()
  }
  await Promise.all(clients.map(({ heard }) => heard))
  const why = `seed ${seed} (SEED=${seed} replays it)`
  expect(found, why).toEqual([])
  const { statuses, requests, inFlight, waiting, instances } = service(rig)
  expect({ inFlight, waiting }, why).toEqual({ inFlight: 0, waiting: 0 })
  for (const { idleConnections, openConnections } of Object.values(instances)) {
    expect([idleConnections, openConnections], why).toEqual([0, 0])
  }
  expect(
    Object.values(statuses).reduce((sum, count) => sum + count, 0),
    why,
  ).toBe(requests)
  const executed = all.flatMap(({ seen }) => seen.filter(({ method }) => method === 'POST'))
  expect(new Set(executed.map(({ path }) => path)).size, why).toBe(executed.length)
  return statuses
}

test('whatever fails, nobody is mixed up, nothing is done twice and nothing is left', async () => {
  const only = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed) : [only]
  const sum: Record<string, number> = {}
  for (const seed of seeds) {
    for (const [status, count] of Object.entries(await oneHistory(seed))) {
      sum[status] = (sum[status] ?? 0) + count
    }
  }
  if (only !== undefined) return
  // Or it says little.
  for (const status of [0, 200, 502, 503, 504]) expect(sum[status]).toBeGreaterThan(10)
  expect(sum[200]).toBeGreaterThan(1_000)
}, 120_000)

// Every way in which a request can end badly, with who ended it and in which phase, and a loop that
// writes an access log of it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Route } from '#ctld/ports.ts'
import { deadPort, type Rig, route, target } from '#test/ctld/balancer/rig.ts'
import type { ManualClock } from '#test/helpers/manual-clock.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'
import { createClient, get, post } from './client.ts'
import { fullPort } from './full-port.ts'
import { createOrigin, type Origin, type Seen } from './origin.ts'
import { instance, service, standingRig, turns, until } from './world.ts'

type World = {
  rig: Rig
  clock: ManualClock
  origin: Origin
  publish(more: Partial<Route>): Promise<void>
  client(): ReturnType<typeof createClient>
}

const CUT = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'
const AGREED = 'HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
const WISH = get('/x', 'Connection: upgrade\r\nUpgrade: x\r\n')

export async function loggedWorld(serve: (seen: Seen) => void) {
  const file = join(temporaryFolder(), 'access.log')
  const { rig, clock } = await standingRig({ accessLog: file })
  const origin = await createOrigin(rig, serve)
  const publish = (more: Partial<Route>) => rig.publish(route([target('i1', origin.port)], more))
  await publish({})
  const lines = async (): Promise<Record<string, unknown>[]> => {
    await rig.plane.close(0)
    const text = readFileSync(file, 'utf8')
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }
  return { rig, clock, origin, publish, client: () => createClient(rig.port), lines }
}

type Case = {
  it: string
  ending: string
  status: number
  error?: string
  serve?: (seen: Seen) => void
  act(world: World): Promise<unknown>
}

const leaves = async ({ rig, origin, client }: World, text: string, isThere: () => boolean) => {
  const one = client()
  one.send(text)
  await origin.until(isThere)
  await turns()
  one.leave()
  await until(() => service(rig).requests === 1)
}

export const cases: Case[] = [
  {
    it: 'a client that leaves while it waits for its turn',
    ending: 'client queue',
    status: 0,
    error: 'the client closed its connection',
    async act(given) {
      await given.publish({ traffic: 'paused' })
      await leaves(given, get('/'), () => true)
    },
  },
  {
    it: 'a client that leaves while its instance is being connected to',
    ending: 'client connect',
    status: 0,
    error: 'the client closed its connection',
    async act(given) {
      await given.rig.publish(route([target('i1', await fullPort())]))
      const one = given.client()
      one.send(get('/'))
      await until(() => instance(given.rig, 'i1').connectAttempts === 1)
      one.leave()
      await until(() => service(given.rig).requests === 1)
    },
  },
  {
    it: 'a client that leaves before the answer',
    ending: 'client head',
    status: 0,
    error: 'the client closed its connection',
    serve() {},
    act: (given) => leaves(given, get('/'), () => given.origin.seen.length === 1),
  },
  {
    it: 'a client that leaves in the middle of the answer',
    ending: 'client body',
    status: 200,
    error: 'the client closed its connection',
    serve: ({ reply }) => reply(CUT),
    act: (given) => leaves(given, get('/'), () => given.origin.seen.length === 1),
  },
  {
    it: 'a client that leaves in the middle of its body',
    ending: 'client body',
    status: 0,
    error: 'the client closed its connection',
    act: (given) =>
      leaves(
        given,
        'POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 9\r\n\r\nhalf',
        () => given.origin.sockets.length === 1,
      ),
  },
  {
    it: 'a client whose body is nonsense',
    ending: 'client body',
    status: 400,
    act: ({ client }) =>
      client().ask('POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'),
  },
  {
    it: 'a client that breaks off a tunnel',
    ending: 'client tunnel',
    status: 101,
    error: 'ECONNRESET',
    serve: ({ reply }) => reply(AGREED),
    async act({ rig, client }) {
      const one = client()
      await one.ask(WISH)
      one.socket.resetAndDestroy()
      await until(() => service(rig).requests === 1)
    },
  },
  {
    it: 'an instance that cannot be reached',
    ending: 'instance connect',
    status: 503,
    error: 'ECONNREFUSED',
    async act({ rig, client }) {
      await rig.publish(route([target('i1', await deadPort())]))
      await client().ask(get('/'))
    },
  },
  {
    it: 'an instance that does not take the connection in time',
    ending: 'instance connect',
    status: 503,
    error: 'no connection in time',
    async act({ rig, clock, client }) {
      await rig.publish(route([target('i1', await fullPort())], { connectMs: 1_000 }))
      const one = client()
      one.send(get('/'))
      await until(() => instance(rig, 'i1').connectAttempts === 1)
      clock.advance(1_000)
      await one.answer()
    },
  },
  {
    it: 'an instance that breaks off before its answer',
    ending: 'instance head',
    status: 502,
    error: 'the connection was closed',
    serve: ({ socket }) => void socket.end(),
    act: ({ client }) => client().ask(post('/', 'x')),
  },
  {
    it: 'an instance that is silent',
    ending: 'instance head',
    status: 504,
    error: 'timeout',
    serve() {},
    async act({ origin, clock, client }) {
      const one = client()
      one.send(get('/'))
      await origin.untilSeen(1)
      clock.advance(5_000)
      await one.answer()
    },
  },
  {
    it: 'an instance that talks nonsense',
    ending: 'instance head',
    status: 502,
    error: 'no status line of HTTP/1',
    serve: ({ reply }) => reply('SSH-2.0-x\r\n\r\n'),
    act: ({ client }) => client().ask(get('/')),
  },
  {
    it: 'an instance that breaks off its answer',
    ending: 'instance body',
    status: 200,
    error: 'the connection was closed',
    serve({ reply, socket }) {
      reply(CUT)
      socket.end()
    },
    async act({ client }) {
      const one = client()
      one.send(get('/'))
      await one.rest()
    },
  },
  {
    it: 'an instance whose answer stands still',
    ending: 'instance body',
    status: 200,
    error: 'the answer stood still',
    serve: ({ reply }) => reply(CUT),
    async act({ clock, client }) {
      const one = client()
      one.send(get('/'))
      await one.until('half')
      clock.advance(60_000)
      await one.rest()
    },
  },
  {
    it: 'an instance that breaks off a tunnel',
    ending: 'instance tunnel',
    status: 101,
    error: 'ECONNRESET',
    serve: ({ reply }) => reply(AGREED),
    async act({ rig, client, origin }) {
      await client().ask(WISH)
      origin.sockets[0]?.resetAndDestroy()
      await until(() => service(rig).requests === 1)
    },
  },
  {
    it: 'a body that is too large',
    ending: 'balancer request',
    status: 413,
    async act({ publish, client }) {
      await publish({ bodyMax: 1 })
      await client().ask(post('/', 'xx'))
    },
  },
  {
    it: 'maintenance',
    ending: 'balancer request',
    status: 503,
    async act({ publish, client }) {
      await publish({ traffic: 'maintenance', maintenancePage: 'soon' })
      await client().ask(get('/'))
    },
  },
  {
    it: 'no instance',
    ending: 'balancer queue',
    status: 503,
    async act({ rig, client }) {
      await rig.publish(route([]))
      await client().ask(get('/'))
    },
  },
]

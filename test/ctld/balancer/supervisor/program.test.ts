// The program as a process: its folder, its signals, its upgrade. It is fed as by a controller.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createDataPlaneClient } from '#ctld/balancer/data-plane-client.io.ts'
import type { Observation } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { VERSION } from '#shared/daemon.io.ts'
import { freePorts } from '#test/helpers/free-ports.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'
import { aRoute, settings, silent } from './world.ts'

vi.setConfig({ testTimeout: 60_000 })

const PROGRAM = join(import.meta.dirname, '../../../../bin/tucano_balancer')
/** Longer than the path of a unix socket may be. */
const LONG = 'a-folder-with-a-rather-long-name/'.repeat(5)

test('a folder with a long name does: the socket is found in it', async () => {
  const world = await serving({ below: LONG })
  expect(Buffer.byteLength(world.folder)).toBeGreaterThan(160)
  expect(await world.ask()).toBe('200 fine')
})

test('a second one on the same folder ends with 1 and names the first', async () => {
  const world = await serving()
  const { said, ended } = start(world.folder)
  expect(await ended).toBe(1)
  expect(said()).toContain(`${world.folder} is in use by process ${world.pid()}`)
  expect(await world.ask()).toBe('200 fine')
})

test('SIGTERM lets a request under way finish, takes no more, and leaves with 0', async () => {
  const world = await serving()
  const slow = world.ask('/slow')
  await world.slowArrived
  world.feed.close()
  process.kill(world.pid(), 'SIGTERM')
  await expect.poll(() => world.ask(), { timeout: 20_000 }).toContain('ECONNREFUSED')
  world.letGo()
  expect(await slow).toBe('200 slow')
  expect(await world.ended).toBe(0)
  expect(existsSync(join(world.folder, 'control.sock'))).toBe(false)
})

test('an upgrade refuses no connection, and a request under way in the old one is answered', async () => {
  const world = await serving()
  const before = world.pid()
  const slow = world.ask('/slow')
  await world.slowArrived
  process.kill(before, 'SIGUSR2')
  const answers = new Map<string, number>()
  while (world.pid() === before) {
    const answer = await world.ask()
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
  }
  for (let more = 0; more < 200; more += 1) {
    const answer = await world.ask()
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
  }
  expect([...answers.keys()]).toEqual(['200 fine'])
  expect(answers.get('200 fine')).toBeGreaterThan(200)

  // The instance leaves while the old program still has its request: not drained until that ends.
  await expect
    .poll(() =>
      world.feed.counters().then(
        ({ loops }) => loops,
        () => 0,
      ),
    )
    .toBe(2)
  world.feed.publish({ version: 2, routes: [aRoute('a', [])] })
  await expect.poll(() => world.ask()).toContain('503')
  expect(world.seen.filter(({ kind }) => kind === 'drained')).toEqual([])
  world.letGo()
  expect(await slow).toBe('200 slow')
  await expect
    .poll(() => world.seen, { timeout: 20_000 })
    .toContainEqual({ kind: 'drained', instance: 'i-1' })
  expect(await world.ended).toBe(0)
})

test('a successor that does not come up changes nothing, and the next one may', async () => {
  const world = await serving()
  const before = world.pid()
  world.sendUpgrade(['/bin/false', 'x'])
  await expect.poll(() => world.said(), { timeout: 20_000 }).toContain('the upgrade failed')
  expect(await world.ask()).toBe('200 fine')
  expect(world.pid()).toBe(before)
  process.kill(before, 'SIGUSR2')
  await expect.poll(() => world.pid(), { timeout: 20_000 }).not.toBe(before)
  expect(await world.ask()).toBe('200 fine')
})

test('a predecessor that is killed in the middle of an upgrade leaves its successor serving', async () => {
  const folder = join(temporaryFolder(), 'balancer')
  const [port = 0] = await freePorts(1)
  const successor = spawn(PROGRAM, ['--folder', folder, '--inherit'], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  onTestFinished(() => void successor.kill('SIGKILL'))
  const table = { version: 1, settings: { ...settings, port }, routes: [] }
  successor.send({ kind: 'inherit', sockets: [], table })
  expect((await once(successor, 'message'))[0]).toEqual({ kind: 'ready' })
  successor.disconnect()
  const feed = feedOf(folder, table.settings, false)
  onTestFinished(() => feed.close())
  await feed.connect()
  expect(await askOnce(port, '/')).toMatch(/^404 /)
  expect(readFileSync(join(folder, 'balancer.pid'), 'utf8')).toBe(`${successor.pid}\n`)
})

test('a log that has grown too long is emptied at the start, its content kept aside', async () => {
  const folder = join(temporaryFolder(), 'balancer')
  mkdirSync(folder, { mode: 0o700 })
  const file = join(folder, 'balancer.log')
  writeFileSync(file, 'x'.repeat(10 * 1024 * 1024 + 1))
  const feed = feedOf(folder, settings, true)
  await feed.connect()
  onTestFinished(() => feed.abandon())
  await expect.poll(() => readFileSync(file, 'utf8')).toContain('data plane started')
  expect(readFileSync(file).length).toBeLessThan(10_000)
  expect(readFileSync(`${file}.1`).length).toBeGreaterThan(10 * 1024 * 1024)
})

test('a full disk keeps it from nothing: neither from its start nor from its traffic', async () => {
  const folder = join(temporaryFolder(), 'balancer')
  mkdirSync(folder, { mode: 0o755 })
  for (const name of ['balancer.pid', 'balancer.log']) symlinkSync('/dev/full', join(folder, name))
  const [port = 0] = await freePorts(1)
  // As a careless unit would: whoever may write to the socket has programs started.
  const command = `umask 0; exec ${PROGRAM} --folder ${folder} 2>${folder}/balancer.log`
  const child = spawn('sh', ['-c', command], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const feed = feedOf(folder, { ...settings, port }, false)
  onTestFinished(() => feed.close())
  await feed.connect()
  feed.publish({ version: 1, routes: [] })
  await feed.opened()
  expect(await askOnce(port, '/')).toMatch(/^404 /)
  expect(statSync(join(folder, 'control.sock')).mode & 0o077).toBe(0)
})

test('what is told of its end is what went wrong, and not that it had started', async () => {
  const folder = join(temporaryFolder(), 'balancer')
  const feed = feedOf(folder, settings, true)
  const told = new Promise<Observation>((resolve) => feed.observe(resolve))
  onTestFinished(() => {
    feed.abandon()
    feed.close()
  })
  await feed.connect()
  process.kill(Number(readFileSync(join(folder, 'balancer.pid'), 'utf8')), 'SIGKILL')
  const error = `SIGKILL (${join(folder, 'balancer.log')})`
  expect(await told).toEqual({ kind: 'data_plane_failed', error })
})

test('one that cannot be started is told of like one that ended', async () => {
  const folder = join(temporaryFolder(), 'balancer')
  mkdirSync(join(folder, 'balancer.log'), { recursive: true })
  const feed = feedOf(folder, settings, true)
  onTestFinished(() => feed.close())
  await expect(feed.connect()).rejects.toThrow(/tucano_balancer does not start: EISDIR/)
})

test('its launcher and the controller start it with the same flags', () => {
  const launcher = readFileSync(PROGRAM, 'utf8')
  const client = readFileSync('ctld/balancer/data-plane-client.io.ts', 'utf8')
  expect(/(\w+=\S+ )?exec "\$node"(.*)"\$here\/\.\./.exec(launcher)?.slice(1)).toEqual([
    'MALLOC_ARENA_MAX=2 ',
    ' --import "$here/compile-cache.js" ',
  ])
  expect(client).toMatch(/FLAGS = \['--import', join\(.*compile-cache\.js'\)\]/)
  expect(client).toContain("ENVIRONMENT = { MALLOC_ARENA_MAX: '2' }")
})

function start(folder: string): {
  child: ChildProcess
  said: () => string
  ended: Promise<number>
} {
  const child = spawn(PROGRAM, ['--folder', folder], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr?.on('data', (words) => {
    said += words
  })
  const ended = once(child, 'exit').then(([code]) => code as number)
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, said: () => said, ended }
}

function feedOf(folder: string, wanted: typeof settings, mayStart: boolean) {
  return createDataPlaneClient({
    folder,
    settings: wanted,
    mayStart,
    clock: machineClock,
    log: silent,
    logLevel: 'info',
    version: VERSION,
  })
}

async function serving({ below = 'balancer' } = {}) {
  const folder = join(temporaryFolder(), below)
  const arrived = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const origin = createServer(async (incoming, answer) => {
    if (!incoming.url?.endsWith('/slow')) return void answer.end('fine')
    arrived.resolve()
    await held.promise
    answer.end('slow')
  }).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  const { said, ended } = start(folder)
  const [port = 0] = await freePorts(1)
  const feed = feedOf(folder, { ...settings, port }, false)
  const seen: Observation[] = []
  feed.observe((observation) => seen.push(observation))
  const pid = () => Number(readFileSync(join(folder, 'balancer.pid'), 'utf8'))
  onTestFinished(() => {
    feed.close()
    origin.closeAllConnections()
    origin.close()
    try {
      process.kill(pid(), 'SIGKILL')
    } catch {
      // It has ended as it was told to.
    }
  })
  await feed.connect()
  const route = aRoute('a', ['i-1'])
  for (const target of route.targets) target.port = (origin.address() as AddressInfo).port
  for (const target of route.targets) target.weight = 1
  feed.publish({ version: 1, routes: [{ ...route, responseMs: 30_000 }] })
  await feed.opened()
  return {
    folder,
    feed,
    seen,
    said,
    ended,
    pid,
    slowArrived: arrived.promise,
    letGo: held.resolve,
    ask: (path = '/') => askOnce(port, path),
    sendUpgrade: (command: string[]) => tell(folder, { kind: 'upgrade', command }),
  }
}

/** On a connection of its own: `200 body`, or the error's code. */
function askOnce(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(
      { port, host: '127.0.0.1', path: `/svc/a${path}`, agent: false },
      (answer) => {
        let body = ''
        answer.on('data', (piece) => {
          body += piece
        })
        answer.on('end', () => resolve(`${answer.statusCode} ${body}`))
      },
    )
    sent.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    sent.end()
  })
}

/** As another controller would. */
async function tell(folder: string, message: unknown): Promise<void> {
  const { connect } = await import('node:net')
  const socket = connect(join(folder, 'control.sock'))
  await once(socket, 'connect')
  socket.end(`${JSON.stringify(message)}\n`)
}

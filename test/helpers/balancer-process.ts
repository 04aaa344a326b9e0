// The real tucano_balancer as a process, fed over its socket as the controller feeds it. Tables are
// acknowledged before `publish` resolves; what it tells is kept.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DataPlaneCounters, ServiceCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { createLines } from '#ctld/balancer/data-plane/supervisor/lines.ts'
import {
  type FromDataPlane,
  hearDataPlane,
  LINE_BYTES_MAX,
  SOCKET_NAME,
  type ToDataPlane,
} from '#ctld/balancer/data-plane/supervisor/protocol.ts'
import type { Route } from '#ctld/ports.ts'
import type { LoopMemory, Probe } from '#test/fixtures/memory-probe.ts'
import { freePorts } from './free-ports.ts'

const root = join(import.meta.dirname, '../..')

export type Memory = { loops: LoopMemory[]; rss: number }

export type BalancerProcess = AsyncDisposable & {
  pid: number
  port: number
  heard: FromDataPlane[]
  publish(routes: Route[], change?: Partial<Settings>): Promise<void>
  counters(): Promise<DataPlaneCounters>
  /** Of the service `api`. */
  service(): Promise<ServiceCounters>
  /** Asks again and again until the service's counters are so. */
  until(isSo: (service: ServiceCounters) => boolean): Promise<ServiceCounters>
  /** Open file descriptors of the process, but those of the access log, which opens late. */
  descriptors(): number
  /** Sockets among them. */
  sockets(): number
  memory(): Promise<Memory>
  /** The loop that has a request under way on this slot ends at once, with all that it holds. */
  endHolderOf(slot: number): void
}

export async function startBalancer(threads = 2): Promise<BalancerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'tucano-balancer-'))
  const [port] = (await freePorts(1)) as [number]
  const child = spawn(
    process.execPath,
    [
      ...['--import', join(root, 'test/fixtures/memory-probe.ts')],
      join(root, 'ctld/balancer/data-plane/main.ts'),
      ...['--folder', folder],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, MALLOC_ARENA_MAX: '2', NODE_OPTIONS: '' },
    },
  )
  await isReady(child)
  const socket = connect({ path: join(folder, SOCKET_NAME) })
  await once(socket, 'connect')
  const link = linkOver(socket)
  let settings: Settings = {
    host: '127.0.0.1',
    port,
    threads,
    trustedProxies: [],
    accessLog: join(folder, 'access.log'),
    connectionsMax: 10_000,
    connectionsPerIp: 0,
  }
  let version = 0
  let asked = 0

  async function counters(): Promise<DataPlaneCounters> {
    asked += 1
    const id = asked
    link.send({ kind: 'counters', id })
    const told = await link.next((one) => one.kind === 'counters' && one.id === id)
    return (told as Extract<FromDataPlane, { kind: 'counters' }>).counters
  }

  async function service(): Promise<ServiceCounters> {
    const { services } = await counters()
    const { api } = services
    if (api === undefined) throw new Error('the balancer knows no service api')
    return api
  }

  const linksOf = () => {
    const names = readdirSync(`/proc/${child.pid}/fd`)
    return names.map((name) => linkAt(`/proc/${child.pid}/fd/${name}`))
  }

  return {
    pid: child.pid ?? 0,
    port,
    heard: link.heard,
    async publish(routes, change = {}) {
      version += 1
      const own = version
      settings = { ...settings, ...change }
      link.send({ kind: 'table', version, settings, routes })
      const isIt = (one: FromDataPlane) =>
        (one.kind === 'ack' || one.kind === 'refused') && one.version >= own
      const told = await link.next(isIt)
      if (told.kind !== 'ack' || told.failures.length > 0) throw new Error(JSON.stringify(told))
    },
    counters,
    service,
    async until(isSo) {
      for (;;) {
        const seen = await service()
        if (isSo(seen)) return seen
      }
    },
    descriptors: () => linksOf().filter((to) => !to.endsWith('/access.log')).length,
    sockets: () => linksOf().filter((to) => to.startsWith('socket:')).length,
    async memory() {
      const told = once(child, 'message')
      child.send({ measure: threads } satisfies Probe)
      return ((await told) as [Memory])[0]
    },
    endHolderOf: (slot) => void child.send({ endHolderOf: slot } satisfies Probe),
    async [Symbol.asyncDispose]() {
      socket.destroy()
      const exited = once(child, 'exit')
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the balancer had ended: ${child.signalCode ?? child.exitCode}`)
      }
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Rejects with its words when it ends before it has opened its socket. */
function isReady(child: ChildProcess): Promise<void> {
  let words = ''
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (bytes: Buffer) => {
      if (words.length < 100_000) words += bytes
      if (words.includes('data plane started')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`tucano_balancer ended with ${code}: ${words}`)))
  })
}

function linkOver(socket: Socket) {
  const lines = createLines(LINE_BYTES_MAX)
  const heard: FromDataPlane[] = []
  const waiting = new Map<(one: FromDataPlane) => boolean, (one: FromDataPlane) => void>()
  socket.on('data', (bytes) => {
    for (const line of lines.feed(bytes)) {
      const read = hearDataPlane(line)
      if (!('message' in read)) throw new Error(`${read.error}: ${line}`)
      const { message } = read
      if (message.kind !== 'counters') heard.push(message)
      for (const [isIt, resolve] of waiting) {
        if (!isIt(message)) continue
        waiting.delete(isIt)
        resolve(message)
      }
    }
  })
  return {
    heard,
    send: (message: ToDataPlane) => void socket.write(`${JSON.stringify(message)}\n`),
    /** The next one of this kind; what was heard before does not count. */
    next: (isIt: (one: FromDataPlane) => boolean): Promise<FromDataPlane> =>
      new Promise((resolve) => waiting.set(isIt, resolve)),
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // It was closed meanwhile.
  }
}

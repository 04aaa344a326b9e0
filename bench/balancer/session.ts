// All that runs during a benchmark: the load process on one core, each proxy on another, twice
// where one with an access log is wanted. Everything is ended by its id when the session is over.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { faultOfLog } from './access-log.ts'
import type { Found, Job } from './load/job.ts'
import type { LoadNews } from './load/main.ts'
import { programPath } from './programs.ts'
import { accessLogOf, type ProxyName } from './proxies.ts'
import { freePort, type RunningProxy, startProxy } from './proxy-process.ts'

export type Session = AsyncDisposable & {
  /** Are proxies and load each on a core of their own? */
  isPinned: boolean
  run(job: Omit<Job, 'port' | 'pid'>, proxy: RunningProxy): Promise<Found>
  proxyOf(name: ProxyName, accessLog: boolean): RunningProxy
  /** Ends the proxies, so that their access logs are whole; what is wrong with those. */
  endProxies(): Promise<string[]>
}

type Log = { name: ProxyName; path: string; requests: number }

const PROXY_CORE = '0'
const LOAD_CORE = '1'

export async function openSession(wanted: {
  proxies: readonly ProxyName[]
  accessLogs: readonly boolean[]
  nodeFlags: readonly string[]
}): Promise<Session> {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'tucano-bench-'))
  opened.defer(() => rmSync(folder, { recursive: true, force: true }))
  const taskset = cpus().length > 1 ? programPath('taskset') : undefined
  const pinTo = (core: string) => (taskset === undefined ? [] : [taskset, '-c', core])

  const load = startLoad(pinTo(LOAD_CORE))
  opened.defer(() => endLoad(load))
  const started = await newsOf(load)
  if (started.kind !== 'started') throw new Error('the load process did not start')

  const running = new Map<string, RunningProxy>()
  /** By the id of the proxy's process. */
  const logs = new Map<number, Log>()
  opened.defer(stopAll)
  for (const name of wanted.proxies) {
    for (const accessLog of wanted.accessLogs) {
      const setting = {
        port: await freePort(),
        origins: started.ports,
        folder: join(folder, `${name}${accessLog ? '-log' : ''}`),
        accessLog,
        user: userInfo().username,
        nodeFlags: wanted.nodeFlags,
      }
      const proxy = await startProxy(name, setting, pinTo(PROXY_CORE))
      running.set(keyOf(name, accessLog), proxy)
      if (accessLog) logs.set(proxy.pid, { name, path: accessLogOf(setting), requests: 0 })
    }
  }

  async function stopAll(): Promise<void> {
    await Promise.all([...running.values()].map((proxy) => proxy.stop()))
  }

  const kept = opened.move()
  return {
    isPinned: taskset !== undefined,
    async run(job, { name, port, pid }) {
      const news = newsOf(load)
      load.send({ ...job, port, pid } satisfies Job)
      const found = await news
      if (found.kind === 'found') {
        const log = logs.get(pid)
        // Frames are no requests: a tunnel is one line.
        if (log !== undefined && job.kind !== 'socket') log.requests += found.found.requests
        return found.found
      }
      throw new Error(`${name}, ${job.kind}, ${job.connections} connections: ${whyOf(found)}`)
    },
    proxyOf(name, accessLog) {
      const proxy = running.get(keyOf(name, accessLog))
      if (proxy === undefined) throw new Error(`${name} was not started`)
      return proxy
    },
    async endProxies() {
      await stopAll()
      return faultsOf([...logs.values()])
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function faultsOf(logs: readonly Log[]): Promise<string[]> {
  const faults: string[] = []
  for (const { name, path, requests } of logs) {
    const fault = await faultOfLog(path, requests)
    if (fault !== undefined) faults.push(`${name}: ${fault}`)
  }
  return faults
}

function startLoad(pin: readonly string[]): ChildProcess {
  const [program, ...words] = [...pin, process.execPath]
  return fork(join(import.meta.dirname, 'load/main.ts'), [], {
    execPath: program as string,
    execArgv: [...words, '--max-semi-space-size=16'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

function newsOf(load: ChildProcess): Promise<LoadNews> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('the load process has ended'))
    load.once('exit', ended)
    load.once('message', (news) => {
      load.off('exit', ended)
      resolve(news as LoadNews)
    })
  })
}

async function endLoad(load: ChildProcess): Promise<void> {
  if (load.exitCode !== null || load.signalCode !== null) return
  const ended = once(load, 'exit')
  load.kill('SIGKILL')
  await ended
}

function whyOf(news: LoadNews): string {
  return news.kind === 'failed' ? news.message : news.kind
}

function keyOf(name: ProxyName, accessLog: boolean): string {
  return `${name} ${accessLog}`
}

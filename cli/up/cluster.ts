// A controller and its agents on this machine: started in order, started again when one ends
// unasked, stopped in order so that nothing stays behind.

import { join } from 'node:path'
import type { Screen } from '#cli/screen.ts'
import { TucanoError } from '#shared/errors.ts'
import { type Daemon, startDaemon } from './daemon.io.ts'
import {
  BALANCER,
  daemonsOf,
  type Found,
  haveEnded,
  isRunning,
  killAll,
  programsOf,
  signal,
} from './own-processes.io.ts'
import type { StateFolder } from './state-folder.io.ts'
import {
  agentFolder,
  agentText,
  contextText,
  controllerUrl,
  type Ports,
  topologyText,
  WORKERS_MAX,
  workerName,
} from './up-files.ts'

export const CONTROLLER = 'controller'
const PACKAGE = join(import.meta.dirname, '..', '..')
const READY_MS = 30_000
const LOOK_MS = 50
/** A daemon stops itself within 40 s; programs have their own grace within that. */
const STOP_MS = 45_000
const RESTART_PAUSE_MS = 1_000
const RESTARTS_MAX = 5
const RESTARTS_WITHIN_MS = 60_000

export type Cluster = {
  /** Resolves when the controller answers. */
  startController(): Promise<void>
  startAgents(): void
  /** From now on a daemon that ends is started again. */
  keepRunning(): void
  /** Rejects with the last lines of a daemon that cannot be kept running. */
  broken: Promise<never>
  stop(): Promise<void>
}

export type ClusterPorts = {
  screen: Screen
  folder: StateFolder
  ports: Ports
  signal: AbortSignal
}

export function createCluster({ screen, folder, ports, signal: ending }: ClusterPorts): Cluster {
  const { path } = folder
  const running = new Map<string, Daemon>()
  const starts = new Map<string, number[]>()
  const { promise: broken, reject: giveUp } = Promise.withResolvers<never>()
  broken.catch(() => {}) // It is looked at by whoever waits for it.
  let isSteady = false
  let isStopping = false

  const start = (name: string, argv: readonly string[]): void => {
    const daemon = startDaemon({ name, folder: path, argv, logFile: logOf(path, name) })
    running.set(name, daemon)
    daemon.ended.then((how) => {
      if (isStopping) return
      if (!isSteady || !mayRestart(starts, name)) {
        giveUp(endedEarly(path, daemon, how))
        return
      }
      screen.note(`${name} ended (${how}); it is started again`)
      setTimeout(() => {
        if (!isStopping) start(name, argv)
      }, RESTART_PAUSE_MS)
    })
  }

  return {
    broken,
    async startController() {
      await folder.write('context.json', contextText(ports))
      const config = join(path, 'topology.yaml')
      start(CONTROLLER, [join(PACKAGE, 'ctld', 'main.ts'), '--config', config])
      await Promise.race([untilReady(ports, ending), broken])
    },
    startAgents() {
      for (const index of ports.agents.keys()) {
        const config = join(path, 'agents', `${workerName(index)}.yaml`)
        const main = join(PACKAGE, 'agentd', 'main.ts')
        start(workerName(index), [main, '--config', config, '--stop-programs-on-exit'])
      }
    },
    keepRunning() {
      isSteady = true
    },
    async stop() {
      isStopping = true
      // The balancer is the controller's own, and outlives it.
      const balancers = daemonsOf(path).filter(({ name }) => name === BALANCER)
      await stopDaemons(screen, [...running.values(), ...balancers])
      const left = () => [...daemonsOf(path), ...programsOf(everyAgentFolder(path))]
      const killed = await killAll(left)
      if (killed > 0) screen.note(`${killed} processes did not end in time and were killed`)
    },
  }
}

/** Programs of agents that are not started any more; those of the others are adopted. */
export async function stopStrays(path: string, ports: Ports): Promise<void> {
  const inUse = new Set(ports.agents.map((_, index) => agentFolder(path, index)))
  const others = everyAgentFolder(path).filter((folder) => !inUse.has(folder))
  await killAll(() => programsOf(others))
}

/** Daemons of an `up` that was killed: their ports and their data are needed. */
export async function stopLeftovers(screen: Screen, path: string): Promise<void> {
  const left = daemonsOf(path)
  if (left.length === 0) return
  const names = left.map(({ name, pid }) => `${name} (${pid})`).join(', ')
  screen.note(`an earlier tucano up was killed and left these running: ${names}; stopping them`)
  await stopDaemons(screen, left)
  await killAll(() => daemonsOf(path))
}

export async function writeFiles(folder: StateFolder, ports: Ports): Promise<void> {
  const kept = await folder.readPorts()
  const isSame = JSON.stringify(kept) === JSON.stringify(ports)
  // The file may have been changed by `tucano config put`: it is kept while it still fits.
  if (!isSame) {
    await folder.write('topology.yaml', topologyText(folder.path, ports))
    await folder.savePorts(ports)
  }
  for (const index of ports.agents.keys()) {
    await folder.write(
      join('agents', `${workerName(index)}.yaml`),
      agentText(folder.path, ports, index),
    )
  }
}

/**
 * First the agents, which stop what they run, while the controller still hears of it; then the
 * controller, which would start its balancer again; then that.
 */
async function stopDaemons(screen: Screen, all: readonly Found[]): Promise<void> {
  const controllers = all.filter(({ name }) => name === CONTROLLER)
  const balancers = all.filter(({ name }) => name === BALANCER)
  const agents = all.filter((one) => !controllers.includes(one) && !balancers.includes(one))
  for (const group of [agents, controllers, balancers]) {
    const alive = group.filter(isRunning)
    if (alive.length === 0) continue
    screen.note(`stopping ${alive.map(({ name }) => name).join(', ')}`)
    for (const daemon of alive) {
      signal(daemon, 'SIGTERM')
      // One that was halted, to see what the cluster does then, could not stop itself.
      signal(daemon, 'SIGCONT')
      // Nothing that it could lead to runs any more: it need not wait for its clients.
      if (daemon.name === BALANCER) signal(daemon, 'SIGTERM')
    }
    if (await haveEnded(alive, STOP_MS)) continue
    for (const daemon of alive.filter(isRunning)) {
      screen.note(`${daemon.name} does not stop; killing it`)
      signal(daemon, 'SIGKILL')
    }
  }
}

async function untilReady(ports: Ports, ending: AbortSignal): Promise<void> {
  const ends = performance.now() + READY_MS
  for (;;) {
    const response = await fetch(`${controllerUrl(ports)}/readyz`, {
      signal: AbortSignal.any([ending, AbortSignal.timeout(READY_MS)]),
    }).catch(() => undefined) // Nothing listens there yet.
    await response?.body?.cancel()
    if (response?.ok === true || ending.aborted) return
    if (performance.now() >= ends) {
      throw new TucanoError('timeout', `the controller is not ready after ${READY_MS / 1_000} s`)
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

function mayRestart(starts: Map<string, number[]>, name: string): boolean {
  const now = performance.now()
  const recent = (starts.get(name) ?? []).filter((at) => at > now - RESTARTS_WITHIN_MS)
  starts.set(name, [...recent, now])
  return recent.length < RESTARTS_MAX
}

function endedEarly(path: string, daemon: Daemon, how: string): TucanoError {
  const last = daemon.lastLines()
  const isPort = last.some((line) => line.includes('is in use by another program'))
  const lines = last.map((line) => `  | ${line}`)
  const head = `${daemon.name} ended (${how}); its last lines (${logOf(path, daemon.name)}):`
  return new TucanoError(isPort ? 'port_taken' : 'agent_failed', [head, ...lines].join('\n'))
}

function everyAgentFolder(path: string): string[] {
  return Array.from({ length: WORKERS_MAX }, (_, index) => agentFolder(path, index))
}

function logOf(path: string, name: string): string {
  return join(path, 'logs', `${name}.log`)
}

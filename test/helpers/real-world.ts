// The controller's own world without its loop: nodes that are alive, the real folds and the real
// deployer, and agents and a balancer that take as long as the test says.

import type { DeployGiven } from '#ctld/deployer/deployer.ts'
import type { Action } from '#ctld/deployer/reconcile.ts'
import { type FoldCommand, foldCommand } from '#ctld/discovery/fold-command.ts'
import { foldInstance } from '#ctld/discovery/fold-instance.ts'
import { foldNodeState, foldTopology } from '#ctld/discovery/fold-node.ts'
import { createWorld, unseen, type World } from '#ctld/discovery/world.ts'
import { isServing } from '#ctld/instance.ts'
import { deployAndMove } from '#ctld/moves.ts'
import { holdTrials } from '#ctld/trials.ts'
import type { NodeMetrics } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'

const START = 1_700_000_000_000

export const METRICS: NodeMetrics = {
  cpu: 0,
  cores: 4,
  load: 0,
  memory_total: 8 * 1024 ** 3,
  memory_used: 0,
  disk_total: 1,
  disk_used: 0,
  net_rx_per_s: 0,
  net_tx_per_s: 0,
}

/** An action with the names of what it is about: the instance may be gone afterwards. */
export type Taken = { action: Action; instance: string | undefined; service: string; node: string }

export type Times = { startMs: number; drainMs: number; stopMs: number }

export type RealWorld = ReturnType<typeof createRealWorld>

/** `nodes`: name and labels, as the topology has them: `{ name: 'w1', labels: '{zone: a}' }`. */
export function createRealWorld(nodes: readonly { name: string; labels?: string }[], keys = '') {
  const machines = nodes.map(
    ({ name, labels = '{}' }, index) =>
      `  - { name: ${name}, kind: worker, ip: 10.${index >> 8}.${index & 255}.7, labels: ${labels} }`,
  )
  const text = [
    'topology:',
    '  - { name: c, kind: ctl, ip: 10.9.0.1 }',
    ...machines,
    keys,
    '',
  ].join('\n')
  const config = parseTopology(text, 'topology.yaml')
  const loaded = {
    document: undefined,
    instances: [],
    deployments: [],
    lastEventCursor: 0,
    notices: [],
  }
  const world = createWorld(loaded, config, START)
  foldTopology(world, START)
  for (const { name } of nodes) {
    const sighting = { hasReported: true, wasSeen: true, metrics: METRICS, metricsAt: START }
    world.seen.set(name, { ...unseen(START), ...sighting })
    foldNodeState(world, name, 'alive', 'reports', START)
    const mark = world.tables.nodes.get(name)
    const size = { cores: METRICS.cores, memory: METRICS.memory_total }
    if (mark !== undefined) world.tables.nodes.put(name, { ...mark, size, isolation: 'v2' })
  }
  return control(world)
}

function control(world: World) {
  const routed = new Set<string>()
  const due = new Map<string, number>()
  let births = 0
  const real = {
    world,
    routed: routed as ReadonlySet<string>,
    now: START,
    command(command: FoldCommand['command']) {
      births += 1
      return foldCommand(world, { command, newId: () => `d${births}` }, real.now)
    },

    /** Lets the loop, the agents and the balancer work until nothing changes; what was done. */
    run(times: Times = { startMs: 700, drainMs: 50, stopMs: 300 }, turnsMax = 5_000): Taken[] {
      const taken: Taken[] = []
      for (let turn = 0; turn < turnsMax; turn += 1) {
        const before = taken.length
        const meter = { figures: () => undefined }
        const judgedAt = holdTrials(world, { ...given(taken), meter }, real.now)
        const moved = deployAndMove(world, given(taken), real.now)
        foldTopology(world, real.now)
        const wakeAt = Math.min(judgedAt, moved.wakeAt)
        const next = Math.min(wakeAt, ...dues(times).map(([, at]) => at))
        if (next === Number.POSITIVE_INFINITY && taken.length === before) return taken
        if (next !== Number.POSITIVE_INFINITY) real.now = Math.max(real.now, next)
        for (const [act, at] of dues(times)) if (at <= real.now) act()
      }
      throw new Error(`not at rest after ${turnsMax} turns`)
    },
  }

  function given(taken: Taken[]): DeployGiven {
    return {
      newId: () => {
        births += 1
        return `i${String(births).padStart(6, '0')}`
      },
      routed,
      isDurable: true,
      onAction(action, id) {
        const instance = id === undefined ? undefined : world.tables.instances.get(id)
        const service = 'service' in action ? action.service : (instance?.service ?? '')
        const node = 'node' in action ? action.node : (instance?.node ?? '')
        taken.push({ action, instance: id, service, node })
      },
    }
  }

  function dues(times: Times): [act: () => void, at: number][] {
    return world.tables.instances.values().flatMap((instance): [() => void, number][] => {
      const { id, state, attempt, stopTry, retryAt, node } = instance
      if (isServing(instance)) routed.add(id)
      const at = (what: string, ms: number) => {
        const key = `${id} ${what} ${attempt}`
        due.set(key, due.get(key) ?? real.now + ms)
        return due.get(key) ?? 0
      }
      if (state === 'terminating' && stopTry === 0 && routed.has(id)) {
        return [[() => routed.delete(id), at('drain', times.drainMs)]]
      }
      if (world.tables.nodes.get(node)?.state !== 'alive') return []
      if (stopTry > 0 && (state === 'terminating' || state === 'pre_terminating')) {
        const stopped = () => foldInstance(world, id, { kind: 'terminated' }, real.now)
        return [[stopped, at('stop', times.stopMs)]]
      }
      if (state !== 'deploying' || retryAt !== undefined) return []
      const event = { kind: 'started', port: 20_000, pid: 1, restarts: 0 } as const
      return [[() => foldInstance(world, id, event, real.now), at('start', times.startMs)]]
    })
  }

  return real
}

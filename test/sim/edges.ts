// The smaller edges of the simulated daemons: configuration, images, sensors, ids, logs and the
// pace of a disk.

import { PrepareError } from '#agentd/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import type { NodeMetrics } from '#shared/model.ts'
import type { Clock, Ids, Log } from '#shared/ports.ts'
import type { Random } from '#test/helpers/seeds.ts'
import type { Life } from './life.ts'

/** The controller's name. */
export const CONTROLLER = 'c1'

export function topologyText(controller: string, names: readonly string[]): string {
  const workers = names.map(
    (name, index) => `  - { name: ${name}, kind: worker, ip: 10.0.0.${index + 11} }`,
  )
  return [
    'topology:',
    `  - { name: ${controller}, kind: ctl, ip: 10.0.0.1 }`,
    ...workers,
    'store: { folder: /data }',
    '',
  ].join('\n')
}

/** Each step of a disk takes a moment, so that a kill can fall between any two of them. */
export function pauseOf(clock: Clock, random: Random): () => Promise<void> {
  return () => new Promise((resolve) => clock.after(random.random() * 0.5, resolve))
}

export function imagesOf(life: Life, random: Random, brokenShare: () => number) {
  return {
    async prepare(_: unknown, onPhase: (phase: 'fetching' | 'building') => void) {
      onPhase('fetching')
      await life.guard(
        new Promise<void>((resolve) => life.clock.after(random.random() * 300, resolve)),
      )
      if (random.chance(brokenShare())) throw new PrepareError({ error: 'the download broke off' })
      return { folder: '/image' }
    },
    retain: async () => {},
  }
}

/** What a machine measures that has little to do. */
export const AT_REST: NodeMetrics = {
  cpu: 0.2,
  cores: 2,
  load: 0.3,
  memory_total: 8e9,
  memory_used: 2e9,
  disk_total: 1e11,
  disk_used: 1e10,
  net_rx_per_s: 0,
  net_tx_per_s: 0,
}

export function refused(name: string): TucanoError {
  return new TucanoError('agent_failed', `connection to ${name} refused`)
}

export function idsOf(clock: Clock, who: string): Ids {
  let count = 0
  return {
    next() {
      count += 1
      const at = Math.floor(clock.wall()).toString(16).padStart(12, '0')
      return `${at}-${String(count).padStart(5, '0')}-${who}`
    },
  }
}

export function logOf(who: string, note: (text: string) => void): Log {
  const say = (fields: Record<string, unknown>, text: string) =>
    note(`  ${who}: ${text} ${JSON.stringify(fields)}`)
  return { debug: () => {}, info: say, warn: say, error: say }
}

// What the simulated services say of their health: checks of every kind, and what their agents do
// in a silence. And a fault: a program that is not ready, or does not live, for a while.

import type { Random } from '#test/helpers/seeds.ts'
import type { SimWorld } from './world.ts'

const READY = '/ready'
const ALIVE = 'alive'
const http = (path: string) => ({ http: { path }, interval: '1s' })

/** Keys of a service's configuration. */
export function healthKeys(random: Random): object {
  const startup = random.chance(0.3) ? { startup: http('/started') } : {}
  const checks = {
    ...startup,
    readiness: http(READY),
    ...(random.chance(0.7) ? { liveness: { command: [ALIVE], interval: '2s' } } : {}),
  }
  return {
    ...(random.chance(0.4) ? { checks } : {}),
    ...(random.chance(0.4) ? { on_partition: { stop_after: random.pick(['8s', '30s']) } } : {}),
  }
}

export function makeSick(world: SimWorld): void {
  const { random, agents, clock } = world
  const hosts = [...agents.values()].filter(({ machine }) => machine.running().length > 0)
  if (hosts.length === 0) return
  const { machine } = random.pick(hosts)
  const { id } = random.pick(machine.running())
  const name = random.pick([READY, ALIVE, undefined])
  world.note(`${id} is sick (${name ?? 'all checks'})`)
  machine.setHealthy(id, false, name)
  clock.after(random.int(1_000, 40_000), () => {
    world.note(`${id} is well (${name ?? 'all checks'})`)
    machine.setHealthy(id, true, name)
  })
}

// What tests of one loop share: a rig on a clock that the test moves, and small waits for facts.

import { onTestFinished } from 'vitest'
import type { Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { Clock } from '#shared/ports.ts'
import { createRig, type Rig } from '#test/ctld/balancer/rig.ts'
import { createManualClock, type ManualClock } from '#test/helpers/manual-clock.ts'
import { createOrigin, ok, type Seen } from './origin.ts'

/** As a manual clock, but `after(0)` is at once: what closes does not wait for the test. */
export function createStandingClock(): ManualClock {
  const clock = createManualClock()
  const after: Clock['after'] = (ms, call) =>
    ms <= 0 ? machineClock.after(0, call) : clock.after(ms, call)
  return { ...clock, after }
}

/** A rig whose time stands until the test moves it; it is closed after the test. */
export async function standingRig(settings: Partial<Settings> = {}) {
  const clock = createStandingClock()
  const rig = await liveRig(settings, clock)
  return { rig, clock }
}

export async function liveRig(settings: Partial<Settings> = {}, clock: Clock = machineClock) {
  const rig = await createRig(clock, settings)
  onTestFinished(() => rig[Symbol.asyncDispose]())
  return rig
}

/** Asked again in every turn of the event loop. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn()
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Enough of them for a piece to go from one end of the process to the other, and back. */
export async function turns(count = 30): Promise<void> {
  for (let at = 0; at < count; at += 1) await turn()
}

export async function origins(rig: Rig, ...serves: ((seen: Seen) => void)[]) {
  return Promise.all(serves.map((serve) => createOrigin(rig, serve ?? ok)))
}

export function service(rig: Rig, name = 'api') {
  const counters = rig.plane.counters().services[name]
  if (counters === undefined) throw new Error(`no service ${name}`)
  return counters
}

export function instance(rig: Rig, id: string, name = 'api') {
  const counters = service(rig, name).instances[id]
  if (counters === undefined) throw new Error(`no instance ${id}`)
  return counters
}

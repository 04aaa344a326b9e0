// Turns the counts of the data plane, which only grow, into what happened between two looks at
// them: by service, and by the program that served it. Pure but for what it remembers.

import type { DataPlaneCounters, ServiceCounters } from '#ctld/balancer/data-plane/counters.ts'
import { add, addLatencies, newTally, ofInstance, ofService, since, type Tally } from './tally.ts'

/** What one service did between two instants. */
export type Sample = {
  from: number
  to: number
  /** As its clients saw it; the times are those of its instances. */
  all: Tally
  programs: ReadonlyMap<number, Tally>
}

export type Look = {
  /** Of a service's instance; undefined: nobody knows it any more. */
  programOf(service: string, instance: string): number | undefined
  /** It cannot have served before the deployment that is on trial: all of its counts are news. */
  isNew(service: string, instance: string): boolean
}

type Last = { all: Tally; instances: Map<string, Tally> }

export type Samples = {
  /** What happened since the last call, by service. */
  take(counters: DataPlaneCounters, look: Look, now: number): Map<string, Sample>
}

export function createSamples(): Samples {
  let startedAt: number | undefined
  let lastAt: number | undefined
  let lasts = new Map<string, Last>()

  function sampleOf(name: string, own: ServiceCounters, look: Look, now: number) {
    const last = lasts.get(name)
    // A former life of this controller may have seen what was counted before the first look.
    const isFirst = lastAt === undefined
    const zero = newTally()
    const total = ofService(own)
    const all = since(last?.all ?? (isFirst ? total : zero), total)
    const programs = new Map<number, Tally>()
    const instances = new Map<string, Tally>()
    for (const [id, counted] of Object.entries(own.instances)) {
      const is = ofInstance(counted)
      instances.set(id, is)
      const was = last?.instances.get(id) ?? (isFirst && !look.isNew(name, id) ? is : zero)
      const more = since(was, is)
      if (more.requests === 0 && more.failed === 0) continue
      addLatencies(all, more.latencies)
      const program = look.programOf(name, id)
      if (program === undefined) continue
      const sum = programs.get(program) ?? newTally()
      add(sum, more)
      programs.set(program, sum)
    }
    const sample: Sample = { from: lastAt ?? now, to: now, all, programs }
    return { sample, last: { all: total, instances } }
  }

  return {
    take(counters, look, now) {
      // Another data plane: it counts from the start.
      if (startedAt !== undefined && startedAt !== counters.startedAt) lasts = new Map()
      startedAt = counters.startedAt
      const samples = new Map<string, Sample>()
      const next = new Map<string, Last>()
      for (const [name, own] of Object.entries(counters.services)) {
        const { sample, last } = sampleOf(name, own, look, now)
        next.set(name, last)
        if (sample.all.requests > 0 || sample.programs.size > 0) samples.set(name, sample)
      }
      lasts = next
      lastAt = now
      return samples
    },
  }
}

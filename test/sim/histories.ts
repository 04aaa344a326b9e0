// Runs many histories and says which seed broke a promise, with the end of its trace.

import { runScenario } from './scenario.ts'
import type { Sabotage } from './world.ts'

const TRACE_LINES = 40

/** Throws at the first seed that breaks a promise. */
export async function holdFor(from: number, count: number): Promise<void> {
  for (let seed = from; seed < from + count; seed += 1) {
    const { violation, world } = await runScenario(seed)
    if (violation === undefined) continue
    const trace = world.trace
      .slice(-TRACE_LINES)
      .map(({ at, text }) => `${(at / 1_000).toFixed(3).padStart(9)} ${text}`)
    throw new Error(
      `seed ${seed}: ${violation} (SEED=${seed} npm run sim replays it)\n${trace.join('\n')}`,
    )
  }
}

/** The first violation that a planted fault leads to; undefined: it was not found. */
export async function find(sabotage: Sabotage, seeds: number): Promise<string | undefined> {
  for (let seed = 0; seed < seeds; seed += 1) {
    const { violation } = await runScenario(seed, sabotage)
    if (violation !== undefined) return violation
  }
  return undefined
}

// `SEED=n npm run sim` replays one history with its trace; without SEED it runs SEEDS of them
// (default 100) from FROM (default 0) and stops at the first that breaks a promise.

import { runScenario } from './scenario.ts'

const only = process.env.SEED
const from = Number(process.env.FROM ?? 0)
const count = Number(process.env.SEEDS ?? 100)
const seeds =
  only === undefined ? Array.from({ length: count }, (_, i) => from + i) : [Number(only)]

for (const seed of seeds) {
  const { violation, world } = await runScenario(seed)
  if (violation === undefined && only === undefined) continue
  for (const { at, text } of world.trace) {
    process.stdout.write(`${(at / 1_000).toFixed(3).padStart(9)} ${text}\n`)
  }
  process.stdout.write(`seed ${seed}: ${violation ?? 'all promises held'}\n`)
  if (violation !== undefined) process.exit(1)
}
if (only === undefined) process.stdout.write(`${count} seeds from ${from}: all promises held\n`)
process.exit(0)

// What it costs to look ahead: a copy of the world, whole forecasts, and one look at whether any
// worker may be lost. Run: npm run bench:foresight [-- --nodes 50 --instances 1000 --json]

import { parseArgs } from 'node:util'
import { spareFactsOf } from '#ctld/deployer/deployer.ts'
import { lookoutFrom } from '#ctld/deployer/spare.ts'
import { scratchOf } from '#ctld/discovery/scratch.ts'
import { forecast, placesOf } from '#ctld/forecast.ts'
import { foldWhatIf, type WhatIf } from '#ctld/what-if.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { createRealWorld, type RealWorld } from '#test/helpers/real-world.ts'

const EACH = 50

type Result = { what: string; actions: number; turns: number; ms: number; longestTurnMs: number }

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '50' },
    instances: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const real = clusterOf(Number(values.nodes), Number(values.instances))
const changed = { env: { V: '2' }, update: { min_healthy: '5s' } }
const results: Result[] = [
  lookAhead('kill of one worker', { kill: ['w1'] }),
  lookAhead('rolling update of 50', {
    commands: [{ kind: 'deploy', config: configOf('s0', EACH, changed) }],
  }),
  lookAhead('drain of one worker', { commands: [{ kind: 'drain', node: 'w1' }] }),
  spareLook(),
]
if (values.json) console.log(JSON.stringify({ ...values, results }, null, 2))
else {
  console.log(`${values.nodes} workers, ${values.instances} instances`)
  console.table(results)
}

function clusterOf(nodes: number, instances: number): RealWorld {
  const names = Array.from({ length: nodes }, (_, index) => ({ name: `w${index + 1}` }))
  const made = createRealWorld(names)
  for (let index = 0; index * EACH < instances; index += 1) {
    const concurrency = Math.min(EACH, instances - index * EACH)
    made.command({ kind: 'deploy', config: configOf(`s${index}`, concurrency) })
  }
  made.run()
  return made
}

/** The same work as the controller does for a plan, turn by turn. */
function lookAhead(what: string, whatIf: WhatIf): Result {
  const { world, routed, now } = real
  const began = performance.now()
  const scratch = scratchOf(world)
  const before = placesOf(world)
  foldWhatIf(scratch, whatIf, now)
  const turns = forecast(scratch, { routed, isDurable: true, before }, now)
  let longest = 0
  for (let count = 1; ; count += 1) {
    const turnBegan = performance.now()
    const turn = turns.next()
    longest = Math.max(longest, performance.now() - turnBegan)
    if (turn.done !== true) continue
    const actions = turn.value.actions.length
    return { what, actions, turns: count, ms: since(began), longestTurnMs: round(longest) }
  }
}

function spareLook(): Result {
  const facts = spareFactsOf(real.world)
  const began = performance.now()
  const lookout = lookoutFrom(facts)
  const lacks = facts.nodes.flatMap(({ name }) => lookout(name))
  const ms = since(began)
  return {
    what: 'may any worker be lost',
    actions: lacks.length,
    turns: 1,
    ms,
    longestTurnMs: ms,
  }
}

function since(began: number): number {
  return round(performance.now() - began)
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}

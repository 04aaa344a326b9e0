// tucano explain: where a service's next instance would go, and of every node why, or why not.

import type { ExplainAnswer } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import type { Cell, Column } from './table.ts'

const columns: readonly Column[] = [
  { title: 'NODE', least: 10 },
  { title: 'ORDER', align: 'right' },
  { title: 'HAS', align: 'right' },
  { title: 'WHY, OR WHY NOT', least: 30, wraps: true },
]

export const explain: Command = {
  name: 'explain',
  summary: 'Where the next instance would go, and why',
  words: 'SERVICE',
  options: [],
  details: `ORDER: 1 is the node that would get the next instance; no: it may not have one.
HAS: instances of the service on it. --wide keeps each node on one line.`,
  async run({ words, screen, client }) {
    const path = `${servicePath(words[0] ?? '')}/explain`
    const answer = await (await client()).get<ExplainAnswer>(path)
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    const { service, held, wanted, next, nowhere, rule, nodes, pending } = answer
    const goes = next === null ? `no node can take another: ${nowhere}` : `the next one: ${next}`
    screen.line(`${service}: ${held} of ${wanted} placed; ${goes}`)
    screen.line(rule)
    screen.line()
    screen.table(columns, nodes.map(rowOf))
    for (const { count, why } of pending) screen.line(`${count} without a place: ${why}`)
    return 0
  },
}

function rowOf({ node, verdict, order, instances, why, why_not }: Node): Cell[] {
  const tones = { next: 'good', possible: undefined, refused: 'dim' } as const
  const reasons = verdict === 'next' ? why : [...why_not, ...(verdict === 'possible' ? why : [])]
  return [
    { text: node, tone: tones[verdict] },
    order === null ? 'no' : String(order),
    String(instances),
    reasons.join('; '),
  ]
}

type Node = ExplainAnswer['nodes'][number]

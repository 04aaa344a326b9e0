// tucano nodes: the workers, their state and how busy they are.

import { durationText } from '#shared/duration.ts'
import type { NodeAnswer, NodesAnswer } from './answers.ts'
import type { Command } from './command.ts'
import type { Cell, Column } from './table.ts'
import { bytesText, nodeState, percent, since } from './words.ts'

const columns: readonly Column[] = [
  { title: 'NODE', least: 10 },
  { title: 'STATE', least: 8 },
  { title: 'ADDRESS', least: 15 },
  { title: 'CPU', align: 'right' },
  { title: 'MEMORY', align: 'right' },
  { title: 'DISK', align: 'right' },
  { title: 'INSTANCES', align: 'right' },
  { title: 'LIMITS' },
  { title: 'SINCE', align: 'right' },
]
const wideColumns: readonly Column[] = [
  { title: 'MEMORY TOTAL', align: 'right' },
  { title: 'LAST REPORT', align: 'right' },
  { title: 'AGENT' },
  { title: 'RUNS AS' },
  { title: 'LABELS' },
  { title: 'WHY' },
]

export const nodes: Command = {
  name: 'nodes',
  summary: 'Workers: state, load and number of instances',
  words: '',
  options: [],
  async run({ screen, client, now }) {
    const answer = await (await client()).get<NodesAnswer>('/v1/nodes')
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    const rows = answer.nodes.map((node) => [
      ...rowOf(node, now()),
      ...(screen.wide ? wideCells(node) : []),
    ])
    screen.table(screen.wide ? [...columns, ...wideColumns] : columns, rows)
    if (answer.frozen !== null) {
      const { nodes, since: at } = answer.frozen
      screen.line()
      screen.line(
        `${nodes.join(', ')} vanished together ${since(at, now())} ago: nothing is moved.`,
      )
      screen.line('If they are really gone: tucano unfreeze')
    }
    for (const line of spareLines(answer)) screen.line(line)
    return 0
  },
}

const LACKS_SHOWN_MAX = 5

/** One calm line where there is but one worker; it is known, and nothing to be done about now. */
function spareLines({ spare }: NodesAnswer): string[] {
  if (spare?.state === 'single') return ['', 'One worker is open: whatever it runs has no other.']
  if (spare?.state !== 'lacking') return []
  const more = spare.lacks.length - LACKS_SHOWN_MAX
  return [
    '',
    ...spare.lacks
      .slice(0, LACKS_SHOWN_MAX)
      .map(
        ({ service, node, count, why }) =>
          `If ${node} were lost, ${count} of ${service} would have no place: ${why}`,
      ),
    ...(more > 0 ? [`and ${more} more; see: tucano nodes --json`] : []),
  ]
}

function rowOf(node: NodeAnswer, now: number): Cell[] {
  const { metrics } = node
  return [
    node.name,
    nodeState(node),
    `${node.ip}:${node.agent_port}`,
    metrics === null ? '' : percent(metrics.cpu),
    metrics === null ? '' : percent(metrics.memory_used / metrics.memory_total),
    metrics === null ? '' : percent(metrics.disk_used / metrics.disk_total),
    String(node.instanceCount),
    node.isolation?.mode ?? '',
    since(node.changedAt, now),
  ]
}

function wideCells(node: NodeAnswer): Cell[] {
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)
  return [
    node.metrics === null ? '' : bytesText(node.metrics.memory_total),
    node.silentMs === null ? 'never' : durationText(node.silentMs),
    node.agentVersion ?? '',
    node.isolation?.user ?? '',
    labels.join(','),
    node.why,
  ]
}

// tucano history: the revisions of a service that are kept, and how its deployments went.

import type { Deployment } from '#shared/model.ts'
import type { HistoryAnswer } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { receiptText } from './receipt.ts'
import type { Cell, Column, Tone } from './table.ts'
import { since } from './words.ts'

const KEYS_SHOWN_MAX = 6

const revisionColumns: readonly Column[] = [
  { title: 'REVISION', align: 'right' },
  { title: 'SINCE', align: 'right' },
  { title: 'INSTANCES', align: 'right' },
  { title: 'STATE' },
  { title: 'CHANGED', least: 16 },
]

const deploymentColumns: readonly Column[] = [
  { title: 'SINCE', align: 'right' },
  { title: 'KIND' },
  { title: 'REVISION', align: 'right' },
  { title: 'STATE' },
  { title: 'WHY', least: 16 },
  { title: 'RECEIPT', least: 16 },
]

export const history: Command = {
  name: 'history',
  summary: 'Revisions of a service and their deployments',
  words: 'SERVICE',
  options: [],
  details: `STATE of a revision: declared is what shall run, good is what the service goes
back to when a deployment fails, worked is what was good before. To go back
yourself: tucano rollback SERVICE REVISION`,
  async run({ words: [service = ''], screen, client, now }) {
    const api = await client()
    const answer = await api.get<HistoryAnswer>(servicePath(service, '/history'))
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    const { revisions, deployments } = answer
    screen.table(
      revisionColumns,
      revisions
        .toReversed()
        .map((one): Cell[] => [
          String(one.revision),
          since(one.at, now()),
          String(one.instances),
          stateOf(answer, one),
          keysText(one.changed),
        ]),
    )
    screen.line()
    screen.table(
      deploymentColumns,
      deployments.map((one) => deploymentRow(one, now())),
    )
    return 0
  },
}

function stateOf(
  { revision, goodRevision }: HistoryAnswer,
  one: HistoryAnswer['revisions'][number],
): Cell {
  const isGood = one.revision === goodRevision
  const words = [isGood ? 'good' : one.worked ? 'worked' : '']
  if (one.revision === revision) words.unshift('declared')
  const text = words.filter((word) => word !== '').join(', ')
  return isGood ? { text, tone: 'good' } : text
}

function keysText(keys: readonly string[] | null): string {
  if (keys === null) return ''
  const more = keys.length > KEYS_SHOWN_MAX ? ` and ${keys.length - KEYS_SHOWN_MAX} more` : ''
  return `${keys.slice(0, KEYS_SHOWN_MAX).join(', ')}${more}`
}

function deploymentRow(one: Deployment, now: number): Cell[] {
  return [
    since(one.createdAt, now),
    one.kind,
    String(one.revision),
    { text: one.state, tone: toneOf(one) },
    one.why,
    receiptText(one) ?? '',
  ]
}

function toneOf({ state }: Deployment): Tone | undefined {
  if (state === 'reverted' || state.startsWith('incomplete_')) return 'bad'
  if (state.startsWith('complete_')) return 'good'
  return state === 'superseded' ? 'dim' : 'warn'
}

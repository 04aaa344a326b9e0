// The table of instances that ps, show and deploy print, and the lines in which a change of
// theirs is told.

import type { Instance } from '#shared/model.ts'
import type { Screen } from './screen.ts'
import type { Cell, Column } from './table.ts'
import { instanceState, shortIds, since } from './words.ts'

const columns: readonly Column[] = [
  { title: 'INSTANCE' },
  { title: 'SERVICE', least: 10 },
  { title: 'NODE', least: 8 },
  { title: 'PORT', align: 'right' },
  { title: 'STATE', least: 8 },
  { title: 'RESTARTS', align: 'right' },
  { title: 'SINCE', align: 'right' },
]
const revisionColumn: Column = { title: 'REVISION', align: 'right' }
const whyColumn: Column = { title: 'WHY' }

/** Sorted by service, node and id; with --wide whole ids and the reason of each state. */
export function printInstances(
  screen: Screen,
  instances: readonly Instance[],
  now: number,
  options: { revisions?: boolean } = {},
): void {
  const revisions = options.revisions === true
  const short = screen.wide ? (id: string) => id : shortIds(instances.map(({ id }) => id))
  const rows = bySeat(instances).map((instance): Cell[] => [
    short(instance.id),
    instance.service,
    instance.node,
    instance.port === undefined ? '' : String(instance.port),
    instanceState(instance),
    String(instance.restarts),
    since(instance.changedAt, now),
    ...(revisions ? [String(instance.revision)] : []),
    instance.why,
  ])
  const shown = revisions ? [...columns, revisionColumn] : columns
  screen.table(screen.wide ? [...shown, whyColumn] : shown, rows)
}

export function bySeat(instances: readonly Instance[]): Instance[] {
  const key = ({ service, node, id }: Instance) => `${service} ${node} ${id}`
  return instances.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
}

/**
 * Tells what changed since it last looked: `w1  3f2a9c01  building`. What stood there at the
 * first look and already runs is not news, nor is a try that fails like the one before it.
 */
export function createInstanceTeller(): (instances: readonly Instance[]) => Instance[] {
  const told = new Map<string, string>()
  let isFirst = true
  return (instances) => {
    const news = bySeat(instances).filter((instance) => {
      const text = newsOf(instance)
      const was = told.get(instance.id)
      told.set(instance.id, text)
      if (was === undefined && isFirst) return instance.state === 'deploying'
      return was !== text
    })
    isFirst = false
    return news
  }
}

/** It starts again after a try that failed: the steps of the next tries are not news. */
export function isRetrying({ state, failure }: Instance): boolean {
  return state === 'deploying' && failure !== undefined
}

function newsOf(instance: Instance): string {
  const { failure } = instance
  if (!isRetrying(instance) || failure === undefined) return instanceState(instance).text
  // Numbers aside: a port or a process number is another one at each try.
  return `failed: ${failure.error.replaceAll(/\d+/g, '#')}`
}

// How what would happen is shown: the actions in order with their reasons, where each service would
// stand, and what would have no place.

import { durationText } from '#shared/duration.ts'
import type { ForecastAnswer } from './answers.ts'
import type { Screen } from './screen.ts'
import type { Column } from './table.ts'
import { shortIds } from './words.ts'

const columns: readonly Column[] = [
  { title: 'AFTER', align: 'right' },
  { title: 'ACTION', least: 9 },
  { title: 'SERVICE', least: 8 },
  { title: 'INSTANCE', least: 8 },
  { title: 'NODE', least: 8 },
  { title: 'WHY', least: 16 },
]
const outlookColumns: readonly Column[] = [
  { title: 'SERVICE', least: 10 },
  { title: 'WANTED', align: 'right' },
  { title: 'SERVING', align: 'right' },
  { title: 'BEFORE', least: 20 },
  { title: 'AFTER', least: 20 },
]

export function printActions(screen: Screen, { actions, cutBy }: ForecastAnswer): void {
  const ids = new Set(actions.flatMap(({ instance }) => instance ?? []))
  const short = screen.wide ? (id: string) => id : shortIds([...ids])
  // The reason of an action may name another instance: by the same words as its own line.
  const said = (why: string) =>
    why.replace(/[\w-]{8,}/g, (word) => (ids.has(word) ? instanceText(word, short) : word))
  if (actions.length === 0) screen.line('nothing would be started or stopped')
  else {
    screen.table(
      columns,
      actions.map(({ afterMs, kind, service, instance, node, why }) => [
        durationText(afterMs),
        kind,
        service,
        instance === null ? '' : instanceText(instance, short),
        node ?? '',
        said(why),
      ]),
    )
  }
  if (cutBy !== null) screen.line(`and so on: more ${cutBy} than are foreseen`)
}

export function printOutlook(screen: Screen, { services }: ForecastAnswer): void {
  if (services.length === 0) return
  screen.table(
    outlookColumns,
    services.map(({ service, wanted, serving, before, after }) => [
      service,
      String(wanted),
      serving < wanted ? { text: String(serving), tone: 'bad' } : String(serving),
      placesText(before),
      placesText(after),
    ]),
  )
}

/** What would not fit, and what a freeze would keep where it was. */
export function printPending(screen: Screen, { pending, frozen }: ForecastAnswer): void {
  for (const { service, count, why } of pending) {
    const text = `${service}: ${count} would have no place: ${why}`
    screen.line(screen.paint('bad', text))
  }
  if (frozen) {
    screen.line('More than half of the workers would be gone at once: nothing would be moved')
    screen.line('until they return or the sysadmin says: tucano unfreeze')
  }
}

/** `new 3`: the third one that the forecast places. */
function instanceText(instance: string, short: (id: string) => string): string {
  const birth = /^new-0*(\d+)$/.exec(instance)?.[1]
  return birth === undefined ? short(instance) : `new ${birth}`
}

function placesText(places: Readonly<Record<string, number>>): string {
  return Object.entries(places)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, count]) => (count === 1 ? node : `${node} ×${count}`))
    .join(', ')
}

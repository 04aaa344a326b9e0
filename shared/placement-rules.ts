// What must hold between those keys of a service's configuration that say where it runs. Works on
// unchecked data, so that these faults are named together with those of single keys.

import type { LabelCondition } from './configuration.ts'
import { itemsOf, numberAt, partOf, textAt } from './loose.ts'
import { NODE_LABEL } from './placement-schema.ts'
import type { Fault } from './schema.ts'

export function placementFaults(data: unknown): Fault[] {
  return [...portFaults(data), ...spreadFaults(data), ...conditionFaults(data)]
}

/** With a static host port a second instance on the same node could not listen. */
function portFaults(data: unknown): Fault[] {
  const most = numberAt(data, 'max_per_node')
  if (textAt(data, 'host_port') !== 'static' || most === undefined || most <= 1) return []
  const what = `host_port static allows one instance a node, got max_per_node ${most}`
  return [{ path: ['max_per_node'], what }]
}

function spreadFaults(data: unknown): Fault[] {
  const isSpread = textAt(data, 'placement') === 'spread'
  const isSaid = partOf(data, 'spread') !== undefined
  if (isSpread && !isSaid) {
    const what = 'missing; placement: spread needs a label, like spread: {label: zone}'
    return [{ path: ['spread'], what }]
  }
  if (isSpread || !isSaid) return []
  return [{ path: ['spread'], what: 'means nothing without placement: spread; add that' }]
}

/** What the conditions so far leave of a label's values. */
type Left = { path: Fault['path']; allowed: readonly string[] | undefined; forbidden: Set<string> }

/** Conditions that no node can meet together, each named where the last one of them stands. */
function conditionFaults(data: unknown): Fault[] {
  const faults: Fault[] = []
  const byLabel = new Map<string, Left>()
  for (const [index, given] of itemsOf(data, 'constraints').entries()) {
    const path = ['constraints', index]
    const condition = conditionOf(given)
    if (condition === undefined) continue
    if (condition.label === NODE_LABEL && !condition.in && !condition.not_in) {
      faults.push({ path, what: 'every node has a name: say which with in or not_in' })
      continue
    }
    const before = byLabel.get(condition.label)
    const left = narrowed(before, condition, path)
    if (isPossible(left)) byLabel.set(condition.label, left)
    else faults.push({ path, what: contradiction(condition.label, before) })
  }
  for (const [index, given] of itemsOf(data, 'affinity').entries()) {
    const wish = conditionOf(given)
    if (wish === undefined) continue
    const path = ['affinity', index]
    const before = byLabel.get(wish.label)
    if (isPossible(narrowed(before, wish, path))) continue
    faults.push({ path, what: contradiction(wish.label, before) })
  }
  return faults
}

function contradiction(label: string, before: Left | undefined): string {
  const why = before === undefined ? 'in and not_in leave no value' : `${keyOf(before.path)} says`
  const rest = before === undefined ? '' : ` otherwise: no value of ${label} is left`
  return `no node can be so; ${why}${rest}`
}

function keyOf([key, index]: Fault['path']): string {
  return `${key}[${index}]`
}

function conditionOf(given: unknown): LabelCondition | undefined {
  const label = textAt(given, 'label')
  if (label === undefined) return undefined
  const values = (key: string) =>
    partOf(given, key) === undefined ? {} : { [key]: itemsOf(given, key).map(String) }
  return { label, ...values('in'), ...values('not_in') }
}

function narrowed(before: Left | undefined, by: LabelCondition, path: Fault['path']): Left {
  const forbidden = new Set([...(before?.forbidden ?? []), ...(by.not_in ?? [])])
  const known = before?.allowed
  const allowed =
    by.in === undefined ? known : by.in.filter((value) => known?.includes(value) ?? true)
  return { path, allowed, forbidden }
}

function isPossible({ allowed, forbidden }: Left): boolean {
  return allowed === undefined || allowed.some((value) => !forbidden.has(value))
}

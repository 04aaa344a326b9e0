// Whether a worker can take an instance, and if not, why not in words. One table of rules, so that
// what decides and what is said of it cannot differ. Pure.

import type { LabelCondition } from '#shared/configuration.ts'
import { sizeText } from '#shared/size.ts'
import { INSTANCES_PER_NODE_MAX } from '#shared/wire.ts'
import { type Board, copiesOf, type Spot } from './board.ts'
import type { Need } from './need.ts'
import { labelOf, type Seat } from './seat.ts'

type Rule = {
  refuses(spot: Spot, need: Need, copies: number): boolean
  /** Alike for all workers that it refuses for the same reason: they are told of together. */
  why(spot: Spot, need: Need, copies: number): string
  /** With what is so of this one worker alone. */
  detail?(spot: Spot, need: Need): string
}

const rules: readonly Rule[] = [
  {
    refuses: ({ seat }) => seat.closed !== undefined,
    why: ({ seat }) => seat.closed ?? '',
  },
  {
    refuses: ({ seat }, { only }) => only !== undefined && only !== seat.name,
    why: (_, { only }) => `is not ${only}, where its data is`,
  },
  {
    refuses: ({ seat }, { demand }) =>
      demand.constraints.some((condition) => !meets(seat, condition)),
    why: ({ seat }, { demand }) =>
      demand.constraints
        .filter((condition) => !meets(seat, condition))
        .map((condition) => unmetText(seat, condition))
        .join(' and '),
  },
  {
    refuses: ({ seat }, { demand }) => demand.isLimited && seat.isolation === 'none',
    why: () => 'has no isolation, which its limits need',
  },
  {
    // An order or a report of more would be refused by the other side.
    refuses: (spot) => spot.instances >= INSTANCES_PER_NODE_MAX,
    why: () => `has ${INSTANCES_PER_NODE_MAX} instances`,
  },
  {
    refuses: (_, { demand }, copies) =>
      demand.maxPerNode !== undefined && copies >= demand.maxPerNode,
    why: (_, { demand }, copies) => `has ${copies} already (max_per_node ${demand.maxPerNode})`,
  },
  {
    refuses: (spot, { demand }) =>
      demand.staticPort !== undefined && spot.ports.has(demand.staticPort),
    why: (_, { demand }) => `port conflict: ${demand.staticPort} is taken there`,
  },
  {
    refuses: ({ seat }, { demand }) =>
      seat.size === undefined && (demand.memory > 0 || demand.milliCpu > 0),
    why: () => 'has not told its size yet',
  },
  {
    refuses: (spot, { demand }) => demand.memory > 0 && demand.memory > freeMemory(spot),
    why: (_, { demand }) => `too little memory is free (it needs ${sizeText(demand.memory)})`,
    detail: (spot, need) => `${roomText(spot, need)[0]}, it needs ${sizeText(need.demand.memory)}`,
  },
  {
    refuses: (spot, { demand }) => demand.milliCpu > 0 && demand.milliCpu > freeMilliCpu(spot),
    why: (_, { demand }) => `too few cores are free (it needs ${demand.milliCpu / 1_000})`,
    detail: (spot, need) =>
      `${roomText(spot, need).at(-1)}, it needs ${need.demand.milliCpu / 1_000}`,
  },
]

/** Infinity: its size is not known. */
function freeMemory({ seat, memory }: Spot): number {
  return seat.size === undefined ? Number.POSITIVE_INFINITY : seat.size.memory - memory
}

function freeMilliCpu({ seat, milliCpu }: Spot): number {
  return seat.size === undefined ? Number.POSITIVE_INFINITY : seat.size.cores * 1_000 - milliCpu
}

export function fits(board: Board, spot: Spot, need: Need): boolean {
  const copies = copiesOf(board, need.service).get(spot.index) ?? 0
  // A loop, as this is asked for each worker of each need.
  for (const rule of rules) if (rule.refuses(spot, need, copies)) return false
  return true
}

/** Every reason why the worker cannot take it, with its own figures; none: it can. */
export function refusalsOf(board: Board, spot: Spot, need: Need): string[] {
  const copies = copiesOf(board, need.service).get(spot.index) ?? 0
  return rules
    .filter((rule) => rule.refuses(spot, need, copies))
    .map((rule) => rule.detail?.(spot, need) ?? rule.why(spot, need, copies))
}

/** What is free of that which it declares, in words. */
export function roomText(spot: Spot, { demand }: Need): string[] {
  const { size } = spot.seat
  if (size === undefined) return []
  const memory = `${sizeText(Math.max(freeMemory(spot), 0))} of ${sizeText(size.memory)} memory free`
  const cores = `${Math.max(freeMilliCpu(spot), 0) / 1_000} of ${size.cores} cores free`
  return [...(demand.memory > 0 ? [memory] : []), ...(demand.milliCpu > 0 ? [cores] : [])]
}

/** Workers that one sentence names; it tells how many more there are. */
const NAMED_MAX = 8

/** Why no worker takes it: those with the same first reason together. */
export function whyNowhere(board: Board, need: Need): string {
  const { spots } = board
  if (spots.length === 0) return 'the topology has no worker'
  const asked = spots.filter(({ seat }) => need.only === undefined || seat.name === need.only)
  if (asked.length === 0) return `its data is on ${need.only}, which is not in the topology`
  const own = copiesOf(board, need.service)
  const byReason = Map.groupBy(asked, (spot) => {
    const count = own.get(spot.index) ?? 0
    return rules.find((rule) => rule.refuses(spot, need, count))?.why(spot, need, count) ?? ''
  })
  return [...byReason].map(([why, same]) => `${namesText(same)}: ${why}`).join('; ')
}

export function meets(seat: Seat, condition: LabelCondition): boolean {
  const value = labelOf(seat, condition.label)
  if (condition.not_in !== undefined && value !== undefined && condition.not_in.includes(value)) {
    return false
  }
  if (condition.in !== undefined) return value !== undefined && condition.in.includes(value)
  return condition.not_in !== undefined || value !== undefined
}

/** `zone in a, b`, `zone not in c`, `has gpu`. */
export function conditionText(condition: LabelCondition): string {
  const { label } = condition
  const parts = [
    ...(condition.in === undefined ? [] : [`${label} in ${condition.in.join(', ')}`]),
    ...(condition.not_in === undefined ? [] : [`${label} not in ${condition.not_in.join(', ')}`]),
  ]
  return parts.length === 0 ? `has ${label}` : parts.join(' and ')
}

function unmetText(seat: Seat, condition: LabelCondition): string {
  const value = labelOf(seat, condition.label)
  const is =
    value === undefined ? `has no label ${condition.label}` : `${condition.label} is ${value}`
  return `${is} (constraint: ${conditionText(condition)})`
}

function namesText(spots: readonly Spot[]): string {
  const names = spots.slice(0, NAMED_MAX).map(({ seat }) => seat.name)
  const more = spots.length - names.length
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ')
}

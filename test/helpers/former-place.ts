// How round robin chose before there were constraints: of the workers that may take one those with
// the fewest copies, of these the next in the ring. Kept as a yardstick.

import type { Need } from '#ctld/deployer/need.ts'
import type { Seat } from '#ctld/deployer/seat.ts'

export function formerlyPlaced(
  needs: readonly Need[],
  seats: readonly Seat[],
  cursor: string | null,
): { places: (string | undefined)[]; cursor: string | null } {
  const rows = seats.map((seat, index) => ({
    ...{ seat, index, total: seat.instanceCount },
    counts: new Map(seat.counts),
    ports: new Set(seat.ports),
  }))
  let last = cursor
  const places = needs.map(({ service, demand, avoid }) => {
    const countOf = (row: (typeof rows)[number]) => row.counts.get(service) ?? 0
    const open = rows.filter(
      (row) =>
        row.seat.closed === undefined &&
        row.total < 2_000 &&
        countOf(row) < (demand.maxPerNode ?? Number.POSITIVE_INFINITY) &&
        !(demand.staticPort !== undefined && row.ports.has(demand.staticPort)),
    )
    const preferred = open.filter(({ seat }) => !avoid.has(seat.name))
    const candidates = preferred.length > 0 ? preferred : open
    const fewest = Math.min(...candidates.map(countOf))
    const level = candidates.filter((row) => countOf(row) === fewest)
    const at = rows.findIndex(({ seat }) => seat.name === last)
    const chosen = level.find(({ index }) => index > at) ?? level[0]
    if (chosen === undefined) return undefined
    chosen.counts.set(service, countOf(chosen) + 1)
    if (demand.staticPort !== undefined) chosen.ports.add(demand.staticPort)
    chosen.total += 1
    last = chosen.seat.name
    return chosen.seat.name
  })
  return { places, cursor: last }
}

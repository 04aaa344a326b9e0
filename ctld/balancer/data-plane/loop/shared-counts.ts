// Counts the requests in flight per instance over all loops, exactly and without a lock: a limit
// holds for the whole balancer, not for each thread. Each loop writes a column of its own, so that
// the column of a loop that died is known and can be zeroed.

import { assert } from '#shared/assert.ts'

export const LOOPS_MAX = 64
/** Instances that are in the table or still have requests in flight. */
export const SLOTS_MAX = 16_384
/** Two loops that go for the last place both step back and try again; never in step this often. */
const CLAIM_TRIES_MAX = 64

/** Before the columns: how many there are. A cache line of its own. */
const HEADER_INTS = 16
/** Which loops have requests that wait for a slot: one bit for each. */
const MASKS = LOOPS_MAX / 32
const MASKS_FROM = HEADER_INTS
const COLUMNS_FROM = MASKS_FROM + MASKS * SLOTS_MAX
const BITS = 32

/** Tells the other loops that a slot has room again, and hears it from them. */
export type FreedBell = {
  ring(slot: number): void
  onRing(listener: (slot: number) => void): void
}

/** Four MiB of addresses; the pages of columns and slots that nobody uses take no memory. */
export function createCountsBuffer(columns: number): SharedArrayBuffer {
  const ints = COLUMNS_FROM + LOOPS_MAX * SLOTS_MAX
  const buffer = new SharedArrayBuffer(ints * Int32Array.BYTES_PER_ELEMENT)
  growColumns(buffer, columns)
  return buffer
}

/** More loops than before: their columns are summed too. They never become fewer. */
export function growColumns(buffer: SharedArrayBuffer, columns: number): void {
  assert(columns > 0 && columns <= LOOPS_MAX, `1 to ${LOOPS_MAX} loops, not ${columns}`)
  const cells = new Int32Array(buffer)
  if (columns > Atomics.load(cells, 0)) Atomics.store(cells, 0, columns)
}

/**
 * The loop of this column has died: its requests are gone with it, and nothing of it waits. Answers
 * with the slots that have room now, of which somebody has to tell the loops that wait for them.
 */
export function clearColumn(buffer: SharedArrayBuffer, column: number): number[] {
  const cells = new Int32Array(buffer)
  const freed: number[] = []
  const from = COLUMNS_FROM + column * SLOTS_MAX
  for (let slot = 0; slot < SLOTS_MAX; slot += 1) {
    // Reading first leaves the pages of slots that were never used alone.
    if (Atomics.load(cells, from + slot) !== 0) {
      Atomics.store(cells, from + slot, 0)
      freed.push(slot)
    }
    const mask = maskAt(slot, column)
    if (Atomics.load(cells, mask) !== 0) Atomics.and(cells, mask, ~bitOf(column))
  }
  return freed
}

export class SharedCounts {
  readonly #cells: Int32Array
  readonly #own: number
  readonly #column: number
  readonly #bell: FreedBell

  constructor(given: { buffer: SharedArrayBuffer; column: number; bell: FreedBell }) {
    assert(given.column < LOOPS_MAX, `loop ${given.column} has a column`)
    this.#cells = new Int32Array(given.buffer)
    this.#column = given.column
    this.#own = COLUMNS_FROM + given.column * SLOTS_MAX
    this.#bell = given.bell
  }

  /** Counts one more request on the slot, or false when `limit` are there. 0: no limit. */
  claim(slot: number, limit: number): boolean {
    const cell = this.#own + slot
    Atomics.add(this.#cells, cell, 1)
    if (limit === 0) return true
    for (let tries = 1; this.total(slot) > limit; tries += 1) {
      Atomics.sub(this.#cells, cell, 1)
      // Another loop that stepped back at the same time left the place to nobody: whoever steps
      // back last sees it free.
      if (tries === CLAIM_TRIES_MAX || this.total(slot) >= limit) return false
      Atomics.add(this.#cells, cell, 1)
    }
    return true
  }

  /** Says nothing to the others: the own waiters come first, then `announceFreed`. */
  release(slot: number): void {
    Atomics.sub(this.#cells, this.#own + slot, 1)
  }

  /** Over all loops. */
  total(slot: number): number {
    const columns = Atomics.load(this.#cells, 0)
    let sum = 0
    for (let column = 0, cell = COLUMNS_FROM + slot; column < columns; column += 1) {
      sum += Atomics.load(this.#cells, cell)
      cell += SLOTS_MAX
    }
    return sum
  }

  /**
   * As `total`, but another loop's last change may not be seen yet: good enough to choose by, and
   * several times cheaper. A claim counts exactly.
   */
  about(slot: number): number {
    const cells = this.#cells
    const columns = cells[0] as number
    let sum = 0
    for (let column = 0, cell = COLUMNS_FROM + slot; column < columns; column += 1) {
      sum += cells[cell] as number
      cell += SLOTS_MAX
    }
    return sum
  }

  /** Of this loop alone. */
  own(slot: number): number {
    return Atomics.load(this.#cells, this.#own + slot)
  }

  /**
   * This loop wants to hear when the slot has room. Claim once more after it and before waiting:
   * the place may have come free in between.
   */
  wait(slot: number): void {
    Atomics.or(this.#cells, maskAt(slot, this.#column), bitOf(this.#column))
  }

  waitNoMore(slot: number): void {
    Atomics.and(this.#cells, maskAt(slot, this.#column), ~bitOf(this.#column))
  }

  /** Wakes the other loops that wait for the slot. Costs two reads when none does. */
  announceFreed(slot: number): void {
    const own = maskAt(slot, this.#column)
    for (let mask = MASKS_FROM + slot * MASKS, end = mask + MASKS; mask < end; mask += 1) {
      const waiting = Atomics.load(this.#cells, mask)
      if ((mask === own ? waiting & ~bitOf(this.#column) : waiting) !== 0) {
        this.#bell.ring(slot)
        return
      }
    }
  }

  /** Another loop released the slot. Whoever hears it may be too late: claim, and wait again. */
  onFreed(listener: (slot: number) => void): void {
    this.#bell.onRing(listener)
  }
}

function maskAt(slot: number, column: number): number {
  return MASKS_FROM + slot * MASKS + Math.floor(column / BITS)
}

function bitOf(column: number): number {
  return 1 << (column % BITS)
}

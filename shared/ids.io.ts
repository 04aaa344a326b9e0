// Ids that sort by their time of birth (UUIDv7, RFC 9562 section 5.7), and the machine's dice.

import { randomBytes } from 'node:crypto'
import type { Dice, Ids } from './ports.ts'

/** Ids of one process always grow, also within a millisecond and when the clock is set back. */
function createIds(wall: () => number): Ids {
  let lastMs = 0
  let count = 0
  return {
    next() {
      const ms = wall()
      if (ms > lastMs) {
        lastMs = ms
        count = 0
      } else if (count === COUNT_MAX) {
        lastMs += 1
        count = 0
      } else count += 1
      return uuidV7(lastMs, count, randomBytes(8))
    },
  }
}

/** The 12 bits of rand_a hold a counter (RFC 9562 section 6.2, method 1). */
const COUNT_MAX = 0xfff

export const machineIds: Ids = createIds(() => Date.now())

export const machineDice: Dice = { random: () => Math.random() }

function uuidV7(wallMs: number, count: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(wallMs) << 16n)
  view.setUint16(6, 0x7000 | count)
  bytes.set(random, 8)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = Buffer.from(bytes).toString('hex')
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return [...parts, hex.slice(20)].join('-')
}

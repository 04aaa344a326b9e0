// Ids that sort by their time of birth (UUIDv7, RFC 9562 section 5.7), and the machine's dice.

import { randomBytes } from 'node:crypto'
import type { Dice, Ids } from './ports.ts'

export const machineIds: Ids = { next: () => uuidV7(Date.now(), randomBytes(10)) }

export const machineDice: Dice = { random: () => Math.random() }

function uuidV7(wallMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(wallMs) << 16n)
  bytes.set(random, 6)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = Buffer.from(bytes).toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}

// Writes tar archives header by header, also such as no honest tool would make.

import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

export type TarEntry = {
  name: string
  /** Type flag: 0 file, 1 hard link, 2 link, 3 and 4 devices, 5 folder, 6 FIFO, x pax. */
  type?: string
  link?: string
  data?: string | Buffer
  mode?: number
  /** Claims another size than that of the data. */
  size?: number
}

export const file = (name: string, data = 'x', mode = 0o644): TarEntry => ({ name, data, mode })
export const folder = (name: string): TarEntry => ({ name, type: '5', mode: 0o755 })
export const link = (name: string, target: string): TarEntry => ({ name, type: '2', link: target })

export function tar(...entries: TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocks), Buffer.alloc(1_024)])
}

export function writeTarGz(path: string, ...entries: TarEntry[]): string {
  writeFileSync(path, gzipSync(tar(...entries)))
  return path
}

function blocks(entry: TarEntry): Buffer[] {
  const data = Buffer.from(entry.data ?? '')
  const long = Buffer.byteLength(entry.name) > 100
  const padding = Buffer.alloc((512 - (data.length % 512)) % 512)
  return [...(long ? longName(entry.name) : []), header(entry, data.length), data, padding]
}

/** GNU's way to names above 100 bytes. */
function longName(name: string): Buffer[] {
  return blocks({ name: '././@LongLink', type: 'L', data: `${name}\0` })
}

function header(entry: TarEntry, length: number): Buffer {
  const block = Buffer.alloc(512)
  const octal = (value: number, at: number, size: number) =>
    block.write(`${value.toString(8).padStart(size - 1, '0')}\0`, at)
  block.write(entry.name.slice(0, 100), 0, 100)
  octal(entry.mode ?? 0o644, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(entry.size ?? length, 124, 12)
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  block.write(entry.type ?? '0', 156)
  block.write(entry.link ?? '', 157, 100)
  block.write('ustar\x0000', 257, 'latin1')
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return block
}

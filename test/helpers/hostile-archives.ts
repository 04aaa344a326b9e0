// Archives that must be refused, each with what the refusal must say.

import { createWriteStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip, gzipSync } from 'node:zlib'
import { file, folder, link, type TarEntry, tar, writeTarGz } from './tar-writer.ts'

export type Hostile = { name: string; says: RegExp; write(path: string): Promise<void> | void }

const entries: [string, RegExp, TarEntry[]][] = [
  ['a path that climbs', /"\.\.\/evil".*'\.\.'/, [file('good'), file('../evil')]],
  ['a path that climbs in its middle', /"a\/\.\.\/\.\.\/evil"/, [file('a/../../evil')]],
  ['an absolute path', /"\/tmp\/evil".*absolute/, [file('/tmp/evil')]],
  ['a drive letter', /"c:evil".*drive/, [file('c:evil')]],
  ['a backslash', /backslash/, [file('a\\..\\evil')]],
  ['a control character', /control/, [file('a\nb')]],
  ['a hard link', /"h".*hard link/, [{ name: 'h', type: '1', link: '../secret' }]],
  ['a character device', /"null".*character device/, [{ name: 'null', type: '3' }]],
  ['a block device', /"disk".*block device/, [{ name: 'disk', type: '4' }]],
  ['a FIFO', /"pipe".*FIFO/, [{ name: 'pipe', type: '6' }]],
  ['an unknown type', /"what".*unknown type/, [{ name: 'what', type: 'S' }]],
  ['a link to an absolute path', /"l".*\/etc\/passwd/, [link('l', '/etc/passwd')]],
  ['a link out of the folder', /"a\/b".*outside/, [folder('a'), link('a/b', '../../outside')]],
  ['a link that climbs late', /"l".*after a name/, [link('l', 'a/../..')]],
  ['a file through a link', /"d\/evil".*through a link/, [link('d', 'a'), file('d/evil')]],
  ['a file in place of a link', /"f".*twice/, [link('f', 'g'), file('f')]],
  ['a link in place of a folder', /"x".*twice/, [folder('x'), link('x', 'y'), file('x/evil')]],
  ['a link in place of an implied folder', /"x".*twice/, [file('x/y'), link('x', 'z')]],
  ['a file below a file', /"f\/g".*below a file/, [file('f'), file('f/g')]],
  ['one path twice', /"a".*twice/, [file('a'), file('a')]],
  ['one path twice but for case', /"A".*twice/, [file('a'), file('A')]],
  [
    'one path twice but for its Unicode form',
    /twice/,
    [folder('de\u0301'), link('d\u00e9', 'x'), file('de\u0301/evil')],
  ],
  ['a name of 256 bytes', /longer than 255/, [file('n'.repeat(256))]],
  ['a path of 4,097 bytes', /longer than 4096/, [file(`${'p/'.repeat(2_048)}p`)]],
  ['a path of 257 folders', /deeper than 256/, [file(`${'p/'.repeat(257)}p`)]],
  [
    '20,001 entries',
    /"m\/19999".*beyond 20000/,
    Array.from({ length: 20_001 }, (_, n) => file(`m/${n}`, '')),
  ],
  ['a size of 513 MiB', /"big".*512 MiB/, [{ name: 'big', size: 513 * 1024 * 1024 }]],
]

export const hostileArchives: Hostile[] = [
  ...entries.map(([name, says, content]) => ({
    name,
    says,
    write: (path: string) => void writeTarGz(path, ...content),
  })),
  { name: 'a bomb of 1 GiB', says: /"zeros".*512 MiB/, write: writeBomb },
  {
    name: 'a bomb within the size limit',
    says: /200 times/,
    write: (path) => {
      const zeros = Buffer.alloc(64 * 1024 * 1024)
      writeFileSync(path, gzipSync(tar({ name: 'zeros', data: zeros })))
    },
  },
  {
    name: 'a cut off gzip',
    says: /cut off/,
    write: (path) => {
      const whole = gzipSync(tar(file('a', randomText(10_000))))
      writeFileSync(path, whole.subarray(0, whole.length / 2))
    },
  },
  {
    name: 'a cut off tar',
    says: /"a".*Truncated/,
    write: (path) =>
      writeFileSync(path, gzipSync(tar(file('a', randomText(9_000))).subarray(0, 2_048))),
  },
  { name: 'no gzip', says: /gzip/, write: (path) => writeFileSync(path, 'hello '.repeat(1_000)) },
  {
    name: 'no tar',
    says: /tar|checksum/,
    write: (path) => writeFileSync(path, gzipSync('x'.repeat(2_000))),
  },
  { name: 'nothing', says: /tar|gzip|cut/, write: (path) => writeFileSync(path, '') },
]

export async function writeHostile(hostile: Hostile, where: string): Promise<string> {
  const path = join(where, 'hostile.tar.gz')
  await hostile.write(path)
  return path
}

/** Streamed, since the test need not hold a GiB. */
async function writeBomb(path: string): Promise<void> {
  const zeros = Buffer.alloc(1024 * 1024)
  const head = tar({ name: 'zeros', size: 1024 * 1024 * 1024 }).subarray(0, 512)
  const parts = function* () {
    yield head
    for (let mebibyte = 0; mebibyte < 1_024; mebibyte += 1) yield zeros
    yield Buffer.alloc(1_024)
  }
  await pipeline(Readable.from(parts()), createGzip({ level: 1 }), createWriteStream(path))
}

function randomText(length: number): string {
  let text = ''
  for (let at = 0, seed = 1; at < length; at += 1) {
    seed = (seed * 48_271) % 2_147_483_647
    text += String.fromCharCode(33 + (seed % 90))
  }
  return text
}

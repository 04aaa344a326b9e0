// The file of the secrets, the real one, on a fake disk with its key beside it.

import { openSecrets } from '#ctld/secrets/secrets.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'

export const FILE = '/data/secrets.json'
export const KEY = '/data/secrets.key'
export const none: ReadonlySet<number> = new Set()

export type Vault = ReturnType<typeof aVault>

export function aVault(pause?: () => Promise<void>) {
  const disk = createFakeDisk(pause === undefined ? {} : { pause })
  let drawn = 0
  const open = () => {
    const mounted = disk.mount()
    return openSecrets({
      disk: mounted,
      clock: { wall: () => 1_700 },
      folder: '/data',
      keyFile: {
        path: KEY,
        async read() {
          const bytes = await mounted.read(KEY)
          return bytes && Buffer.from(Buffer.from(bytes).toString(), 'hex')
        },
        async write(key) {
          await mounted.write(`${KEY}.new`, Buffer.from(Buffer.from(key).toString('hex')))
          await mounted.rename(`${KEY}.new`, KEY)
          await mounted.syncFolder('/data')
        },
      },
      randomBytes(count) {
        drawn += 1
        return Buffer.alloc(count, drawn)
      },
    })
  }
  return { disk, open, remove: (path: string) => void disk.mount().remove(path) }
}

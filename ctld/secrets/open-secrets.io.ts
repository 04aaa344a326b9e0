// Opens the secrets in the controller's data folder, on the machine's own disk.

import { randomBytes } from 'node:crypto'
import type { Secrets } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDisk } from '#shared/disk.io.ts'
import { keyFileIn } from './key-file.io.ts'
import { openSecrets } from './secrets.ts'

/** The folder must be there, and be locked by us. */
export function openSecretsIn(folder: string): Promise<Secrets> {
  const keyFile = keyFileIn(folder)
  return openSecrets({ disk: machineDisk, clock: machineClock, folder, keyFile, randomBytes })
}

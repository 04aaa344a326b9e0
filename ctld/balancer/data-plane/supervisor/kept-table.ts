// The table on disk, by which the data plane serves after a reboot before there is a controller.
// One that cannot be read or used is kept aside and said: the controller sends another.

import { z } from 'zod'
import type { Disk } from '#shared/disk.ts'
import { type DurableFile, readDurable, writeDurable } from '#shared/durable-file.ts'
import { messageOf } from '#shared/errors.ts'
import type { Clock, Log } from '#shared/ports.ts'
import { firstFault, routesSchema, settingsSchema } from './protocol.ts'
import type { KeptTable } from './supervisor.ts'

export const TABLE_NAME = 'table.json'

export const keptTableSchema: z.ZodType<KeptTable> = z.object({
  version: z.int(),
  settings: settingsSchema,
  routes: routesSchema,
})

export type KeptTables = {
  /** undefined: there is none that can be used. */
  load(): Promise<KeptTable | undefined>
  save(table: KeptTable): Promise<void>
}

export function createKeptTables(
  ports: { disk: Disk; clock: Pick<Clock, 'wall'>; log: Log },
  folder: string,
): KeptTables {
  const { disk, clock, log } = ports
  const file: DurableFile = {
    folder,
    name: TABLE_NAME,
    kind: 'routes',
    format: 1,
    backup: true,
    whenLost: 'forget',
  }

  async function read(): Promise<unknown> {
    const { value, notices } = await readDurable<unknown>({ disk, clock }, file)
    for (const notice of notices) log.warn({}, notice)
    return value
  }

  async function setAside(why: string): Promise<void> {
    const aside = `${TABLE_NAME}.unusable-${clock.wall()}`
    await disk.rename(`${folder}/${TABLE_NAME}`, `${folder}/${aside}`)
    log.warn({ why, aside }, 'the route table on disk cannot be used and is kept aside')
  }

  return {
    async load() {
      try {
        const value = await read()
        if (value === undefined) return undefined
        const { success, data, error } = keptTableSchema.safeParse(value)
        if (success) return data
        await setAside(firstFault(error))
      } catch (error) {
        // To serve what the controller sends is better than not to start.
        log.error({ error: messageOf(error) }, 'the route table on disk cannot be read')
      }
      return undefined
    },
    save: (table) => writeDurable(disk, file, table),
  }
}

// Which services stay on the workers that they are on, until somebody moves them by force. Pure.

import type { Service } from '#shared/model.ts'

/** Why its instances are not moved, in words; undefined: they may be. */
export function pinnedBecause(service: Service): string | undefined {
  return service.config.sticky?.node === true ? 'it is sticky' : undefined
}

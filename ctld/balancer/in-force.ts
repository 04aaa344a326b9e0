// Decides whether the data plane serves by the newest route table. Its acks say so: what it counts
// may be of a table that the controller before this one had published under the same version.

import type { Cancel, Clock } from '#shared/ports.ts'

export type InForce = {
  published(version: number): void
  /** Versions count for one connection. */
  connected(): void
  acked(version: number): void
  /** true as soon as it serves by the newest table of this moment; false when not within `ms`. */
  wait(ms: number): Promise<boolean>
}

export function createInForce(clock: Clock): InForce {
  const waiting = new Set<{ version: number; end(isInForce: boolean): void }>()
  let newest = 0
  let inForce = 0

  return {
    published(version) {
      newest = version
    },
    connected() {
      inForce = 0
    },
    acked(version) {
      inForce = version
      for (const one of [...waiting]) if (one.version <= version) one.end(true)
    },
    wait(ms) {
      if (newest <= inForce) return Promise.resolve(true)
      return new Promise((resolve) => {
        let cancel: Cancel = () => {}
        const one = {
          version: newest,
          end(isInForce: boolean) {
            cancel()
            waiting.delete(one)
            resolve(isInForce)
          },
        }
        waiting.add(one)
        cancel = clock.after(ms, () => one.end(false))
      })
    },
  }
}

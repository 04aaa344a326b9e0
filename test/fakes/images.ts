// Images that are ready at once, after a while, never, or not at all, as the test says.

import type { Images } from '#agentd/ports.ts'
import { PrepareError } from '#agentd/ports.ts'
import type { FailureDetail } from '#shared/model.ts'
import type { Clock } from '#shared/ports.ts'

export type ImageBehaviour = {
  /** Infinity: it never ends. */
  fetchMs?: number
  buildMs?: number
  failure?: FailureDetail
}

export type FakeImages = Images & {
  /** How the next preparations of this digest go. */
  set(digest: string, behaviour: ImageBehaviour): void
  /** The agent that asked is no more: what it waits for is never answered. */
  abandon(): void
  /** Digests in use, as last told. */
  retained(): string[]
  /** Digests that were fetched, in order. */
  fetched(): string[]
}

export function createFakeImages(ports: { clock: Clock }): FakeImages {
  const behaviours = new Map<string, ImageBehaviour>()
  const ready = new Set<string>()
  const fetched: string[] = []
  let life = 0
  let retained: string[] = []

  function pass(ms: number): Promise<void> {
    const mine = life
    return new Promise((resolve) => {
      if (ms === Number.POSITIVE_INFINITY) return
      ports.clock.after(ms, () => {
        if (mine === life) resolve()
      })
    })
  }

  return {
    async prepare({ digest }, onPhase) {
      const { fetchMs = 0, buildMs = 0, failure } = behaviours.get(digest) ?? {}
      if (ready.has(digest) && failure === undefined) return { folder: `/images/${digest}` }
      onPhase('fetching')
      if (fetchMs > 0) await pass(fetchMs)
      fetched.push(digest)
      if (buildMs > 0) {
        onPhase('building')
        await pass(buildMs)
      }
      if (failure !== undefined) throw new PrepareError(failure)
      ready.add(digest)
      return { folder: `/images/${digest}` }
    },
    async retain(digests) {
      retained = [...digests].sort()
    },
    set(digest, behaviour) {
      behaviours.set(digest, behaviour)
    },
    abandon() {
      life += 1
    },
    retained: () => retained,
    fetched: () => fetched,
  }
}

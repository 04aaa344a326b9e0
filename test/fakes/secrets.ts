// Secrets in memory, with the versions that the real ones give. They outlive the controller.

import type { Secrets } from '#ctld/ports.ts'
import { compare } from '#shared/compare.ts'

export type FakeSecrets = Secrets & { failWith: unknown }

export function createFakeSecrets(): FakeSecrets {
  const kept = new Map<string, { version: number; at: number; value: string }[]>()
  const fake: FakeSecrets = {
    failWith: undefined,
    notices: [],
    list: () =>
      [...kept]
        .toSorted(([a], [b]) => compare(a, b))
        .map(([name, versions]) => ({
          name,
          versions: versions.map(({ version }) => version),
          updatedAt: versions.at(-1)?.at ?? 0,
        })),
    value: (name, version) => kept.get(name)?.find((one) => one.version === version)?.value,
    async set({ name, value, referenced }, now) {
      if (fake.failWith !== undefined) throw fake.failWith
      const versions = kept.get(name) ?? []
      const last = versions.at(-1)
      if (last?.value === value) return { version: last.version, isNew: false }
      const version = Math.max(0, last?.version ?? 0, ...referenced) + 1
      const needed = versions.filter((one) => referenced.has(one.version))
      kept.set(name, [...needed, { version, at: now, value }])
      return { version, isNew: true }
    },
    async remove(name) {
      if (fake.failWith !== undefined) throw fake.failWith
      kept.delete(name)
    },
  }
  return fake
}

// What every Store promises, asked of the real one and of the fake.

import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { DOCUMENT_FORMAT } from '#ctld/discovery/document.ts'
import { DEPLOYMENTS_MAX, EVENTS_MAX, INSTANCES_FINAL_MAX } from '#ctld/discovery/records.ts'
import { openStore } from '#ctld/discovery/store.io.ts'
import type { Store } from '#ctld/ports.ts'
import { writeDurable } from '#shared/durable-file.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'
import { createFakeStorage } from '#test/fakes/store.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import {
  aDeployment,
  aDocument,
  anEvent,
  anInstance,
  changes,
  nthCommit,
} from '#test/helpers/stored.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

type Storage = {
  open(): Promise<Store>
  /** What is in state.json or, with `.bak`, in its backup. */
  peek(suffix?: string): Uint8Array
  poke(bytes: Uint8Array, suffix?: string): void
}

const clock = { wall: () => 1_000 }
const MUTATIONS = 500

function realStorage(): Storage {
  const folder = temporaryFolder()
  const path = `${folder}/state.json`
  return {
    open: () => openStore({ folder }),
    peek: (suffix = '') => readFileSync(path + suffix),
    poke: (bytes, suffix = '') => writeFileSync(path + suffix, bytes),
  }
}

function fakeStorage(): Storage {
  const { disk, open, statePath } = createFakeStorage({ clock })
  return {
    open: async () => open(),
    peek: (suffix = '') => disk.peek(statePath + suffix) ?? new Uint8Array(),
    poke: (bytes, suffix = '') => disk.poke(statePath + suffix, bytes),
  }
}

describe.each([
  ['the store on disk', realStorage],
  ['the fake store', fakeStorage],
])('%s', (_, createStorage) => {
  test('loads nothing from a new folder', async () => {
    const store = await createStorage().open()
    expect(await store.load()).toEqual({
      document: undefined,
      instances: [],
      deployments: [],
      lastEventCursor: 0,
      notices: [],
    })
    await store.close()
  })

  test('loads what was committed, after it was closed and opened again', async () => {
    const storage = createStorage()
    const store = await storage.open()
    await store.commit(
      changes({
        document: aDocument(1),
        instances: { put: [anInstance('b'), anInstance('a'), anInstance('c')], remove: [] },
        deployments: { put: [aDeployment('d1'), aDeployment('d2')], remove: [] },
        events: [anEvent(1), anEvent(2)],
      }),
    )
    await store.commit(
      changes({
        document: aDocument(2),
        instances: { put: [anInstance('b', { revision: 2 })], remove: ['c', 'never-there'] },
        deployments: { put: [], remove: ['d1'] },
        events: [anEvent(3)],
      }),
    )
    await store.close()

    const again = await storage.open()
    expect(await again.load()).toEqual({
      document: aDocument(2),
      instances: [anInstance('a'), anInstance('b', { revision: 2 })],
      deployments: [aDeployment('d2')],
      lastEventCursor: 3,
      notices: [],
    })
    await again.close()
  })

  test('gives events above a cursor, oldest first, up to a limit', async () => {
    const store = await createStorage().open()
    await store.commit(changes({ document: aDocument(1), events: [1, 2, 3, 4, 5].map(anEvent) }))
    expect(await store.events(1, 3)).toEqual([anEvent(2), anEvent(3), anEvent(4)])
    expect(await store.events(5, 3)).toEqual([])
    await store.close()
  })

  test('takes commits handed in at once in their order', async () => {
    const store = await createStorage().open()
    await Promise.all([1, 2, 3, 4, 5].map((n) => store.commit(nthCommit(n))))
    const loaded = await store.load()
    expect(loaded.document?.epoch).toBe(5)
    expect(loaded.deployments).toEqual([aDeployment('d1', { revision: 5 })])
    await store.close()
  })

  test('keeps no more than its limits of final instances, deployments and events', async () => {
    const store = await createStorage().open()
    const final = range(INSTANCES_FINAL_MAX + 7).map((n) =>
      anInstance(`f${n}`, { state: 'terminated', changedAt: n }),
    )
    const deployments = range(DEPLOYMENTS_MAX + 7).map((n) =>
      aDeployment(`d${n}`, { service: n === 0 ? 'quiet' : 'api', createdAt: n }),
    )
    await store.commit(
      changes({
        document: aDocument(1),
        instances: { put: [anInstance('old', { changedAt: 0 }), ...final], remove: [] },
        deployments: { put: deployments, remove: [] },
        events: range(EVENTS_MAX + 7).map((n) => anEvent(n + 1)),
      }),
    )
    const loaded = await store.load()
    const ids = new Set(loaded.instances.map(({ id }) => id))
    expect(ids.size).toBe(INSTANCES_FINAL_MAX + 1)
    expect([ids.has('old'), ids.has('f6'), ids.has('f7')]).toEqual([true, false, true])

    const kept = new Set(loaded.deployments.map(({ id }) => id))
    expect(kept.size).toBe(DEPLOYMENTS_MAX + 1)
    expect([kept.has('d0'), kept.has('d6'), kept.has('d7')]).toEqual([true, false, true])
    expect((await store.events(0, 1))[0]?.cursor).toBe(8)
    await store.close()
  })

  test(`F20: finds each of ${MUTATIONS} damages to state.json and loads the backup, saying so`, async () => {
    const storage = createStorage()
    const store = await storage.open()
    await store.commit(nthCommit(1))
    await store.commit(nthCommit(2))
    await store.close()
    const [good, backup] = [storage.peek(), storage.peek('.bak')]

    for (let seed = 0; seed < MUTATIONS; seed++) {
      storage.poke(damage(good, randomOf(seed).random))
      storage.poke(backup, '.bak')
      const reopened = await storage.open()
      const loaded = await reopened.load()
      expect(loaded.document, `seed ${seed}`).toEqual(aDocument(1))
      expect(loaded.notices.join(), `seed ${seed}`).toMatch(
        /state\.json could not be read .*backup/,
      )
      await reopened.close()
    }
  }, 60_000)

  test('F20: refuses to start, each time, when neither file nor backup can be read', async () => {
    const storage = createStorage()
    const store = await storage.open()
    await store.commit(nthCommit(1))
    await store.commit(nthCommit(2))
    await store.close()
    storage.poke(damage(storage.peek(), randomOf(1).random))
    storage.poke(new Uint8Array(), '.bak')

    for (const _attempt of [1, 2]) {
      const reopened = await storage.open()
      await expect(reopened.load()).rejects.toMatchObject({
        code: 'store_failed',
        message: expect.stringMatching(
          /neither .*state\.json \(.*state\.json\.bak \(it is empty\)/,
        ),
      })
      await reopened.close()
    }
  })

  test('F20: refuses a document of a newer version and names both versions', async () => {
    const storage = createStorage()
    const store = await storage.open()
    await store.commit(nthCommit(1))
    await store.close()
    storage.poke(await newerFile())

    const reopened = await storage.open()
    await expect(reopened.load()).rejects.toThrow(
      `state.json has format ${DOCUMENT_FORMAT + 1}, written by a newer version of Tucano; ` +
        `this one reads format ${DOCUMENT_FORMAT}`,
    )
    await reopened.close()
  })
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

/** Truncated, emptied, a bit flipped, a stretch zeroed, or something appended. */
function damage(good: Uint8Array, random: () => number): Uint8Array {
  const at = Math.floor(random() * good.length)
  const bytes = Uint8Array.from(good)
  switch (Math.floor(random() * 5)) {
    case 0:
      return bytes.slice(0, at)
    case 1:
      return bytes.slice(0, random() < 0.2 ? 0 : 1)
    case 2:
      return bytes.fill(0, at)
    case 3:
      return Uint8Array.from([...bytes, ...bytes.slice(at)])
    default:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))
      return bytes
  }
}

async function newerFile(): Promise<Uint8Array> {
  const disk = createFakeDisk()
  await writeDurable(
    disk.mount(),
    {
      folder: '/new',
      name: 'state.json',
      kind: 'state',
      format: DOCUMENT_FORMAT + 1,
      backup: false,
      whenLost: 'refuse',
    },
    { format: DOCUMENT_FORMAT + 1 },
  )
  return disk.peek('/new/state.json') ?? new Uint8Array()
}
